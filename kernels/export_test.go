package kernels

// WithoutCaches makes everything count as larger than the caches until restore is
// called.
func WithoutCaches() (restore func()) {
	old := caches
	caches.l2, caches.l3 = 0, 0
	return func() { caches = old }
}
