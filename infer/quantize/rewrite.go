package quantize

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/golanes/lanes/infer/onnx"
)

// parameters of a tensor, as names of constants.
type parameters struct {
	scale      float32
	scaleName  string
	zeroName   string
	dequantise string // the value between the conversions
}

// rewrite puts conversions around the chosen activations and makes integers of
// the weights.
func (g *network) rewrite(ranges map[string]span, report *Report) error {
	g.report = report
	params := map[string]*parameters{}
	for _, name := range slices.Sorted(maps.Keys(g.quantised)) {
		source := name
		for g.pooled[source] != "" { // pooling leaves scale and zero point alone
			source = g.pooled[source]
		}
		r, ok := ranges[source]
		if !ok {
			return fmt.Errorf("%q has no range", source)
		}
		scale, zero := r.parameters()
		params[name] = &parameters{scale: scale}
		params[name].scaleName = g.constant(name+"_scale", onnx.NewFloat32("", []float32{scale}))
		params[name].zeroName = g.constant(name+"_zero_point", onnx.Tensor{Type: onnx.Uint8, Raw: []byte{zero}})
	}
	nodes := g.m.Graph.Nodes
	g.m.Graph.Nodes = nil
	convert := func(name string) {
		p := params[name]
		if p == nil {
			return
		}
		q := g.newName(name + "_quantized")
		p.dequantise = g.newName(name + "_dequantized")
		g.m.Graph.Nodes = append(g.m.Graph.Nodes,
			onnx.Node{Name: q, Op: "QuantizeLinear", Inputs: []string{name, p.scaleName, p.zeroName}, Outputs: []string{q}},
			onnx.Node{Name: p.dequantise, Op: "DequantizeLinear", Inputs: []string{q, p.scaleName, p.zeroName}, Outputs: []string{p.dequantise}})
		report.Tensors++
	}
	for _, v := range g.m.Graph.Inputs {
		convert(v.Name)
	}
	for i, n := range nodes {
		if g.roles[i] == product {
			g.quantiseWeights(&n, params[n.Inputs[0]].scale)
		}
		for k, in := range n.Inputs {
			if p := params[in]; p != nil {
				n.Inputs[k] = p.dequantise
			}
		}
		switch g.roles[i] {
		case product:
			report.Layers++
		case sum:
			report.Sums++
		case maxPool:
			report.Pools++
		default:
			report.Float++
		}
		g.m.Graph.Nodes = append(g.m.Graph.Nodes, n)
		for _, out := range n.Outputs {
			convert(out)
		}
	}
	g.dropConstants()
	return nil
}

// quantiseWeights makes bytes of a product's weights, by output channel, and
// 32-bit integers of its bias, in the units of the sums.
func (g *network) quantiseWeights(n *onnx.Node, inScale float32) {
	w := g.constants[n.Inputs[1]]
	axis := channelAxis(n)
	channels, inner := w.Shape[axis], 1
	for _, d := range w.Shape[axis+1:] {
		inner *= d
	}
	largest := make([]float64, channels)
	values := w.Float32s()
	for i, v := range values {
		k := i / inner % channels
		largest[k] = math.Max(largest[k], math.Abs(float64(v)))
	}
	var bias []float32
	if len(n.Inputs) > 2 && n.Inputs[2] != "" {
		bias = g.constants[n.Inputs[2]].Float32s()
	}
	scales, units := make([]float32, channels), make([]float32, channels)
	for k := range scales {
		s := largest[k] / 127
		if bias != nil { // or the bias would not fit
			s = math.Max(s, math.Abs(float64(bias[k]))/float64(inScale)/(1<<28))
		}
		if s = max(s, 0x1p-120/float64(inScale)); largest[k] == 0 && bias == nil {
			s = 1
		}
		scales[k] = float32(s)
		units[k] = inScale * scales[k]
	}
	raw := make([]byte, len(values))
	for i, v := range values {
		q := math.RoundToEven(float64(v) / float64(scales[i/inner%channels]))
		raw[i] = byte(int8(math.Max(-127, math.Min(127, q))))
	}
	stem := n.Outputs[0]
	at := []onnx.Attribute{{Name: "axis", Type: onnx.AttributeInt, Int: int64(axis)}}
	dequantise := func(t onnx.Tensor, suffix string, axis []onnx.Attribute, scale []float32) string {
		out := g.newName(stem + suffix)
		inputs := []string{g.constant(out+"_quantized", t), g.constant(out+"_scale", onnx.NewFloat32("", scale, channels))}
		if t.Type == onnx.Int8 {
			inputs = append(inputs, g.constant(out+"_zero_point", onnx.Tensor{Type: onnx.Int8, Shape: []int{channels}, Raw: make([]byte, channels)}))
		}
		g.m.Graph.Nodes = append(g.m.Graph.Nodes, onnx.Node{Name: out, Op: "DequantizeLinear", Inputs: inputs, Outputs: []string{out}, Attributes: axis})
		return out
	}
	n.Inputs[1] = dequantise(onnx.Tensor{Type: onnx.Int8, Shape: w.Shape, Raw: raw}, "_weight", at, scales)
	if bias == nil {
		return
	}
	ints := make([]byte, 0, 4*channels)
	for k, v := range bias {
		q := uint32(int32(math.RoundToEven(float64(v) / float64(units[k]))))
		ints = append(ints, byte(q), byte(q>>8), byte(q>>16), byte(q>>24))
	}
	n.Inputs[2] = dequantise(onnx.Tensor{Type: onnx.Int32, Shape: []int{channels}, Raw: ints}, "_bias", []onnx.Attribute{{Name: "axis", Type: onnx.AttributeInt, Int: 0}}, units)
}
