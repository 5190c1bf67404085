package serve

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

// datatypes are the protocol's names of the element types.
var datatypes = map[onnx.DataType]string{
	onnx.Bool: "BOOL", onnx.Uint8: "UINT8", onnx.Uint16: "UINT16", onnx.Uint32: "UINT32", onnx.Uint64: "UINT64",
	onnx.Int8: "INT8", onnx.Int16: "INT16", onnx.Int32: "INT32", onnx.Int64: "INT64",
	onnx.Float16: "FP16", onnx.BFloat16: "BF16", onnx.Float32: "FP32", onnx.Float64: "FP64",
}

// modelVersion is the only version of the model.
const modelVersion = "1"

type tensorInfo struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"` // -1 where open
}

func tensorInfos(list []onnx.ValueInfo) []tensorInfo {
	out := make([]tensorInfo, len(list))
	for i, v := range list {
		out[i] = tensorInfo{v.Name, datatypes[v.Type], []int64{}}
		for _, d := range v.Shape {
			out[i].Shape = append(out[i].Shape, max(d.Size, -1))
		}
	}
	return out
}

func (s *Server) serverInfo(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, map[string]any{"name": "lanes", "version": s.opt.Version, "extensions": []string{}})
}

func (s *Server) modelInfo(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, map[string]any{
		"name": s.opt.Name, "versions": []string{modelVersion}, "platform": "onnx_lanes",
		"inputs": tensorInfos(s.session.Inputs()), "outputs": tensorInfos(s.session.Outputs()),
	})
}

func (s *Server) modelReady(w http.ResponseWriter, _ *http.Request) error {
	if s.draining.Load() {
		return errClosed
	}
	return reply(w, map[string]any{"name": s.opt.Name, "ready": true})
}

// An inferRequest is the body of a POST to .../infer.
type inferRequest struct {
	ID         *string         `json:"id"`
	Parameters json.RawMessage `json:"parameters"`
	Inputs     []struct {
		Name     string          `json:"name"`
		Datatype string          `json:"datatype"`
		Shape    []int64         `json:"shape"`
		Params   binaryParams    `json:"parameters"`
		Data     json.RawMessage `json:"data"`
	} `json:"inputs"`
	Outputs []struct {
		Name   string       `json:"name"`
		Params binaryParams `json:"parameters"`
	} `json:"outputs"`
}

// binaryParams are the parameters that would change how data is sent; others
// have no effect here.
type binaryParams struct {
	Size *json.RawMessage `json:"binary_data_size"`
	Data bool             `json:"binary_data"`
}

func (p binaryParams) check(name string) error {
	if p.Size != nil || p.Data {
		return fail(http.StatusBadRequest, "%q: binary data is not supported", name)
	}
	return nil
}

