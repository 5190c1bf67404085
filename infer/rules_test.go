package infer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer/onnx"
)

// A rule is one node with what its operator's definition says it gives, for corners
// that the test suite of ONNX leaves out.
type rule struct {
	op         string
	opset      int
	attributes []onnx.Attribute
	in         []*Tensor
	want       *Tensor // nil for an error
}

func numbers(typ onnx.DataType, shape []int, v ...float64) *Tensor {
	wide := &Tensor{Type: onnx.Float64, Shape: shape, mem: bytesOf(v)}
	run, err := castKernel(onnx.Float64, typ)
	if err != nil {
		panic(err) // a rule of a type that numbers cannot have
	}
	narrow, err := wide.cast(run, typ)
	if err != nil {
		panic(err)
	}
	return narrow
}

func (r *rule) run() (*Tensor, error) {
	g := onnx.Graph{Outputs: []onnx.ValueInfo{{Name: "y"}}}
	node := onnx.Node{Op: r.op, Attributes: r.attributes, Outputs: []string{"y"}}
	var src []*Tensor
	for i, x := range r.in {
		name := fmt.Sprintf("x%d", i)
		if x == nil {
			name = ""
		}
		node.Inputs = append(node.Inputs, name)
		switch {
		case x == nil:
		case i == 0:
			src = append(src, x)
			g.Inputs = append(g.Inputs, onnx.ValueInfo{Name: name, Type: x.Type})
		default:
			g.Initializers = append(g.Initializers, onnx.Tensor{Name: name, Type: x.Type, Shape: x.Shape, Raw: x.mem})
		}
	}
	g.Nodes = []onnx.Node{node}
	s, err := New(&onnx.Model{Opsets: []onnx.Opset{{Version: int64(r.opset)}}, Graph: g}, nil)
	if err != nil {
		return nil, err
	}
	out := make([]*Tensor, 1)
	err = s.Run(out, src)
	return out[0], err
}

