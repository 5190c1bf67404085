package bench

import (
	"fmt"
	"slices"

	"github.com/golanes/lanes/kernels"
)

// machine measures the ceilings that cases are compared with, each when it is first
// asked for.
type machine struct {
	threads    int
	peaks      []float64
	bandwidths map[transfer]float64
}

// A traffic says what a case does to memory.
type traffic uint8

const (
	copying traffic = iota // reads as much as it writes
	reading                // reads only
	writing                // writes only
	triad                  // reads two for one that it writes, as STREAM's triad
)

func (t traffic) String() string { return [...]string{"copy", "read", "write", "triad"}[t] }

// operands returns the number of slices.
func (t traffic) operands() int { return [...]int{2, 1, 1, 3}[t] }

// A transfer is traffic over so many bytes in all.
type transfer struct {
	bytes int
	traffic
}

// peak returns the multiply-add rate in 1e9 operations a second, the median of
// a few measurements spread over the run.
func (m *machine) peak() float64 {
	const rounds = 20000
	for i := 0; i < 3 && len(m.peaks) < 15; i++ {
		ns := sample(func() {
			kernels.Parallel(m.threads, 1, func(lo, hi int) {
				for range hi - lo {
					kernels.FMALoop(rounds)
				}
			})
		}, sampleTime)
		flops := kernels.FMALoop(rounds) * float64(m.threads)
		m.peaks = append(m.peaks, flops/ns)
	}
	return median(m.peaks)
}

// bandwidth returns the rate of plain loops with the traffic over size bytes in all,
// in 1e9 bytes a second: the median of the best way to store.
func (m *machine) bandwidth(size int, t traffic) float64 {
	key := transfer{size, t}
	if gbps, ok := m.bandwidths[key]; ok {
		return gbps
	}
	const row = 1024
	n := max(size/4/t.operands()/row, 1) * row
	s := make([][]float32, t.operands())
	for i := range s {
		s[i] = filled(n)
	}
	grain := max(1, (n/row+m.threads-1)/m.threads)
	var best float64
	for _, part := range transferLoops(t, s, row) {
		var samples []float64
		for range 7 {
			samples = append(samples, sample(func() { kernels.Parallel(n/row, grain, part) }, sampleTime))
		}
		best = max(best, 4*float64(t.operands()*n)/median(samples))
	}
	if m.bandwidths == nil {
		m.bandwidths = map[transfer]float64{}
	}
	m.bandwidths[key] = best
	return best
}

// transferLoops returns loops with the traffic over rows lo to hi of s, each with row
// elements, that store through the caches and past them.
func transferLoops(t traffic, s [][]float32, row int) []func(lo, hi int) {
	one, zero := make([]float32, row), make([]float32, row)
	for i := range one {
		one[i] = 1
	}
	fill := func(how kernels.Store) func(lo, hi int) {
		return func(lo, hi int) { kernels.ChannelFill(s[0][lo*row:hi*row], one, hi-lo, row, how) }
	}
	scale := func(how kernels.Store) func(lo, hi int) {
		return func(lo, hi int) {
			kernels.ChannelScale(s[0][lo*row:hi*row], s[1][lo*row:hi*row], one, hi-lo, row, 0, how)
		}
	}
	switch t {
	case reading:
		return []func(lo, hi int){func(lo, hi int) { kernels.Sum(s[0][lo*row : hi*row]) }}
	case writing:
		return []func(lo, hi int){fill(kernels.Cached), fill(kernels.Streamed)}
	case copying:
		copied := func(lo, hi int) { copy(s[0][lo*row:hi*row], s[1][lo*row:hi*row]) }
		return []func(lo, hi int){copied, scale(kernels.Cached), scale(kernels.Streamed)}
	default:
		cached := func(lo, hi int) { kernels.Add(s[0][lo*row:hi*row], s[1][lo*row:hi*row], s[2][lo*row:hi*row]) }
		streamed := func(lo, hi int) {
			kernels.BatchNormApplyAdd(kernels.Identity, s[0][lo*row:hi*row], s[1][lo*row:hi*row], s[2][lo*row:hi*row], one, zero, hi-lo, row)
		}
		return []func(lo, hi int){cached, streamed}
	}
}

// ceilings describes what was measured, a line each.
func (m *machine) ceilings() []string {
	var lines []string
	if len(m.peaks) > 0 {
		lines = append(lines, fmt.Sprintf("multiply-adds: %.1f GF", m.peak()))
	}
	var keys []transfer
	for k := range m.bandwidths {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b transfer) int {
		if a.traffic != b.traffic {
			return int(a.traffic) - int(b.traffic)
		}
		return a.bytes - b.bytes
	})
	for _, k := range keys {
		lines = append(lines, fmt.Sprintf("%s of %.2f MB: %.1f GB", k.traffic, float64(k.bytes)/1e6, m.bandwidths[k]))
	}
	return lines
}
