package onnx

import "fmt"

// A DataType is the type of a tensor's elements, numbered as ONNX numbers them.
type DataType int32

// The element types.
const (
	Undefined  DataType = 0
	Float32    DataType = 1
	Uint8      DataType = 2
	Int8       DataType = 3
	Uint16     DataType = 4
	Int16      DataType = 5
	Int32      DataType = 6
	Int64      DataType = 7
	String     DataType = 8
	Bool       DataType = 9
	Float16    DataType = 10
	Float64    DataType = 11
	Uint32     DataType = 12
	Uint64     DataType = 13
	Complex64  DataType = 14
	Complex128 DataType = 15
	BFloat16   DataType = 16
)

var typeNames = [...]string{"undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string",
	"bool", "float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"}

var typeSizes = [...]int{0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 8, 16, 2}

// String returns the type's name as Go spells it.
func (d DataType) String() string {
	if d < 0 || int(d) >= len(typeNames) {
		return fmt.Sprintf("onnx.DataType(%d)", int32(d))
	}
	return typeNames[d]
}

// Size returns the bytes of one element, or 0 for types without a fixed size
// and unknown ones.
func (d DataType) Size() int {
	if d < 0 || int(d) >= len(typeSizes) {
		return 0
	}
	return typeSizes[d]
}

// A Model is a graph with the operator sets it is written for.
type Model struct {
	IRVersion       int64
	ProducerName    string
	ProducerVersion string
	Domain          string
	ModelVersion    int64
	Doc             string
	Opsets          []Opset
	Metadata        []Entry
	Graph           Graph
	// Functions counts the model-local functions, which are not read.
	Functions int
}

// An Opset is a version of the operators of a domain; "" and "ai.onnx" are the
// standard one.
type Opset struct {
	Domain  string
	Version int64
}

// Opset returns the version of the standard operators, 1 if none is declared.
func (m *Model) Opset() int {
	for _, o := range m.Opsets {
		if o.Domain == "" || o.Domain == "ai.onnx" {
			return int(min(max(o.Version, 0), 1<<30))
		}
	}
	return 1
}

// An Entry is a key with its value.
type Entry struct{ Key, Value string }

// A Graph is a list of nodes. The format wants them sorted, each before those
// that use it; Parse does not check that.
type Graph struct {
	Name         string
	Doc          string
	Nodes        []Node
	Initializers []Tensor
	// Inputs may name initializers too: these are then defaults.
	Inputs, Outputs, Values []ValueInfo
}

// A Node applies an operator. An empty input or output name stands for an
// omitted one.
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attributes       []Attribute
}

// Attribute returns the attribute of the given name, nil if the node has none.
func (n *Node) Attribute(name string) *Attribute {
	for i := range n.Attributes {
		if n.Attributes[i].Name == name {
			return &n.Attributes[i]
		}
	}
	return nil
}

// An AttributeType says which field of an Attribute is meant, numbered as ONNX
// numbers them.
type AttributeType int32

// The attribute types. Those that this package does not read (graphs, sparse
// tensors, type descriptions) keep their number.
const (
	AttributeFloat   AttributeType = 1
	AttributeInt     AttributeType = 2
	AttributeString  AttributeType = 3
	AttributeTensor  AttributeType = 4
	AttributeGraph   AttributeType = 5
	AttributeFloats  AttributeType = 6
	AttributeInts    AttributeType = 7
	AttributeStrings AttributeType = 8
	AttributeTensors AttributeType = 9
)

// An Attribute is a named constant of a node.
type Attribute struct {
	Name    string
	Type    AttributeType
	Float   float32
	Int     int64
	String  string
	Tensor  *Tensor
	Floats  []float32
	Ints    []int64
	Strings []string
}

// A ValueInfo is the name and the type of a value. Type is Undefined for
// anything but a dense tensor.
type ValueInfo struct {
	Name string
	Type DataType
	// Shape is nil if it is not known, which is not the same as empty.
	Shape []Dim
}

// A Dim is a size, or if Size is negative an unknown one, which may have a name.
type Dim struct {
	Size int64
	Name string
}

// String returns the size, the name, or "?".
func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return fmt.Sprint(d.Size)
	case d.Name != "":
		return d.Name
	}
	return "?"
}
