package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/golanes/lanes/internal/atomicfile"
)

// An encoder appends fields. Zero values of scalar fields are left out, as the
// format's own writers do for unset fields, except where a caller asks.
type encoder []byte

func (e *encoder) int(num protowire.Number, v int64) {
	*e = protowire.AppendVarint(protowire.AppendTag(*e, num, protowire.VarintType), uint64(v))
}

func (e *encoder) optInt(num protowire.Number, v int64) {
	if v != 0 {
		e.int(num, v)
	}
}

func (e *encoder) bytes(num protowire.Number, b []byte) {
	*e = protowire.AppendBytes(protowire.AppendTag(*e, num, protowire.BytesType), b)
}

func (e *encoder) optString(num protowire.Number, s string) {
	if s != "" {
		e.bytes(num, []byte(s))
	}
}

func (e *encoder) packed(num protowire.Number, v []int64) {
	if len(v) == 0 {
		return
	}
	var b []byte
	for _, x := range v {
		b = protowire.AppendVarint(b, uint64(x))
	}
	e.bytes(num, b)
}

// Marshal returns the model as the bytes of a file. Tensors are written as raw
// data; external tensors must have been loaded.
func Marshal(m *Model) ([]byte, error) {
	var e encoder
	e.int(1, m.IRVersion)
	e.optString(2, m.ProducerName)
	e.optString(3, m.ProducerVersion)
	e.optString(4, m.Domain)
	e.optInt(5, m.ModelVersion)
	e.optString(6, m.Doc)
	g, err := marshalGraph(&m.Graph)
	if err != nil {
		return nil, err
	}
	if len(g) > math.MaxInt32 {
		return nil, fmt.Errorf("onnx: graph of %d bytes: protocol buffers end at 2 GiB", len(g))
	}
	e.bytes(7, g)
	for _, o := range m.Opsets {
		var s encoder
		s.optString(1, o.Domain)
		s.int(2, o.Version)
		e.bytes(8, s)
	}
	for _, kv := range m.Metadata {
		var s encoder
		s.optString(1, kv.Key)
		s.optString(2, kv.Value)
		e.bytes(14, s)
	}
	return e, nil
}

// WriteFile writes the model to a file, which appears complete or not at all.
func WriteFile(path string, m *Model) error {
	b, err := Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, b)
}

func marshalGraph(g *Graph) ([]byte, error) {
	var e encoder
	for i := range g.Nodes {
		b, err := marshalNode(&g.Nodes[i])
		if err != nil {
			return nil, fmt.Errorf("onnx: node %d %q: %w", i, g.Nodes[i].Name, err)
		}
		e.bytes(1, b)
	}
	e.optString(2, g.Name)
	for i := range g.Initializers {
		b, err := MarshalTensor(&g.Initializers[i])
		if err != nil {
			return nil, err
		}
		e.bytes(5, b)
	}
	e.optString(10, g.Doc)
	for _, v := range g.Inputs {
		e.bytes(11, marshalValue(v))
	}
	for _, v := range g.Outputs {
		e.bytes(12, marshalValue(v))
	}
	for _, v := range g.Values {
		e.bytes(13, marshalValue(v))
	}
	return e, nil
}

func marshalNode(n *Node) ([]byte, error) {
	var e encoder
	for _, s := range n.Inputs {
		e.bytes(1, []byte(s))
	}
	for _, s := range n.Outputs {
		e.bytes(2, []byte(s))
	}
	e.optString(3, n.Name)
	e.optString(4, n.Op)
	for i := range n.Attributes {
		b, err := marshalAttribute(&n.Attributes[i])
		if err != nil {
			return nil, err
		}
		e.bytes(5, b)
	}
	e.optString(7, n.Domain)
	return e, nil
}

func marshalAttribute(a *Attribute) ([]byte, error) {
	var e encoder
	e.optString(1, a.Name)
	switch a.Type {
	case AttributeFloat:
		e = protowire.AppendFixed32(protowire.AppendTag(e, 2, protowire.Fixed32Type), math.Float32bits(a.Float))
	case AttributeInt:
		e.int(3, a.Int)
	case AttributeString:
		e.bytes(4, []byte(a.String))
	case AttributeTensor:
		if a.Tensor == nil {
			return nil, fmt.Errorf("attribute %q: no tensor", a.Name)
		}
		b, err := MarshalTensor(a.Tensor)
		if err != nil {
			return nil, err
		}
		e.bytes(5, b)
	case AttributeFloats:
		for _, v := range a.Floats {
			e = protowire.AppendFixed32(protowire.AppendTag(e, 7, protowire.Fixed32Type), math.Float32bits(v))
		}
	case AttributeInts:
		for _, v := range a.Ints {
			e.int(8, v)
		}
	case AttributeStrings:
		for _, v := range a.Strings {
			e.bytes(9, []byte(v))
		}
	default:
		return nil, fmt.Errorf("attribute %q: type %d cannot be written", a.Name, a.Type)
	}
	e.int(20, int64(a.Type))
	return e, nil
}

func marshalValue(v ValueInfo) []byte {
	var shape, tensor, typ, e encoder
	for _, d := range v.Shape {
		var dim encoder
		if d.Size >= 0 {
			dim.int(1, d.Size)
		} else {
			dim.optString(2, d.Name)
		}
		shape.bytes(1, dim)
	}
	tensor.int(1, int64(v.Type))
	if v.Shape != nil {
		tensor.bytes(2, shape)
	}
	typ.bytes(1, tensor)
	e.optString(1, v.Name)
	if v.Type != Undefined {
		e.bytes(2, typ)
	}
	return e
}

// MarshalTensor returns a tensor by itself, as the files of ONNX test data sets
// hold it.
func MarshalTensor(t *Tensor) ([]byte, error) {
	if t.External != nil {
		return nil, fmt.Errorf("onnx: tensor %q: its data is in %s", t.Name, t.External.Location)
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	var e encoder
	dims := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = int64(d)
	}
	e.packed(1, dims)
	e.int(2, int64(t.Type))
	for _, s := range t.Strings {
		e.bytes(6, []byte(s))
	}
	e.optString(8, t.Name)
	if t.Type != String {
		e.bytes(9, t.Raw)
	}
	return e, nil
}
