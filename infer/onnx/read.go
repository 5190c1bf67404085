package onnx

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxObjects bounds the nodes, attributes, tensors and values of a model. The
// smallest of them takes two bytes of a file and about a hundred of memory.
const maxObjects = 1 << 22

// A parser counts what it makes.
type parser struct{ objects int }

func (p *parser) object() error {
	if p.objects++; p.objects > maxObjects {
		return fmt.Errorf("more than %d nodes, attributes, tensors and values", maxObjects)
	}
	return nil
}

// Parse reads a model from the bytes of a file. The model's tensors share
// memory with b. Data in other files is left there: see [Tensor].External.
func Parse(b []byte) (*Model, error) {
	m := &Model{}
	p := &parser{}
	if err := message(b, func(f field) error { return p.model(m, f) }); err != nil {
		return nil, within(err, "onnx")
	}
	return m, m.complete()
}

// complete reports what every model has and m lacks.
func (m *Model) complete() error {
	if len(m.Graph.Outputs) == 0 {
		return errors.New("onnx: no graph with an output: not an ONNX model")
	}
	return nil
}

// ParseTensor reads a single tensor, as the files of ONNX test data sets hold it.
// The tensor shares memory with b.
func ParseTensor(b []byte) (*Tensor, error) {
	p := &parser{}
	t, err := p.tensor(b)
	if err == nil && t.External != nil {
		err = fmt.Errorf("tensor %q: external data outside a model", t.Name)
	}
	return t, within(err, "onnx")
}

func (p *parser) model(m *Model, f field) (err error) {
	switch f.num {
	case 1:
		return f.int(&m.IRVersion)
	case 2:
		return f.string(&m.ProducerName)
	case 3:
		return f.string(&m.ProducerVersion)
	case 4:
		return f.string(&m.Domain)
	case 5:
		return f.int(&m.ModelVersion)
	case 6:
		return f.string(&m.Doc)
	case 7:
		b, err := f.message()
		if err != nil {
			return err
		}
		return within(message(b, func(f field) error { return p.graph(&m.Graph, f) }), "graph")
	case 8:
		b, err := f.message()
		if err != nil {
			return err
		}
		m.Opsets = append(m.Opsets, Opset{})
		o := &m.Opsets[len(m.Opsets)-1]
		return message(b, func(f field) error {
			switch f.num {
			case 1:
				return f.string(&o.Domain)
			case 2:
				return f.int(&o.Version)
			}
			return nil
		})
	case 14:
		m.Metadata, err = p.entry(m.Metadata, f)
		return err
	case 25:
		m.Functions++
	}
	return nil
}

func (p *parser) entry(list []Entry, f field) ([]Entry, error) {
	if err := p.object(); err != nil {
		return nil, err
	}
	b, err := f.message()
	if err != nil {
		return nil, err
	}
	var e Entry
	err = message(b, func(f field) error {
		switch f.num {
		case 1:
			return f.string(&e.Key)
		case 2:
			return f.string(&e.Value)
		}
		return nil
	})
	return append(list, e), err
}

func (p *parser) graph(g *Graph, f field) error {
	switch f.num {
	case 2:
		return f.string(&g.Name)
	case 10:
		return f.string(&g.Doc)
	case 1, 5, 11, 12, 13, 15:
	default:
		return nil
	}
	b, err := f.message()
	if err != nil {
		return err
	}
	switch f.num {
	case 1:
		n, err := p.node(b)
		g.Nodes = append(g.Nodes, n)
		return within(err, "node %d %q", len(g.Nodes)-1, n.Name)
	case 5:
		t, err := p.tensor(b)
		if err != nil {
			return err
		}
		g.Initializers = append(g.Initializers, *t)
		return nil
	case 11:
		return p.value(&g.Inputs, b)
	case 12:
		return p.value(&g.Outputs, b)
	case 13:
		return p.value(&g.Values, b)
	}
	return errors.New("sparse initializers are not supported")
}

func (p *parser) node(b []byte) (n Node, err error) {
	if err := p.object(); err != nil {
		return n, err
	}
	err = message(b, func(f field) error {
		var s string
		switch f.num {
		case 1:
			err := f.string(&s)
			n.Inputs = append(n.Inputs, s)
			return err
		case 2:
			err := f.string(&s)
			n.Outputs = append(n.Outputs, s)
			return err
		case 3:
			return f.string(&n.Name)
		case 4:
			return f.string(&n.Op)
		case 5:
			b, err := f.message()
			if err != nil {
				return err
			}
			a, err := p.attribute(b)
			n.Attributes = append(n.Attributes, a)
			return within(err, "attribute %q", a.Name)
		case 7:
			return f.string(&n.Domain)
		}
		return nil
	})
	if err == nil && n.Op == "" {
		err = errors.New("no operator")
	}
	return n, err
}

func (p *parser) attribute(b []byte) (a Attribute, err error) {
	if err := p.object(); err != nil {
		return a, err
	}
	seen := AttributeType(0)
	err = message(b, func(f field) (err error) {
		switch f.num {
		case 1:
			return f.string(&a.Name)
		case 2:
			seen = AttributeFloat
			v, err := f.floats(nil)
			if len(v) > 0 {
				a.Float = v[len(v)-1]
			}
			return err
		case 3:
			seen = AttributeInt
			return f.int(&a.Int)
		case 4:
			seen = AttributeString
			return f.string(&a.String)
		case 5:
			seen = AttributeTensor
			b, err := f.message()
			if err != nil {
				return err
			}
			a.Tensor, err = p.tensor(b)
			return err
		case 6, 11:
			seen = AttributeGraph
		case 7:
			seen = AttributeFloats
			a.Floats, err = f.floats(a.Floats)
			return err
		case 8:
			seen = AttributeInts
			a.Ints, err = f.ints(a.Ints)
			return err
		case 9:
			seen = AttributeStrings
			var s string
			err := f.string(&s)
			a.Strings = append(a.Strings, s)
			return err
		case 20:
			var v int64
			err := f.int(&v)
			a.Type = AttributeType(v)
			return err
		case 21:
			return errors.New("refers to an attribute of a function")
		}
		return nil
	})
	if a.Type == 0 {
		a.Type = seen
	}
	return a, err
}

