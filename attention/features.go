package attention

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/kernels"
)

// Shape is the shape of the feature maps.
type Shape struct{ N, C, H, W int }

// Options are what a caller decides about a plan. The zero value is the default:
// NHWC maps, scaled.
type Options struct {
	// NCHW says that maps are src[n][c][h][w] instead of src[n][h][w][c].
	NCHW bool
	// HeadOnly leaves the features as they are: Forward computes the attention
	// vector only, and dst = src.
	HeadOnly bool
}

// features is what the plans have in common: the passes over the feature maps of
// a range of samples.
type features struct {
	n, c, hw int
	opt      Options
	group    int           // samples that are taken through all passes together
	store    kernels.Store // of maps
	// Where maps are streamed, the pass that writes a group reads it from the cache
	// and asks for the next one, ahead elements behind, if there is room for both.
	ahead int
}

// groupBytes is the size of the maps of a group: a quarter of a 1 MiB L2 cache,
// as a backward group has three maps per sample.
const groupBytes = 256 << 10

const maxSide = 1 << 20

func newFeatures(s Shape, opt Options) (features, error) {
	elements := 1
	for _, v := range []int{s.N, s.C, s.H, s.W} {
		if v < 1 || v > maxSide || elements > math.MaxInt/8/v {
			return features{}, fmt.Errorf("attention: maps of %dx%dx%dx%d (N, C, H, W)", s.N, s.C, s.H, s.W)
		}
		elements *= v
	}
	f := features{n: s.N, c: s.C, hw: s.H * s.W, opt: opt, store: kernels.StoreFor(elements)}
	f.group = min(max(1, groupBytes/4/(f.c*f.hw)), maxGroup)
	if f.store == kernels.Streamed && f.group*f.c*f.hw <= groupBytes/4 {
		f.ahead = f.group * f.c * f.hw
	}
	return f, nil
}

// atOnce makes one group of the batch where its maps stay in the last-level cache
// from one pass to the next. They come from there as fast as from the second level,
// in long streams, and weights are read once instead of between the passes of each
// group, whose maps they drive out.
func (f *features) atOnce() {
	if kernels.StoreFor(2*f.n*f.c*f.hw) == kernels.Cached {
		f.group = f.n
	}
}

// grain returns the number of samples that are worth a goroutine.
func (f *features) grain() int { return max(1, groupBytes/4/4/(f.c*f.hw)) }

// String returns the shape, the layout and the grouping in one line.
func (f *features) String() string {
	layout, head := "NHWC", ""
	if f.opt.NCHW {
		layout = "NCHW"
	}
	if f.opt.HeadOnly {
		head = " head only"
	}
	return fmt.Sprintf("n=%d c=%d hw=%d %s%s, %d samples at a time", f.n, f.c, f.hw, layout, head, f.group)
}

// maxGroup bounds a group of tiny maps, so that a batch makes several.
const maxGroup = 16

// groups returns the number of groups.
func (f *features) groups() int { return (f.n + f.group - 1) / f.group }

// samples returns the samples of group i.
func (f *features) samples(i int) (lo, hi int) { return i * f.group, min((i+1)*f.group, f.n) }

// maps returns the maps of samples lo to hi, vectors their vectors.
func (f *features) maps(x []float32, lo, hi int) []float32 {
	return x[lo*f.c*f.hw : hi*f.c*f.hw]
}

func (f *features) vectors(x []float32, lo, hi int) []float32 { return x[lo*f.c : hi*f.c] }

func (f *features) checkMaps(method, name string, x []float32) {
	if len(x) < f.n*f.c*f.hw {
		panic(fmt.Sprintf("attention.%s: %s of %d elements, want %d", method, name, len(x), f.n*f.c*f.hw))
	}
}

func (f *features) checkVectors(method, name string, x []float32) {
	if len(x) < f.n*f.c {
		panic(fmt.Sprintf("attention.%s: %s of %d elements, want %d", method, name, len(x), f.n*f.c))
	}
}