type inferResponse struct {
	Model      string          `json:"model_name"`
	Version    string          `json:"model_version"`
	ID         *string         `json:"id,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Outputs    []outputTensor  `json:"outputs"`
}

type outputTensor struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Shape    []int           `json:"shape"`
	Data     json.RawMessage `json:"data"`
}

// infer runs the model on the tensors of a request.
func (s *Server) infer(w http.ResponseWriter, r *http.Request) error {
	b, err := readBody(r.Body)
	if err != nil {
		return err
	}
	req := &inferRequest{}
	var in []*infer.Tensor
	var chosen []int
	if err := s.decode(r.Context(), func() (err error) {
		if err := json.Unmarshal(b, req); err != nil {
			return fail(http.StatusBadRequest, "the body is not a request: %v", err)
		}
		if chosen, err = s.chooseOutputs(req); err != nil {
			return err
		}
		in, err = s.inputs(req)
		return err
	}); err != nil {
		return err
	}
	out, err := s.batcher.do(r.Context(), in)
	if err != nil {
		// Everything else was checked, so that what is left is the data: shapes
		// that do not fit each other, indices out of range.
		if status(err) == http.StatusInternalServerError && !isPanic(err) {
			err = fail(http.StatusBadRequest, "%w", err)
		}
		return err
	}
	return s.decode(r.Context(), func() error {
		resp := inferResponse{Model: s.opt.Name, Version: modelVersion, ID: req.ID, Parameters: req.Parameters}
		for _, i := range chosen {
			name := s.session.Outputs()[i].Name
			data, err := appendData(nil, out[i])
			if err != nil {
				return fmt.Errorf("output %q: %w", name, err)
			}
			resp.Outputs = append(resp.Outputs, outputTensor{name, datatypes[out[i].Type], out[i].Shape, data})
		}
		return reply(w, resp)
	})
}

func isPanic(err error) bool {
	_, ok := err.(panicError)
	return ok
}

// chooseOutputs returns the indices of the outputs that a request names, all if
// it names none.
func (s *Server) chooseOutputs(req *inferRequest) ([]int, error) {
	var chosen []int
	seen := map[int]bool{}
	for _, o := range req.Outputs {
		i := indexOf(s.session.Outputs(), o.Name)
		if i < 0 {
			return nil, fail(http.StatusBadRequest, "the model has no output %q", o.Name)
		}
		if seen[i] {
			return nil, fail(http.StatusBadRequest, "output %q is named twice", o.Name)
		}
		if err := o.Params.check(o.Name); err != nil {
			return nil, err
		}
		seen[i] = true
		chosen = append(chosen, i)
	}
	if len(req.Outputs) == 0 {
		for i := range s.session.Outputs() {
			chosen = append(chosen, i)
		}
	}
	return chosen, nil
}

func indexOf(list []onnx.ValueInfo, name string) int {
	for i, v := range list {
		if v.Name == name {
			return i
		}
	}
	return -1
}

// inputs makes the model's inputs from those of a request, in the model's order.
func (s *Server) inputs(req *inferRequest) ([]*infer.Tensor, error) {
	want := s.session.Inputs()
	in := make([]*infer.Tensor, len(want))
	for _, x := range req.Inputs {
		i := indexOf(want, x.Name)
		switch {
		case i < 0:
			return nil, fail(http.StatusBadRequest, "the model has no input %q", x.Name)
		case in[i] != nil:
			return nil, fail(http.StatusBadRequest, "input %q is given twice", x.Name)
		case x.Datatype != datatypes[want[i].Type]:
			return nil, fail(http.StatusBadRequest, "input %q has datatype %q, want %q", x.Name, x.Datatype, datatypes[want[i].Type])
		}
		if err := x.Params.check(x.Name); err != nil {
			return nil, err
		}
		shape, err := s.shape(want[i], x.Shape, len(x.Data))
		if err == nil {
			in[i], err = parseData(want[i].Type, shape, x.Data)
		}
		if err != nil {
			return nil, fail(http.StatusBadRequest, "input %q: %w", x.Name, err)
		}
	}
	for i, t := range in {
		if t == nil {
			return nil, fail(http.StatusBadRequest, "input %q is missing", want[i].Name)
		}
		if s.batcher.open && t.Shape[0] != in[0].Shape[0] {
			return nil, fail(http.StatusBadRequest, "inputs %q and %q differ in the batch", want[0].Name, want[i].Name)
		}
	}
	return in, nil
}

// shape checks the shape of an input against the model's, the batch and the size
// of the data, before anything is allocated for it.
func (s *Server) shape(want onnx.ValueInfo, shape []int64, size int) ([]int, error) {
	if shape == nil {
		return nil, fmt.Errorf("no shape")
	}
	ok := want.Shape == nil || len(shape) == len(want.Shape)
	for i := 0; ok && i < len(want.Shape); i++ {
		ok = want.Shape[i].Size < 0 || want.Shape[i].Size == shape[i]
	}
	if !ok {
		return nil, fmt.Errorf("shape %v, want %v", shape, want.Shape)
	}
	out := make([]int, len(shape))
	// An element takes a digit and a comma.
	n, most := int64(1), int64(size/2+1)
	for i, d := range shape {
		if d < 1 || d > math.MaxInt32 {
			return nil, fmt.Errorf("size %d in shape %v, want 1 to %d", d, shape, math.MaxInt32)
		}
		if n > most/d {
			return nil, fmt.Errorf("shape %v has more elements than the data", shape)
		}
		n *= d
		out[i] = int(d)
	}
	if s.batcher.open && out[0] > s.opt.MaxBatch {
		return nil, fmt.Errorf("a batch of %d, at most %d are taken", out[0], s.opt.MaxBatch)
	}
	return out, nil
}