func (p *parser) value(list *[]ValueInfo, b []byte) error {
	if err := p.object(); err != nil {
		return err
	}
	var v ValueInfo
	err := message(b, func(f field) error {
		switch f.num {
		case 1:
			return f.string(&v.Name)
		case 2:
			b, err := f.message()
			if err != nil {
				return err
			}
			return message(b, func(f field) error { return p.typeInfo(&v, f) })
		}
		return nil
	})
	*list = append(*list, v)
	return within(err, "value %q", v.Name)
}

func (p *parser) typeInfo(v *ValueInfo, f field) error {
	if f.num != 1 { // a sequence, a map, a sparse tensor, an optional value
		return nil
	}
	b, err := f.message()
	if err != nil {
		return err
	}
	return message(b, func(f field) error {
		switch f.num {
		case 1:
			var t int64
			err := f.int(&t)
			v.Type = DataType(t)
			return err
		case 2:
			b, err := f.message()
			if err != nil {
				return err
			}
			v.Shape = []Dim{}
			return message(b, func(f field) error { return p.dim(v, f) })
		}
		return nil
	})
}

func (p *parser) dim(v *ValueInfo, f field) error {
	if f.num != 1 {
		return nil
	}
	b, err := f.message()
	if err != nil {
		return err
	}
	d := Dim{Size: -1}
	err = message(b, func(f field) error {
		switch f.num {
		case 1:
			return f.int(&d.Size)
		case 2:
			return f.string(&d.Name)
		}
		return nil
	})
	v.Shape = append(v.Shape, d)
	return err
}

// tensorParts gathers what the typed fields of a tensor hold.
type tensorParts struct {
	dims, ints, longs, ulongs []int64
	floats, doubles           []byte
	raw                       []byte
	hasRaw, external          bool
	entries                   []Entry
}

func (p *parser) tensor(b []byte) (*Tensor, error) {
	return p.tensorOf(func(visit func(f field) error) error { return message(b, visit) })
}

// tensorOf makes a tensor of the fields that walk visits.
func (p *parser) tensorOf(walk func(visit func(f field) error) error) (*Tensor, error) {
	if err := p.object(); err != nil {
		return nil, err
	}
	t, parts := &Tensor{}, &tensorParts{}
	if err := walk(func(f field) error { return p.tensorField(t, parts, f) }); err != nil {
		return nil, within(err, "tensor %q", t.Name)
	}
	for _, d := range parts.dims {
		if int64(int(d)) != d {
			return nil, fmt.Errorf("tensor %q: size %d is too large", t.Name, d)
		}
		t.Shape = append(t.Shape, int(d))
	}
	if t.Shape == nil {
		t.Shape = []int{}
	}
	if parts.external {
		e, err := externalPlace(parts.entries)
		if err != nil {
			return nil, within(err, "tensor %q", t.Name)
		}
		t.External = e
	} else if err := parts.data(t); err != nil {
		return nil, within(err, "tensor %q", t.Name)
	}
	return t, t.check()
}

func (p *parser) tensorField(t *Tensor, parts *tensorParts, f field) (err error) {
	switch f.num {
	case 1:
		parts.dims, err = f.ints(parts.dims)
		if len(parts.dims) > 64 {
			return errors.New("more than 64 dimensions")
		}
	case 2:
		var v int64
		err = f.int(&v)
		t.Type = DataType(v)
	case 3:
		return errors.New("split into segments, which is not supported")
	case 4:
		parts.floats, err = f.fixed(parts.floats, 4)
	case 5:
		parts.ints, err = f.ints(parts.ints)
	case 6:
		var s string
		err = f.string(&s)
		t.Strings = append(t.Strings, s)
	case 7:
		parts.longs, err = f.ints(parts.longs)
	case 8:
		return f.string(&t.Name)
	case 9:
		parts.raw, err = f.message()
		parts.hasRaw = true
	case 10:
		parts.doubles, err = f.fixed(parts.doubles, 8)
	case 11:
		parts.ulongs, err = f.ints(parts.ulongs)
	case 13:
		parts.entries, err = p.entry(parts.entries, f)
	case 14:
		parts.external = f.typ == protowire.VarintType && f.bits == 1
	}
	return err
}

// data sets t.Raw from the field that the type uses.
func (parts *tensorParts) data(t *Tensor) error {
	if parts.hasRaw {
		if t.Type == String {
			return errors.New("strings as raw data")
		}
		t.Raw = parts.raw
		return nil
	}
	switch t.Type {
	case Float32, Complex64:
		t.Raw = parts.floats
	case Float64, Complex128:
		t.Raw = parts.doubles
	case Int64:
		t.Raw = narrow(parts.longs, 8)
	case Uint64, Uint32:
		t.Raw = narrow(parts.ulongs, t.Type.Size())
	case Int32, Int16, Int8, Uint16, Uint8, Bool, Float16, BFloat16:
		t.Raw = narrow(parts.ints, t.Type.Size())
	}
	return nil
}

// narrow stores the low size bytes of every number.
func narrow(v []int64, size int) []byte {
	out := make([]byte, 0, len(v)*size)
	for _, x := range v {
		for i := range size {
			out = append(out, byte(uint64(x)>>(8*i)))
		}
	}
	return out
}
