package train

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/pool"
)

// exportOpset has every operator that models need, and is old enough for most
// runtimes.
const exportOpset = 17

// ExportOptions say what an exported model holds beside its layers.
type ExportOptions struct {
	// FoldBatchNorm multiplies batch norms into the convolutions in front of
	// them: a smaller graph, whose results differ by rounding.
	FoldBatchNorm bool
	// Classes, Mean and Std go into the model's metadata as JSON lists.
	Classes   []string
	Mean, Std []float32
}

// Export returns the model in evaluation mode as an ONNX graph: input "image" is
// N x C x H x W, normalised, and output "logits" N x classes. The running
// statistics stand for those of the batch, and dropout is left out.
func Export(m *Model, opt ExportOptions) (*onnx.Model, error) {
	image := m.Image()
	e := &exporter{fold: opt.FoldBatchNorm, names: map[Value]string{0: "image"}, flat: map[Value]bool{}, uses: map[Value]int{}}
	nodes := m.Nodes()
	for _, n := range nodes {
		for _, v := range n.In {
			e.uses[v]++
		}
	}
	logits, _, _ := m.Outputs()
	e.uses[logits]++
	for _, n := range nodes {
		if err := e.layer(n); err != nil {
			return nil, fmt.Errorf("train: export of layer %s: %w", n.Layer.Name(), err)
		}
	}
	e.g.Name = "model"
	e.add("Identity", []string{e.names[logits]}, "logits")
	e.g.Inputs = []onnx.ValueInfo{{Name: "image", Type: onnx.Float32, Shape: []onnx.Dim{
		{Size: -1, Name: "N"}, {Size: int64(image.C)}, {Size: int64(image.H)}, {Size: int64(image.W)}}}}
	e.g.Outputs = []onnx.ValueInfo{{Name: "logits", Type: onnx.Float32, Shape: []onnx.Dim{{Size: -1, Name: "N"}, {Size: int64(m.Classes())}}}}
	out := &onnx.Model{IRVersion: 8, ProducerName: "lanes", Opsets: []onnx.Opset{{Version: exportOpset}}, Graph: e.g}
	for _, kv := range []struct {
		key   string
		value any
		empty bool
	}{{"classes", opt.Classes, len(opt.Classes) == 0}, {"mean", opt.Mean, len(opt.Mean) == 0}, {"std", opt.Std, len(opt.Std) == 0}} {
		if kv.empty {
			continue
		}
		text, err := json.Marshal(kv.value)
		if err != nil {
			return nil, err
		}
		out.Metadata = append(out.Metadata, onnx.Entry{Key: kv.key, Value: string(text)})
	}
	return out, nil
}

// An exporter writes layers as nodes.
type exporter struct {
	g     onnx.Graph
	fold  bool
	names map[Value]string
	flat  map[Value]bool // values of two dimensions
	uses  map[Value]int
	count int
	// conv is the convolution that the last node is, and convOut its result.
	conv    *Conv2D
	convOut Value
}

// add appends a node and returns the name of its output: the given one or a new
// one.
func (e *exporter) add(op string, in []string, out string, attributes ...onnx.Attribute) string {
	if out == "" {
		e.count++
		out = fmt.Sprintf("%s_%d", op, e.count)
	}
	e.g.Nodes = append(e.g.Nodes, onnx.Node{Name: "n_" + out, Op: op, Inputs: in, Outputs: []string{out}, Attributes: attributes})
	return out
}

func (e *exporter) tensor(name string, data []float32, shape ...int) string {
	e.g.Initializers = append(e.g.Initializers, onnx.NewFloat32(name, data, shape...))
	return name
}

func (e *exporter) param(p *Param) string { return e.tensor(p.Name, p.Value, p.Shape...) }

func intAttribute(name string, v int) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.AttributeInt, Int: int64(v)}
}

func intsAttribute(name string, v ...int) onnx.Attribute {
	a := onnx.Attribute{Name: name, Type: onnx.AttributeInts}
	for _, x := range v {
		a.Ints = append(a.Ints, int64(x))
	}
	return a
}

func floatAttribute(name string, v float64) onnx.Attribute {
	return onnx.Attribute{Name: name, Type: onnx.AttributeFloat, Float: float32(v)}
}

// rows returns the name of a value in two dimensions.
func (e *exporter) rows(v Value) string {
	if e.flat[v] {
		return e.names[v]
	}
	return e.add("Flatten", []string{e.names[v]}, "", intAttribute("axis", 1))
}

