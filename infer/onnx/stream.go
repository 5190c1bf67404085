package onnx

import (
	"bufio"
	"errors"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/golanes/lanes/kernels"
)

// A stream reads the fields of a model in a file in their order. The graph and
// its large tensors are entered, so that the data of each tensor is read into
// memory of its own, or a slab with a few others: the file is never in memory as a
// whole, and large tensors that are no longer needed are free by themselves.
type stream struct {
	r    *bufio.Reader
	left int64 // bytes of the file
	slab []byte
}

// streamedTensor is the size of an initializer from which it is entered.
const streamedTensor = 4 << 10

// parseStream reads a model from a file of the given size.
func parseStream(r io.Reader, size int64) (*Model, error) {
	s, p, m := &stream{r: bufio.NewReaderSize(r, 64<<10), left: size}, &parser{}, &Model{}
	err := s.message(size, func(f field, n int64) error {
		if f.num != 7 || f.typ != protowire.BytesType {
			return s.load(f, n, func(f field) error { return p.model(m, f) })
		}
		return within(s.message(n, func(f field, n int64) error { return s.graph(p, m, f, n) }), "graph")
	})
	if err != nil {
		return nil, within(err, "onnx")
	}
	return m, m.complete()
}

// graph reads a field of the graph, n bytes of which follow.
func (s *stream) graph(p *parser, m *Model, f field, n int64) error {
	if f.num != 5 || n < streamedTensor {
		return s.load(f, n, func(f field) error { return p.graph(&m.Graph, f) })
	}
	t, err := p.tensorOf(func(visit func(f field) error) error {
		return s.message(n, func(f field, n int64) error { return s.load(f, n, visit) })
	})
	if err == nil {
		m.Graph.Initializers = append(m.Graph.Initializers, *t)
	}
	return err
}

// message calls visit for every field of a message of n bytes, with the bytes
// that follow if the field has a length; visit must read them.
func (s *stream) message(n int64, visit func(f field, n int64) error) error {
	end := s.left - n
	for s.left > end {
		f, size, err := s.next(end)
		if err != nil {
			return err
		}
		if err := visit(f, size); err != nil {
			return err
		}
	}
	return nil
}

// next reads the tag of a field and its number, or the length of its bytes. The
// message ends where end bytes are left.
func (s *stream) next(end int64) (f field, size int64, err error) {
	// A tag and a number are at most 20 bytes. The error comes again where they
	// are too few.
	head, _ := s.r.Peek(int(min(20, s.left-end)))
	num, typ, n := protowire.ConsumeTag(head)
	if n < 0 {
		return f, 0, protowire.ParseError(n)
	}
	f.num, f.typ = num, typ
	if typ == protowire.BytesType {
		length, k := protowire.ConsumeVarint(head[n:])
		if k < 0 {
			return f, 0, protowire.ParseError(k)
		}
		if n += k; length > uint64(s.left-end-int64(n)) {
			return f, 0, io.ErrUnexpectedEOF
		}
		size = int64(length)
	} else {
		var rest []byte
		if f, rest, err = next(head); err != nil {
			return f, 0, err
		}
		n = len(head) - len(rest)
	}
	s.left -= int64(n)
	_, err = s.r.Discard(n)
	return f, size, err
}

// load reads the n bytes of a field, if it has a length, and visits it.
func (s *stream) load(f field, n int64, visit func(f field) error) error {
	if f.typ == protowire.BytesType {
		if int64(int(n)) != n {
			return errors.New("a field is too large")
		}
		f.bytes = s.memory(int(n))
		s.left -= n
		if _, err := io.ReadFull(s.r, f.bytes); err != nil {
			return io.ErrUnexpectedEOF
		}
	}
	return visit(f)
}

// slabBytes is the memory that tensors below that size share: some huge pages, so
// that weights take few entries of the tables that translate addresses.
const slabBytes = 4 << 20

// memory returns n bytes. The file has at least as many left.
func (s *stream) memory(n int) []byte {
	switch {
	case n < streamedTensor:
		return make([]byte, n)
	case n >= slabBytes || n > len(s.slab) && n >= slabBytes/8:
		return kernels.AlignedBytes(n) // rather than waste what is left of a slab
	case n > len(s.slab):
		s.slab = kernels.AlignedBytes(int(min(slabBytes, s.left)))
	}
	b := s.slab[:n:n]
	s.slab = s.slab[min(len(s.slab), (n+63)&^63):]
	return b
}
