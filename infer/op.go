package infer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
)

// A kernel computes the outputs of one node from its inputs, whose types and
// shapes are those it was made for. Omitted inputs and outputs are nil. It fails
// only for what the elements say: an index out of range, a division by zero.
type kernel func(in, out []*Tensor) error

// An operator checks a call, sets the types and shapes of its outputs, and
// returns the kernel.
type operator func(c *call) (kernel, error)

// A value is what is known about a tensor before it is computed.
type value struct {
	typ   onnx.DataType
	shape []int
	data  *Tensor // the elements if they are constant, else nil
}

// A call is a node with what is known about its inputs.
type call struct {
	op    string
	node  *onnx.Node
	opset int
	in    []*value // nil where omitted
	out   []*value
}

// errUnknown is returned by an operator whose output's shape depends on elements
// that are not constant.
var errUnknown = errors.New("its shape depends on values that are only known when the model runs")

func (c *call) input(i int) *value {
	if i < len(c.in) {
		return c.in[i]
	}
	return nil
}

// need fails unless there are at least n inputs and none of them is omitted.
func (c *call) need(n int) error {
	for i := range n {
		if c.input(i) == nil {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	if len(c.out) == 0 {
		return errors.New("no output")
	}
	return nil
}

// set gives output i its type and shape, if the node has it.
func (c *call) set(i int, typ onnx.DataType, shape []int) error {
	if size := typ.Size(); size == 0 || size > 8 {
		return fmt.Errorf("tensors of %v are not supported", typ)
	}
	if _, err := elements(shape, typ.Size()); err != nil {
		return err
	}
	if i < len(c.out) && c.out[i] != nil {
		*c.out[i] = value{typ: typ, shape: slices.Clone(shape)}
	}
	return nil
}

func (c *call) attribute(name string, typ onnx.AttributeType) *onnx.Attribute {
	if a := c.node.Attribute(name); a != nil && a.Type == typ {
		return a
	}
	return nil
}

func (c *call) int(name string, def int) int {
	if a := c.attribute(name, onnx.AttributeInt); a != nil {
		return clampInt(a.Int)
	}
	return def
}

// sizeLimit bounds numbers from a file, so that sums and products of a few of
// them with small numbers do not overflow: 2^40, or 2^28 where int has 32 bits.
const sizeLimit = 1 << (28 + 12*(^uint(0)>>63))

// clampInt brings a number from a file within sizeLimit.
func clampInt(v int64) int { return int(min(max(v, -sizeLimit), sizeLimit)) }

func (c *call) float(name string, def float32) float32 {
	if a := c.attribute(name, onnx.AttributeFloat); a != nil {
		return a.Float
	}
	return def
}

func (c *call) string(name, def string) string {
	if a := c.attribute(name, onnx.AttributeString); a != nil {
		return a.String
	}
	return def
}

// ints returns a list attribute, nil if absent.
func (c *call) ints(name string) []int {
	a := c.attribute(name, onnx.AttributeInts)
	if a == nil {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		out[i] = clampInt(v)
	}
	return out
}

// constInts returns the elements of an integer input that must be constant. ok
// is false if the input is omitted.
func (c *call) constInts(i int) (v []int, ok bool, err error) {
	x := c.input(i)
	if x == nil {
		return nil, false, nil
	}
	if x.typ != onnx.Int64 && x.typ != onnx.Int32 {
		return nil, false, fmt.Errorf("input %d is %v, want integers", i, x.typ)
	}
	if product(x.shape) == 0 {
		return []int{}, true, nil
	}
	if x.data == nil {
		return nil, false, errUnknown
	}
	return intsOf(x.data), true, nil
}

func intsOf(t *Tensor) []int {
	var out []int
	if t.Type == onnx.Int32 {
		for _, v := range view[int32](t) {
			out = append(out, clampInt(int64(v)))
		}
		return out
	}
	for _, v := range view[int64](t) {
		out = append(out, clampInt(v))
	}
	return out
}

// axes is the attribute or, from opset since on, the input that lists axes. It
// returns nil, false if there is none.
func (c *call) axes(name string, since, input int) ([]int, bool, error) {
	if c.opset >= since {
		return c.constInts(input)
	}
	a := c.ints(name)
	return a, a != nil, nil
}

// normalAxis maps a negative axis to its place in rank dimensions.
func normalAxis(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d of a tensor of %d dimensions", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// normalAxes maps a list of distinct axes into a mask.
func normalAxes(axes []int, rank int) ([]bool, error) {
	mask := make([]bool, rank)
	for _, a := range axes {
		a, err := normalAxis(a, rank)
		if err != nil {
			return nil, err
		}
		if mask[a] {
			return nil, fmt.Errorf("axis %d appears twice", a)
		}
		mask[a] = true
	}
	return mask, nil
}

// isFloat reports whether a type is computed in floating point.
func isFloat(t onnx.DataType) bool {
	return t == onnx.Float32 || t == onnx.Float64 || t == onnx.Float16 || t == onnx.BFloat16
}

func isHalf(t onnx.DataType) bool { return t == onnx.Float16 || t == onnx.BFloat16 }

// prepare applies the node's operator to what is known of its inputs.
func (c *call) prepare() (kernel, error) {
	spec, ok := operators[c.op]
	if !ok {
		return nil, fmt.Errorf("operator %s is not supported", c.op)
	}
	if slices.ContainsFunc(c.in, func(v *value) bool { return v != nil && spec.computed(v.typ) != v.typ }) {
		return c.prepareWide(spec)
	}
	return spec.apply(c)
}

// computed returns the type in which an operator computes with elements of a type.
func (s *operatorSpec) computed(t onnx.DataType) onnx.DataType {
	switch {
	case isHalf(t) && !s.moves:
		return onnx.Float32
	case s.modular:
		switch t {
		case onnx.Int8, onnx.Int16, onnx.Int32, onnx.Uint8, onnx.Uint16, onnx.Uint32:
			return onnx.Int64
		}
	}
	return t
}

// cast returns t with elements of another type, as run converts them.
func (t *Tensor) cast(run kernel, to onnx.DataType) (*Tensor, error) {
	out := &Tensor{Type: to, Shape: t.Shape, mem: kernels.AlignedBytes(to.Size() * t.Len())}
	return out, run([]*Tensor{t}, []*Tensor{out})
}

// prepareWide computes a node in wider types than its tensors have.
func (c *call) prepareWide(spec operatorSpec) (kernel, error) {
	wide := *c
	wide.in = slices.Clone(c.in)
	narrow, computed := onnx.Undefined, onnx.Undefined
	forth, back := make([]kernel, len(c.in)), make([]kernel, len(c.out))
	var err error
	for i, v := range c.in {
		if spec.modular && v != nil && c.in[0] != nil && v.typ != c.in[0].typ { // one wide type may be that of both
			return nil, fmt.Errorf("inputs of %v and %v", c.in[0].typ, v.typ)
		}
		if v == nil || spec.computed(v.typ) == v.typ {
			continue
		}
		narrow, computed = v.typ, spec.computed(v.typ)
		if forth[i], err = castKernel(narrow, computed); err != nil {
			return nil, err
		}
		w := &value{typ: computed, shape: v.shape}
		if v.data != nil {
			if w.data, err = v.data.cast(forth[i], computed); err != nil {
				return nil, err
			}
		}
		wide.in[i] = w
	}
	run, err := spec.apply(&wide)
	if err != nil {
		return nil, err
	}
	for i, v := range c.out {
		if v != nil && v.typ == computed {
			v.typ = narrow
			if back[i], err = castKernel(computed, narrow); err != nil {
				return nil, err
			}
		}
	}
	return func(in, out []*Tensor) error {
		in, results := slices.Clone(in), slices.Clone(out)
		for i, t := range in {
			if t == nil || forth[i] == nil {
				continue
			}
			var err error
			if in[i], err = t.cast(forth[i], computed); err != nil {
				return err
			}
		}
		for i, t := range out {
			if t != nil && back[i] != nil {
				results[i] = &Tensor{Type: computed, Shape: t.Shape, mem: kernels.AlignedBytes(computed.Size() * t.Len())}
			}
		}
		if err := run(in, results); err != nil {
			return err
		}
		for i, t := range out {
			if t == nil || back[i] == nil {
				continue
			}
			if err := back[i](results[i:i+1], out[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
