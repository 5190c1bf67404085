package train

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/golanes/lanes/kernels"
)

// Param is a named tensor of a model: a trained parameter, or a buffer such as
// the running statistics of a batch normalisation, which is saved with the
// model but has no gradient.
type Param struct {
	// Name is the tensor's name as torchvision spells it, for example
	// "layer1.0.conv1.weight".
	Name string
	// Shape is the tensor's shape in PyTorch's order: K, C/groups, R, S for a
	// convolution, out, in for a linear layer.
	Shape []int
	// Value holds the elements in row-major order.
	Value []float32
	// Grad has the length of Value. It is nil for a buffer.
	Grad []float32
	// Buffer marks a tensor the optimizer does not touch.
	Buffer bool
	// Norm marks the scale and shift of a normalisation and the bias of a
	// layer, which OptimizerConfig.SkipNormDecay exempts from weight decay.
	Norm bool

	init func(rng *rand.Rand, value []float32)
}

func (p *Param) size() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

func newParam(name string, init func(*rand.Rand, []float32), shape ...int) *Param {
	return &Param{Name: name, Shape: shape, init: init}
}

func newBuffer(name string, fill float32, shape ...int) *Param {
	p := newParam(name, initConstant(fill), shape...)
	p.Buffer = true
	return p
}

// initConstant fills with one value and draws nothing.
func initConstant(c float32) func(*rand.Rand, []float32) {
	return func(_ *rand.Rand, v []float32) {
		for i := range v {
			v[i] = c
		}
	}
}

// initKaimingNormal draws from N(0, 2/fan) with fan = fan-out, the
// initialisation of torchvision's residual networks (He et al., 2015).
func initKaimingNormal(fanOut int) func(*rand.Rand, []float32) {
	return initNormal(math.Sqrt(2 / float64(max(fanOut, 1))))
}

// initNormal draws from N(0, std^2).
func initNormal(std float64) func(*rand.Rand, []float32) {
	return func(rng *rand.Rand, v []float32) {
		for i := range v {
			v[i] = float32(rng.NormFloat64() * std)
		}
	}
}

// initUniform draws from U(-bound, bound) with bound = 1/sqrt(fanIn), PyTorch's
// default for a linear layer.
func initUniform(fanIn int) func(*rand.Rand, []float32) {
	bound := 1 / math.Sqrt(float64(max(fanIn, 1)))
	return func(rng *rand.Rand, v []float32) {
		for i := range v {
			v[i] = float32((2*rng.Float64() - 1) * bound)
		}
	}
}

// paramRNG returns the generator that initialises the tensor of this name: it
// depends on the seed and the name only, so that adding a layer does not change
// how the others start.
func paramRNG(seed uint64, name string) *rand.Rand {
	return rand.New(rand.NewPCG(seed, hashName(name)))
}

func hashName(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// paramSet holds tensors with their values, and the gradients of those that are
// trained, in two contiguous slices.
type paramSet struct {
	all     []*Param
	byName  map[string]*Param
	trained []*Param
	values  []float32 // of trained, in order
	grads   []float32
	buffers []float32 // of the others
}

// newParamSet gives every tensor its storage. It fails on a name used twice.
func newParamSet(params []*Param) (*paramSet, error) {
	s := &paramSet{all: params, byName: make(map[string]*Param, len(params))}
	total, buffers := 0, 0
	for _, p := range params {
		if s.byName[p.Name] != nil {
			return nil, fmt.Errorf("train: two tensors are named %q", p.Name)
		}
		s.byName[p.Name] = p
		if p.Buffer {
			buffers += roundUp(p.size())
			continue
		}
		s.trained = append(s.trained, p)
		total += roundUp(p.size())
	}
	s.values, s.grads, s.buffers = kernels.AlignedFloats(total), kernels.AlignedFloats(total), kernels.AlignedFloats(buffers)
	at, bufferAt := 0, 0
	for _, p := range params {
		n := p.size()
		if p.Buffer {
			p.Value = s.buffers[bufferAt : bufferAt+n : bufferAt+n]
			bufferAt += roundUp(n)
			continue
		}
		p.Value = s.values[at : at+n : at+n]
		p.Grad = s.grads[at : at+n : at+n]
		at += roundUp(n)
	}
	return s, nil
}

func (s *paramSet) initialise(seed uint64) {
	for _, p := range s.all {
		p.init(paramRNG(seed, p.Name), p.Value)
	}
}