func (e *exporter) layer(n Node) error {
	x, out := e.names[n.In[0]], n.Out[0]
	e.flat[out] = e.flat[n.In[0]]
	previous := e.conv
	e.conv = nil
	switch l := n.Layer.(type) {
	case *Conv2D:
		e.names[out] = e.convolution(l, x)
		e.conv, e.convOut = l, out
	case *BatchNorm:
		folded := e.fold && previous != nil && e.convOut == n.In[0] && e.uses[n.In[0]] == 1
		return e.batchNorm(n, l, previous, folded)
	case *Linear:
		in := []string{e.rows(n.In[0]), e.param(l.Weight)}
		if l.Bias != nil {
			in = append(in, e.param(l.Bias))
		}
		e.names[out], e.flat[out] = e.add("Gemm", in, "", intAttribute("transB", 1)), true
	case *CosineLinear:
		e.names[out], e.flat[out] = e.cosine(n, l), true
	case *GlobalAvgPool:
		e.names[out] = e.add("GlobalAveragePool", []string{x}, "")
	case *Pool:
		e.names[out] = e.pool(l, x)
	case *Attention:
		return e.attention(n, l)
	case *Activate:
		var err error
		e.names[out], err = e.activation(l.Act, x)
		return err
	case *Add:
		e.names[out] = e.add("Add", []string{x, e.names[n.In[1]]}, "")
	case *Flatten:
		e.names[out], e.flat[out] = e.rows(n.In[0]), true
	case *Dropout:
		e.names[out] = x
	default:
		return fmt.Errorf("layers of type %T have no ONNX form", l)
	}
	return nil
}

func (e *exporter) convolution(l *Conv2D, x string) string {
	in := []string{x, e.param(l.Weight)}
	if l.Bias != nil {
		in = append(in, e.param(l.Bias))
	}
	g := l.Geometry
	return e.add("Conv", in, "", intsAttribute("kernel_shape", g.R, g.S), intsAttribute("strides", max(g.StrideH, 1), max(g.StrideW, 1)),
		intsAttribute("dilations", max(g.DilationH, 1), max(g.DilationW, 1)),
		intsAttribute("pads", g.PadTop, g.PadLeft, g.PadBottom, g.PadRight), intAttribute("group", max(g.Groups, 1)))
}

func (e *exporter) batchNorm(n Node, l *BatchNorm, c *Conv2D, fold bool) error {
	name := e.names[n.In[0]]
	if fold {
		e.foldInto(l, c)
	} else {
		in := []string{name, e.param(l.Weight), e.param(l.Bias), e.param(l.RunningMean), e.param(l.RunningVar)}
		name = e.add("BatchNormalization", in, "", floatAttribute("epsilon", l.Eps))
	}
	if len(n.In) > 1 {
		name = e.add("Add", []string{name, e.names[n.In[1]]}, "")
	}
	var err error
	e.names[n.Out[0]], err = e.activation(l.Act, name)
	return err
}

// foldInto scales the filters of the last node, a convolution, and gives it the
// bias that is left of a batch norm.
func (e *exporter) foldInto(l *BatchNorm, c *Conv2D) {
	filters := append([]float32{}, c.Weight.Value...)
	bias := make([]float32, l.C)
	size := len(filters) / l.C
	for k := range bias {
		scale := float64(l.Weight.Value[k]) / math.Sqrt(float64(l.RunningVar.Value[k])+l.Eps)
		for i := range size {
			filters[k*size+i] = float32(float64(filters[k*size+i]) * scale)
		}
		mean := float64(l.RunningMean.Value[k])
		if c.Bias != nil {
			mean -= float64(c.Bias.Value[k])
		}
		bias[k] = float32(float64(l.Bias.Value[k]) - mean*scale)
	}
	node := &e.g.Nodes[len(e.g.Nodes)-1]
	for i := range e.g.Initializers {
		if e.g.Initializers[i].Name == c.Weight.Name {
			e.g.Initializers[i] = onnx.NewFloat32(c.Weight.Name, filters, c.Weight.Shape...)
		}
	}
	if len(node.Inputs) == 3 { // its own bias is part of the new one
		e.g.Initializers = e.g.Initializers[:len(e.g.Initializers)-1]
	}
	node.Inputs = []string{node.Inputs[0], node.Inputs[1], e.tensor(l.Name()+".folded_bias", bias, l.C)}
}