// squeeze sets z to the means of src.
func (f *features) squeeze(z, src []float32, lo, hi int) {
	if f.opt.NCHW {
		kernels.PlaneSums(f.vectors(z, lo, hi), f.maps(src, lo, hi), (hi-lo)*f.c, f.hw)
	} else {
		for i := lo; i < hi; i++ {
			kernels.ChannelSums(f.vectors(z, i, i+1), f.maps(src, i, i+1), f.hw, f.c)
		}
	}
	kernels.Scale(1/float32(f.hw), f.vectors(z, lo, hi))
}

// maximum sets m to the maxima of src and index to their pixels.
func (f *features) maximum(m []float32, index []int32, src []float32, lo, hi int) {
	if f.opt.NCHW {
		kernels.PlaneMax(f.vectors(m, lo, hi), index[lo*f.c:hi*f.c], f.maps(src, lo, hi), (hi-lo)*f.c, f.hw)
		return
	}
	for i := lo; i < hi; i++ {
		kernels.ChannelMax(f.vectors(m, i, i+1), index[i*f.c:(i+1)*f.c], f.maps(src, i, i+1), f.hw, f.c)
	}
}

// scatter adds dm to the elements of dx that were the maxima.
func (f *features) scatter(dx, dm []float32, index []int32, lo, hi int) {
	for i := lo; i < hi; i++ {
		m := f.maps(dx, i, i+1)
		for c, v := range f.vectors(dm, i, i+1) {
			at := int(index[i*f.c+c])
			if f.opt.NCHW {
				m[c*f.hw+at] += v
			} else {
				m[at*f.c+c] += v
			}
		}
	}
}

// scale sets dst = src*a.
func (f *features) scale(dst, src, a []float32, lo, hi int) {
	if f.opt.NCHW {
		kernels.PlaneScale(f.maps(dst, lo, hi), f.maps(src, lo, hi), f.vectors(a, lo, hi), (hi-lo)*f.c, f.hw, f.ahead, f.store)
		return
	}
	for i := lo; i < hi; i++ {
		kernels.ChannelScale(f.maps(dst, i, i+1), f.maps(src, i, i+1), f.vectors(a, i, i+1), f.hw, f.c, f.ahead, f.store)
	}
}

// dots sets s to the sums over pixels of dy*src.
func (f *features) dots(s, dy, src []float32, lo, hi int) {
	if f.opt.NCHW {
		kernels.PlaneDots(f.vectors(s, lo, hi), f.maps(dy, lo, hi), f.maps(src, lo, hi), (hi-lo)*f.c, f.hw)
		return
	}
	for i := lo; i < hi; i++ {
		kernels.ChannelDots(f.vectors(s, i, i+1), f.maps(dy, i, i+1), f.maps(src, i, i+1), f.hw, f.c)
	}
}

// scaleShift sets dx = dy*a + dz.
func (f *features) scaleShift(dx, dy, a, dz []float32, lo, hi int) {
	if f.opt.NCHW {
		kernels.PlaneScaleShift(f.maps(dx, lo, hi), f.maps(dy, lo, hi), f.vectors(a, lo, hi), f.vectors(dz, lo, hi), (hi-lo)*f.c, f.hw, f.ahead, f.store)
		return
	}
	for i := lo; i < hi; i++ {
		kernels.ChannelScaleShift(f.maps(dx, i, i+1), f.maps(dy, i, i+1), f.vectors(a, i, i+1), f.vectors(dz, i, i+1), f.hw, f.c, f.ahead, f.store)
	}
}

// fill sets dx = dz.
func (f *features) fill(dx, dz []float32, lo, hi int) {
	if f.opt.NCHW {
		kernels.PlaneFill(f.maps(dx, lo, hi), f.vectors(dz, lo, hi), (hi-lo)*f.c, f.hw, f.store)
		return
	}
	for i := lo; i < hi; i++ {
		kernels.ChannelFill(f.maps(dx, i, i+1), f.vectors(dz, i, i+1), f.hw, f.c, f.store)
	}
}
