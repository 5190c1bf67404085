package bench

import (
	"slices"
	"time"

	"github.com/golanes/lanes/kernels"
)

const (
	// sampleTime is the least duration of one timed sample.
	sampleTime = 10 * time.Millisecond
	// warmTime is how long a case or a rival runs before a sample. While others are
	// timed they fill the caches, and after such a pause the Go runtime's monitor
	// thread wakes up every 20 us for some 4 ms, which takes a core 10 to 30 % of its
	// time on a virtual machine.
	warmTime = 6 * time.Millisecond
	// longCall is the duration of a call from which all this is little.
	longCall = 100 * time.Millisecond
	// caseTime ends a case early, after at least minRounds samples.
	caseTime  = 4 * time.Second
	minRounds = 3
)

// measure times a case and its rivals in turns, so that a change of the
// machine's speed meets all of them alike.
func measure(m *machine, opt Options, c benchCase, rivals []rival) ([]Row, error) {
	peak := func() int64 { return 0 }
	if c.images > 0 {
		peak = startPeak()
	}
	run := c.setup()
	run()
	row := Row{Suite: opt.Suite, Case: c.name, ISA: kernels.Info().ISA, Threads: opt.Threads, PeakBytes: peak()}
	if c.model != nil {
		var err error
		if c.flops, err = c.model.cost(&row); err != nil {
			return nil, err
		}
	}
	var own []float64
	var active []rival
	for _, r := range rivals {
		ok, err := r.prepare(c)
		if err != nil {
			return nil, err
		}
		if ok {
			active = append(active, r)
		}
	}
	theirs := make([][]float64, len(active))
	wait := func() {
		if len(active) > 0 && opt.Threads > 1 {
			settle(active)
		}
	}
	start := time.Now()
	for round := range opt.Rounds {
		if round >= minRounds && time.Since(start) > caseTime {
			break
		}
		wait()
		ns, _ := warmSample(func(least time.Duration) (float64, error) { return sample(run, least), nil })
		own = append(own, ns)
		for i, r := range active {
			wait()
			ns, err := warmSample(r.sample)
			if err != nil {
				return nil, err
			}
			theirs[i] = append(theirs[i], ns)
		}
	}
	wait()
	row.NS = median(own)
	row.ImagesPerS = float64(c.images) * 1e9 / row.NS
	if c.flops > 0 || c.model != nil {
		row.GFlops = c.flops / row.NS
		row.FractionOfPeak = row.GFlops / m.peak()
		if c.bytes > 0 {
			row.Bound = "multiply-adds"
			if f := c.bytes / row.NS / m.bandwidth(c.workingSet, c.traffic); f > row.FractionOfPeak {
				row.FractionOfPeak, row.Bound = f, "memory"
			}
		}
	} else {
		row.GBps = c.bytes / row.NS
		row.FractionOfPeak = row.GBps / m.bandwidth(c.workingSet, c.traffic)
	}
	rows := []Row{row}
	for i, r := range active {
		row.Rival, row.RivalNS = r.name(), median(theirs[i])
		row.Ratio = row.RivalNS / row.NS
		if s, ok := r.(*onnxRuntime); ok {
			row.RivalLoadNS = s.loadNS
		}
		if p, ok := r.(peaker); ok && c.images > 0 {
			row.RivalPeakBytes = p.peakBytes()
		}
		if i == 0 {
			rows = rows[:0]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// warmSample returns the second of two samples, or the first of long calls.
func warmSample(sample func(least time.Duration) (float64, error)) (float64, error) {
	ns, err := sample(warmTime)
	if err != nil || ns >= float64(longCall) {
		return ns, err
	}
	return sample(sampleTime)
}

// sample returns the nanoseconds of one call, from as many calls as take the given
// time.
func sample(run func(), least time.Duration) float64 {
	calls, batch := 0, 1
	start := time.Now()
	for {
		for range batch {
			run()
		}
		calls += batch
		elapsed := time.Since(start)
		if elapsed >= least {
			return float64(elapsed.Nanoseconds()) / float64(calls)
		}
		if elapsed < least/8 {
			batch *= 2
		}
	}
}

// median returns the middle value of x, which it sorts.
func median(x []float64) float64 {
	slices.Sort(x)
	mid := len(x) / 2
	if len(x)%2 == 1 {
		return x[mid]
	}
	return (x[mid-1] + x[mid]) / 2
}
