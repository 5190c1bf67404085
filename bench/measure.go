package bench

import (
	"runtime"
	"slices"
	"time"

	"github.com/golanes/lanes/kernels"
)

const (
	// sampleTime is the least duration of one timed sample.
	sampleTime = 10 * time.Millisecond
	// caseTime ends a case early, after at least minRounds samples.
	caseTime  = 4 * time.Second
	minRounds = 3
	// settleTime lets a rival's threads stop spinning before others are timed.
	settleTime = 30 * time.Millisecond
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
	start := time.Now()
	for round := range opt.Rounds {
		if round >= minRounds && time.Since(start) > caseTime {
			break
		}
		own = append(own, sample(run))
		for i, r := range active {
			ns, err := r.sample()
			if err != nil {
				return nil, err
			}
			theirs[i] = append(theirs[i], ns)
		}
		if len(active) > 0 && opt.Threads > 1 {
			time.Sleep(settleTime)
		}
	}
	row.NS = median(own)
	row.ImagesPerS = float64(c.images) * 1e9 / row.NS
	if c.flops > 0 || c.model != nil {
		row.GFlops = c.flops / row.NS
		row.FractionOfPeak = row.GFlops / m.peak()
	} else {
		row.GBps = c.bytes / row.NS
		row.FractionOfPeak = row.GBps / m.bandwidth(c.workingSet, c.readOnly)
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

// sample returns the nanoseconds of one call, from as many calls as take
// sampleTime.
func sample(run func()) float64 {
	calls, batch := 0, 1
	start := time.Now()
	for {
		for range batch {
			run()
		}
		calls += batch
		elapsed := time.Since(start)
		if elapsed >= sampleTime {
			return float64(elapsed.Nanoseconds()) / float64(calls)
		}
		if elapsed < sampleTime/8 {
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

// machine measures the ceilings.
type machine struct {
	threads    int
	peaks      []float64
	bandwidths map[transfer]float64
}

// A transfer is so many bytes read, or read and written.
type transfer struct {
	bytes    int
	readOnly bool
}

// peak returns the multiply-add rate in 1e9 operations a second, the median of
// a few measurements spread over the run.
func (m *machine) peak() float64 {
	const rounds = 20000
	if len(m.peaks) < 15 {
		var flops float64
		ns := sample(func() {
			kernels.Parallel(m.threads, 1, func(lo, hi int) {
				for range hi - lo {
					kernels.FMALoop(rounds)
				}
			})
		})
		flops = kernels.FMALoop(rounds) * float64(m.threads)
		m.peaks = append(m.peaks, flops/ns)
	}
	return median(m.peaks)
}

// bandwidth returns the rate of a copy that reads and writes size bytes in all,
// or of a sum that reads them, in 1e9 bytes a second.
func (m *machine) bandwidth(size int, readOnly bool) float64 {
	key := transfer{size, readOnly}
	if gbps, ok := m.bandwidths[key]; ok {
		return gbps
	}
	n := max(size/8, 16)
	dst := make([]float32, n)
	src := filled(n)
	one := func(lo, hi int) { copy(dst[lo:hi], src[lo:hi]) }
	if readOnly {
		n *= 2
		src = filled(n)
		one = func(lo, hi int) { kernels.Sum(src[lo:hi]) }
	}
	grain := max(1, (n+m.threads-1)/m.threads)
	run := func() { kernels.Parallel(n, grain, one) }
	if m.threads == 1 {
		run = func() { one(0, n) }
	}
	var samples []float64
	for range 7 {
		samples = append(samples, sample(run))
	}
	if m.bandwidths == nil {
		m.bandwidths = map[transfer]float64{}
	}
	bytes := 8 * float64(n)
	if readOnly {
		bytes = 4 * float64(n)
	}
	m.bandwidths[key] = bytes / median(samples)
	runtime.KeepAlive(dst)
	return m.bandwidths[key]
}