func (e *exporter) activation(act kernels.Activation, x string) (string, error) {
	switch act {
	case kernels.Identity:
		return x, nil
	case kernels.ReLU:
		return e.add("Relu", []string{x}, ""), nil
	case kernels.ReLU6:
		if !e.has("six") {
			e.tensor("zero", []float32{0})
			e.tensor("six", []float32{6})
		}
		return e.add("Clip", []string{x, "zero", "six"}, ""), nil
	case kernels.SiLU:
		return e.add("Mul", []string{x, e.add("Sigmoid", []string{x}, "")}, ""), nil
	case kernels.HardSwish, kernels.Sigmoid, kernels.Tanh, kernels.Softplus:
		op := map[kernels.Activation]string{kernels.HardSwish: "HardSwish", kernels.Sigmoid: "Sigmoid", kernels.Tanh: "Tanh", kernels.Softplus: "Softplus"}[act]
		return e.add(op, []string{x}, ""), nil
	case kernels.HardSigmoid:
		return e.add("HardSigmoid", []string{x}, "", floatAttribute("alpha", 1.0/6), floatAttribute("beta", 0.5)), nil
	case kernels.LeakyReLU:
		return e.add("LeakyRelu", []string{x}, "", floatAttribute("alpha", 0.01)), nil
	case kernels.ELU:
		return e.add("Elu", []string{x}, "", floatAttribute("alpha", 1)), nil
	}
	return "", fmt.Errorf("activation %v has no ONNX form", act)
}

func (e *exporter) has(name string) bool {
	for i := range e.g.Initializers {
		if e.g.Initializers[i].Name == name {
			return true
		}
	}
	return false
}

func (e *exporter) pool(l *Pool, x string) string {
	g := l.Geometry
	attributes := []onnx.Attribute{
		intsAttribute("kernel_shape", g.R, g.S), intsAttribute("strides", max(g.StrideH, 1), max(g.StrideW, 1)),
		intsAttribute("pads", g.PadTop, g.PadLeft, g.PadBottom, g.PadRight),
	}
	if g.Ceil {
		attributes = append(attributes, intAttribute("ceil_mode", 1))
	}
	if l.Average {
		if l.Count == pool.CountPadding {
			attributes = append(attributes, intAttribute("count_include_pad", 1))
		}
		return e.add("AveragePool", []string{x}, "", attributes...)
	}
	return e.add("MaxPool", []string{x}, "", append(attributes, intsAttribute("dilations", max(g.DilationH, 1), max(g.DilationW, 1)))...)
}

// attention writes the module; a vector that no layer reads is left out.
func (e *exporter) attention(n Node, l *Attention) error {
	x, vector := e.names[n.In[0]], n.Out[len(n.Out)-1]
	if !l.Rescale && e.uses[vector] == 0 {
		return nil
	}
	mean := e.add("GlobalAveragePool", []string{x}, "")
	var logits string
	switch l.Kind {
	case ECAAttention:
		c := e.tensorInts(l.name+".line", 0, 1, -1)
		line := e.add("Reshape", []string{mean, c}, "")
		line = e.add("Conv", []string{line, e.param(l.Kernel)}, "", intsAttribute("pads", (l.K-1)/2, (l.K-1)/2))
		logits = e.add("Reshape", []string{line, e.tensorInts(l.name+".map", 0, -1, 1, 1)}, "")
	case SEAttention, CBAMAttention:
		w := []string{e.tensor(l.W1.Name, l.W1.Value, l.Hidden, l.C, 1, 1), e.param(l.B1), e.tensor(l.W2.Name, l.W2.Value, l.C, l.Hidden, 1, 1), e.param(l.B2)}
		mlp := func(v string) string {
			h := e.add("Relu", []string{e.add("Conv", []string{v, w[0], w[1]}, "")}, "")
			return e.add("Conv", []string{h, w[2], w[3]}, "")
		}
		logits = mlp(mean)
		if l.Kind == CBAMAttention {
			logits = e.add("Add", []string{logits, mlp(e.add("GlobalMaxPool", []string{x}, ""))}, "")
		}
	default:
		return fmt.Errorf("attention %q has no ONNX form", l.Kind)
	}
	gate := e.add("Sigmoid", []string{logits}, "")
	e.names[vector], e.flat[vector] = gate, false
	if l.Rescale {
		e.names[n.Out[0]] = e.add("Mul", []string{x, gate}, "")
	}
	return nil
}

func (e *exporter) tensorInts(name string, v ...int64) string {
	e.g.Initializers = append(e.g.Initializers, onnx.NewInt64(name, v, len(v)))
	return name
}

// cosine writes a product of unit vectors. The rows of the weights are made unit
// vectors here; a row of zeros stays one.
func (e *exporter) cosine(n Node, l *CosineLinear) string {
	w, inv := make([]float32, len(l.Weight.Value)), make([]float32, l.Out)
	normaliseRows(w, inv, l.Weight.Value, l.In)
	x := e.rows(n.In[0])
	length := e.add("ReduceL2", []string{x}, "", intsAttribute("axes", 1))
	if !e.has("tiny") {
		e.tensor("tiny", []float32{math.SmallestNonzeroFloat32 * (1 << 23)})
	}
	x = e.add("Div", []string{x, e.add("Max", []string{length, "tiny"}, "")}, "")
	return e.add("Gemm", []string{x, e.tensor(l.Weight.Name, w, l.Out, l.In)}, "", intAttribute("transB", 1))
}
