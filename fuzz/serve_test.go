package fuzz

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
	"github.com/golanes/lanes/infer/serve"
)

// newServer serves a graph with limits that keep a fuzzer fast.
func newServer(f *testing.F, g onnx.Graph) *serve.Server {
	f.Helper()
	s, err := infer.New(&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}, nil)
	if err != nil {
		f.Fatal(err)
	}
	srv, err := serve.New(s, infer.ImageOptions{}, serve.Options{MaxBatch: 4, MaxPixels: 1 << 16, MaxBody: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(srv.Close)
	return srv
}

func input(name string, typ onnx.DataType, sizes ...int64) onnx.ValueInfo {
	v := onnx.ValueInfo{Name: name, Type: typ}
	for _, n := range sizes {
		v.Shape = append(v.Shape, onnx.Dim{Size: n, Name: "N"})
	}
	return v
}

// meanColour turns pictures into the softmax of their mean colour.
var meanColour = onnx.Graph{
	Nodes: []onnx.Node{
		{Op: "ReduceMean", Inputs: []string{"image"}, Outputs: []string{"m"}, Attributes: []onnx.Attribute{
			{Name: "axes", Type: onnx.AttributeInts, Ints: []int64{2, 3}}, {Name: "keepdims", Type: onnx.AttributeInt}}},
		{Op: "Softmax", Inputs: []string{"m"}, Outputs: []string{"p"}},
	},
	Inputs:  []onnx.ValueInfo{input("image", onnx.Float32, -1, 3, 4, 4)},
	Outputs: []onnx.ValueInfo{input("p", onnx.Float32, -1, 3)},
}

// every returns its inputs, one of each type, their sizes open.
func every() onnx.Graph {
	var g onnx.Graph
	for typ := onnx.Float32; typ <= onnx.BFloat16; typ++ {
		if typ.Size() == 0 || typ.Size() > 8 || typ == onnx.Complex64 {
			continue
		}
		in, out := "in"+typ.String(), "out"+typ.String()
		g.Nodes = append(g.Nodes, onnx.Node{Op: "Identity", Inputs: []string{in}, Outputs: []string{out}})
		g.Inputs = append(g.Inputs, input(in, typ, -1, -1))
		g.Outputs = append(g.Outputs, input(out, typ, -1, -1))
	}
	return g
}

// FuzzServe sends any bytes to the endpoints that take a body. Answers are JSON,
// errors if and only if the status says so, and never a panic or a status of the
// server's own fault.
func FuzzServe(f *testing.F) {
	pictures, tensors := newServer(f, meanColour), newServer(f, every())
	img := image.NewPaletted(image.Rect(0, 0, 5, 3), color.Palette{color.White, color.Black})
	var asPNG, asJPEG, asGIF bytes.Buffer
	if err := png.Encode(&asPNG, img); err != nil {
		f.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, img, nil); err != nil {
		f.Fatal(err)
	}
	if err := gif.Encode(&asGIF, img, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), "image/png", asPNG.Bytes())
	f.Add(uint8(0), "image/jpeg", asJPEG.Bytes())
	f.Add(uint8(0), "", asGIF.Bytes())
	f.Add(uint8(0), "", []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"))
	thin := bytes.Clone(asPNG.Bytes())
	binary.BigEndian.PutUint32(thin[16:], 1)
	binary.BigEndian.PutUint32(thin[20:], 1<<31-1)
	binary.BigEndian.PutUint32(thin[29:], crc32.ChecksumIEEE(thin[12:29]))
	f.Add(uint8(0), "", thin)
	f.Add(uint8(0), "multipart/form-data; boundary=x", append([]byte("--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n"), asPNG.Bytes()...))
	f.Add(uint8(1), "", []byte(`{"id":"a","parameters":{},"inputs":[{"name":"image","datatype":"FP32","shape":[1,3,4,4],"data":[1,2,3]}],"outputs":[{"name":"p"}]}`))
	f.Add(uint8(1), "", []byte(`{"inputs":[{"name":"image","datatype":"FP32","shape":[9223372036854775807,3,4,4],"data":[[[[1e39]]]]}]}`))
	f.Add(uint8(1), "", []byte(`{"inputs":[{"name":"image","datatype":"FP32","shape":[-1,3,4,4],"data":[NaN]}]}`))
	var list []any
	for i, v := range every().Inputs {
		list = append(list, map[string]any{"name": v.Name, "datatype": []string{"FP32", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64",
			"BOOL", "FP16", "FP64", "UINT32", "UINT64", "BF16"}[i], "shape": []int{2, 1}, "data": []int{0, 1}})
	}
	b, err := json.Marshal(map[string]any{"inputs": list})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(2), "application/json", b)
	f.Fuzz(func(t *testing.T, to uint8, kind string, body []byte) {
		srv, path := pictures, "/classify"
		switch to % 3 {
		case 1:
			path = "/v2/models/model/infer"
		case 2:
			srv, path = tensors, "/v2/models/model/infer"
		}
		r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		r.Header.Set("Content-Type", kind)
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		var answer struct{ Error *string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %q: %v", w.Code, w.Body, err)
		}
		if w.Code != 200 && w.Code != 400 && w.Code != 413 && w.Code != 415 || (answer.Error == nil) != (w.Code == 200) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if path != "/classify" && w.Code == 200 {
			echo(t, srv, w.Body.Bytes())
		}
	})
}

// echo sends the outputs of a model that returns its inputs once more: they must
// come back the same.
func echo(t *testing.T, srv *serve.Server, answer []byte) {
	var got struct{ Outputs []map[string]json.RawMessage }
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Outputs) != len(every().Inputs) {
		return
	}
	for i, out := range got.Outputs {
		out["name"] = fmt.Appendf(nil, "%q", every().Inputs[i].Name)
	}
	body, err := json.Marshal(map[string]any{"inputs": got.Outputs})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v2/models/model/infer", bytes.NewReader(body)))
	var again struct{ Outputs []map[string]json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &again); err != nil || len(again.Outputs) != len(got.Outputs) {
		t.Fatalf("%s came back as %d %s", body, w.Code, w.Body)
	}
	for i, out := range again.Outputs {
		if !bytes.Equal(out["data"], got.Outputs[i]["data"]) || !bytes.Equal(out["shape"], got.Outputs[i]["shape"]) {
			t.Fatalf("%s came back as %s", body, w.Body)
		}
	}
}
