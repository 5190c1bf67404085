//go:build !linux

package kernels

// A sleeper is the place where one goroutine waits until another wakes it.
type sleeper struct{ woken chan struct{} }

func (s *sleeper) init() { s.woken = make(chan struct{}, 1) }

// prepare is followed by one call of sleep or cancel; what makes wake possible
// comes after it.
func (*sleeper) prepare() {}

// cancel undoes prepare.
func (*sleeper) cancel() {}

// sleep returns after the call of wake, be it before or after the call of
// sleep.
func (s *sleeper) sleep() { <-s.woken }

// wake ends the sleep.
func (s *sleeper) wake() { s.woken <- struct{}{} }

// yieldThread does nothing: there is no portable way.
func yieldThread() {}