func TestRules(t *testing.T) {
	text := func(name, v string) onnx.Attribute {
		return onnx.Attribute{Name: name, Type: onnx.AttributeString, String: v}
	}
	one, three, int64s := []int{1}, []int{3}, onnx.Int64
	pair := func(op string, typ, out onnx.DataType, a, b, want float64) rule {
		return rule{op, 13, nil, []*Tensor{numbers(typ, one, a), numbers(typ, one, b)}, numbers(out, one, want)}
	}
	rules := []rule{
		// Whole numbers wrap in their own type.
		pair("Add", onnx.Int8, onnx.Int8, 100, 100, -56), pair("Sub", onnx.Uint8, onnx.Uint8, 3, 5, 254),
		pair("Mul", onnx.Uint16, onnx.Uint16, 300, 300, 90000-65536), pair("Mul", onnx.Int32, onnx.Int32, 65536, 65537, 65536),
		pair("Div", onnx.Int8, onnx.Int8, -128, -1, -128), pair("Div", onnx.Int16, onnx.Int16, -7, 2, -3),
		pair("Less", onnx.Uint32, onnx.Bool, 1<<32-1, 1, 0), pair("Greater", onnx.Int16, onnx.Bool, -1, -2, 1),
		pair("Max", onnx.Uint32, onnx.Uint32, 1<<32-1, 1, 1<<32-1), pair("Min", onnx.Int8, onnx.Int8, -128, 127, -128),
		{"Neg", 13, nil, []*Tensor{numbers(onnx.Int8, three, -128, 5, 0)}, numbers(onnx.Int8, three, -128, -5, 0)},
		{"Clip", 13, nil, []*Tensor{numbers(onnx.Uint8, three, 1, 100, 255), nil, numbers(onnx.Uint8, nil, 200)}, numbers(onnx.Uint8, three, 1, 100, 200)},
		{"MatMul", 13, nil, []*Tensor{numbers(onnx.Uint32, []int{1, 2}, 1<<31, 3), numbers(onnx.Uint32, []int{2, 1}, 3, 1)}, numbers(onnx.Uint32, []int{1, 1}, 1<<31+3)},
		// Types do not mix, though one wide type would hold both.
		{"Add", 13, nil, []*Tensor{numbers(onnx.Int8, one, 1), numbers(onnx.Int32, one, 1)}, nil},
		{"Add", 13, nil, []*Tensor{numbers(onnx.Int8, one, 1), numbers(int64s, one, 1)}, nil},
		{"Less", 13, nil, []*Tensor{numbers(onnx.Float16, one, 1), numbers(onnx.Float32, one, 1)}, nil},
		// Backwards from in front of the first element is from the first element.
		{"Slice", 13, nil, []*Tensor{numbers(onnx.Float32, three, 1, 2, 3), numbers(int64s, one, -9), numbers(int64s, one, -9), numbers(int64s, one, 0), numbers(int64s, one, -1)},
			numbers(onnx.Float32, one, 1)},
		{"Slice", 13, nil, []*Tensor{numbers(onnx.Float32, []int{0}), numbers(int64s, one, -1), numbers(int64s, one, -9), numbers(int64s, one, 0), numbers(int64s, one, -1)},
			numbers(onnx.Float32, []int{0})},
		// Before opset 11 the nearest pixel is the next one when shrinking.
		{"Resize", 10, nil, []*Tensor{numbers(onnx.Float32, []int{1, 4}, 1, 2, 3, 4), numbers(onnx.Float32, []int{2}, 1, 0.6)}, numbers(onnx.Float32, []int{1, 2}, 1, 3)},
		{"Resize", 13, nil, []*Tensor{numbers(onnx.Float32, []int{0, 2}), nil, nil, numbers(int64s, []int{2}, 0, 4)}, numbers(onnx.Float32, []int{0, 4})}, // an empty batch
		{"Resize", 13, nil, []*Tensor{numbers(onnx.Float32, []int{0, 2}), nil, nil, numbers(int64s, []int{2}, 1, 4)}, nil},
		{"Resize", 10, nil, []*Tensor{numbers(onnx.Float32, []int{1, 2}, 1, 2), numbers(onnx.Float32, []int{2}, 1, 2)}, numbers(onnx.Float32, []int{1, 4}, 1, 1, 2, 2)},
		// What keeps its size stays, though the coordinates are half a pixel off.
		{"Resize", 11, []onnx.Attribute{text("coordinate_transformation_mode", "tf_half_pixel_for_nn"), text("nearest_mode", "round_prefer_ceil")},
			[]*Tensor{numbers(onnx.Float32, []int{2, 2}, 1, 2, 3, 4), nil, nil, numbers(int64s, []int{2}, 2, 4)}, numbers(onnx.Float32, []int{2, 4}, 1, 2, 2, 2, 3, 4, 4, 4)},
		// An output of a whole number of pixels lies in the middle of the exact one.
		{"Resize", 19, []onnx.Attribute{text("coordinate_transformation_mode", "half_pixel_symmetric")},
			[]*Tensor{numbers(onnx.Float32, []int{1, 4}, 1, 2, 3, 4), nil, numbers(onnx.Float32, []int{2}, 1, 0.6)}, numbers(onnx.Float32, []int{1, 2}, 2, 3)},
		// Sizes that keep the proportions: of the scales 2 and 1.5 the smaller, or the larger.
		{"Resize", 18, []onnx.Attribute{text("keep_aspect_ratio_policy", "not_larger")},
			[]*Tensor{numbers(onnx.Float32, []int{2, 4}, 1, 2, 3, 4, 5, 6, 7, 8), nil, nil, numbers(int64s, []int{2}, 4, 6)},
			numbers(onnx.Float32, []int{3, 6}, 1, 1, 2, 3, 3, 4, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8)},
		{"Resize", 18, []onnx.Attribute{text("keep_aspect_ratio_policy", "not_smaller")},
			[]*Tensor{numbers(onnx.Float32, []int{1, 2}, 1, 2), nil, nil, numbers(int64s, []int{2}, 2, 3)}, numbers(onnx.Float32, []int{2, 4}, 1, 1, 2, 2, 1, 1, 2, 2)},
		// Cubic weights of pixels that are there alone: 111/128 and -9/128 at 1/4 and 5/4 from
		// the centre, 29/128 at 3/4.
		{"Resize", 13, []onnx.Attribute{text("mode", "cubic"), {Name: "cubic_coeff_a", Type: onnx.AttributeFloat, Float: -0.5}, intAttribute("exclude_outside", 1)},
			[]*Tensor{numbers(onnx.Float32, []int{1, 2}, 0, 51), nil, numbers(onnx.Float32, []int{2}, 1, 2)},
			numbers(onnx.Float32, []int{1, 4}, -51*9./102, 51*29./140, 51*111./140, 51*111./102)},
		// A quotient is rounded once, though its divisor is constant.
		{"Div", 13, nil, []*Tensor{numbers(onnx.Float32, []int{1, 4}, 1, 5, 7, 11), numbers(onnx.Float32, one, 3)}, numbers(onnx.Float32, []int{1, 4}, 1./3, 5./3, 7./3, 11./3)},
		// What ceil_mode adds behind the padding does not count.
		{"AveragePool", 19, []onnx.Attribute{intsAttribute("kernel_shape", 3), intsAttribute("strides", 2), intsAttribute("pads", 1, 1), intAttribute("ceil_mode", 1), intAttribute("count_include_pad", 1)},
			[]*Tensor{numbers(onnx.Float32, []int{1, 1, 4}, 1, 2, 3, 4)}, numbers(onnx.Float32, []int{1, 1, 3}, 1, 3, 2)},
		// An output_shape beyond what the input reaches is filled up behind.
		{"ConvTranspose", 11, []onnx.Attribute{intsAttribute("strides", 2), intsAttribute("output_shape", 6)},
			[]*Tensor{numbers(onnx.Float32, []int{1, 1, 3}, 1, 2, 3), numbers(onnx.Float32, []int{1, 1, 1}, 1)}, numbers(onnx.Float32, []int{1, 1, 6}, 1, 0, 2, 0, 3, 0)},
		// A window larger than the map counts with ceil_mode, and is an error without.
		{"MaxPool", 12, []onnx.Attribute{intsAttribute("kernel_shape", 5), intsAttribute("strides", 3), intAttribute("ceil_mode", 1)},
			[]*Tensor{numbers(onnx.Float32, []int{1, 1, 3}, 1, 3, 2)}, numbers(onnx.Float32, []int{1, 1, 1}, 3)},
		{"MaxPool", 12, []onnx.Attribute{intsAttribute("kernel_shape", 5), intsAttribute("strides", 3)}, []*Tensor{numbers(onnx.Float32, []int{1, 1, 3}, 1, 3, 2)}, nil},
		// A NaN is the largest of its window, wherever it lies there.
		{"MaxPool", 12, []onnx.Attribute{intsAttribute("kernel_shape", 2)}, []*Tensor{numbers(onnx.Float32, []int{1, 1, 4}, 1, math.NaN(), 3, 2)},
			numbers(onnx.Float32, []int{1, 1, 3}, math.NaN(), math.NaN(), 3)},
		// Sixteen bits.
		{"QuantizeLinear", 21, nil, []*Tensor{numbers(onnx.Float32, three, -1, 0.25, 1e9), numbers(onnx.Float32, nil, 0.1), numbers(onnx.Int16, nil, -5)}, numbers(onnx.Int16, three, -15, -3, 32767)},
		{"QuantizeLinear", 21, []onnx.Attribute{intAttribute("output_dtype", int(onnx.Uint16))}, []*Tensor{numbers(onnx.Float32, three, -1, 7000, 1e9), numbers(onnx.Float32, nil, 0.125)},
			numbers(onnx.Uint16, three, 0, 56000, 65535)},
		{"DequantizeLinear", 21, nil, []*Tensor{numbers(onnx.Int16, three, -300, 0, 7), numbers(onnx.Float32, nil, 0.5), numbers(onnx.Int16, nil, 7)}, numbers(onnx.Float32, three, -153.5, -3.5, 0)},
	}
	for _, r := range rules {
		var given []string
		for _, x := range r.in {
			if x != nil {
				given = append(given, fmt.Sprintf("%v%v", x.Type, x.Float64s()))
			}
		}
		name := fmt.Sprintf("%s of opset %d: %s", r.op, r.opset, strings.Join(given, ", "))
		got, err := r.run()
		switch {
		case r.want == nil:
			if err == nil {
				t.Errorf("%s: %v, want an error", name, got.Float64s())
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case got.Type != r.want.Type || !sameShape(got.Shape, r.want.Shape) || !slices.EqualFunc(got.Float64s(), r.want.Float64s(), func(a, b float64) bool { return a == b || a != a && b != b }):
			t.Errorf("%s: %v%v %v, want %v%v %v", name, got.Type, got.Shape, got.Float64s(), r.want.Type, r.want.Shape, r.want.Float64s())
		}
	}
}
