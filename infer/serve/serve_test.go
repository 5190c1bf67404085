package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

func value(name string, typ onnx.DataType, sizes ...int64) onnx.ValueInfo {
	v := onnx.ValueInfo{Name: name, Type: typ, Shape: []onnx.Dim{}}
	for _, n := range sizes {
		d := onnx.Dim{Size: n}
		if n < 0 {
			d.Name = "N"
		}
		v.Shape = append(v.Shape, d)
	}
	return v
}

func session(t testing.TB, g onnx.Graph) *infer.Session {
	t.Helper()
	s, err := infer.New(&onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// classifier is a network with random weights for 12x12 pictures and 3 classes.
// bias is added to the first score.
func classifier(t testing.TB, bias float32) *infer.Session {
	r := rand.New(rand.NewPCG(3, 4))
	random := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = r.Float32() - 0.5
		}
		return x
	}
	return session(t, onnx.Graph{
		Nodes: []onnx.Node{
			{Op: "Conv", Inputs: []string{"image", "w1", "b1"}, Outputs: []string{"c"}},
			{Op: "Relu", Inputs: []string{"c"}, Outputs: []string{"r"}},
			{Op: "GlobalAveragePool", Inputs: []string{"r"}, Outputs: []string{"p"}},
			{Op: "Flatten", Inputs: []string{"p"}, Outputs: []string{"f"}},
			{Op: "Gemm", Inputs: []string{"f", "w2", "b2"}, Outputs: []string{"scores"}},
		},
		Initializers: []onnx.Tensor{
			onnx.NewFloat32("w1", random(8*3*3*3), 8, 3, 3, 3), onnx.NewFloat32("b1", random(8), 8),
			onnx.NewFloat32("w2", random(8*3), 8, 3), onnx.NewFloat32("b2", []float32{bias, 0, 0}, 3),
		},
		Inputs:  []onnx.ValueInfo{value("image", onnx.Float32, -1, 3, 12, 12)},
		Outputs: []onnx.ValueInfo{value("scores", onnx.Float32, -1, 3)},
	})
}

// pair adds and multiplies two inputs.
func pair(t testing.TB) *infer.Session {
	return session(t, onnx.Graph{
		Nodes: []onnx.Node{
			{Op: "Add", Inputs: []string{"a", "b"}, Outputs: []string{"sum"}},
			{Op: "Mul", Inputs: []string{"a", "b"}, Outputs: []string{"product"}},
		},
		Inputs:  []onnx.ValueInfo{value("a", onnx.Float32, -1, 2), value("b", onnx.Float32, -1, 2)},
		Outputs: []onnx.ValueInfo{value("sum", onnx.Float32, -1, 2), value("product", onnx.Float32, -1, 2)},
	})
}

// open starts a server that is closed with the test.
func open(t testing.TB, s *infer.Session, opt Options) *Server {
	t.Helper()
	srv, err := New(s, infer.ImageOptions{}, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return srv
}

// ask sends a request to a handler and checks what holds for every answer: JSON,
// and an error if and only if the code says so.
func ask(t testing.TB, srv http.Handler, method, path, kind string, body []byte) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, r)
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s %s: %d %q: %v", method, path, w.Code, w.Body, err)
	}
	if _, failed := answer["error"]; failed != (w.Code != http.StatusOK) {
		t.Fatalf("%s %s: %d %v", method, path, w.Code, answer)
	}
	if w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	return w.Code, answer
}

func encoded(t testing.TB, w, h int, encode func(io.Writer, image.Image) error) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, color.RGBA{uint8(i * 255 / (w * h)), uint8(i % w * 255 / w), 80, 255})
	}
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webp is a lossless WebP picture of 1x1 pixels.
var webp = []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00")

func TestClassify(t *testing.T) {
	s := classifier(t, 0)
	srv := open(t, s, Options{})
	if !srv.Batches() {
		t.Error("the batch is open, but requests do not share runs")
	}
	c, err := infer.NewClassifier(s, infer.ImageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for kind, b := range map[string][]byte{
		"image/png":  encoded(t, 30, 20, png.Encode),
		"image/jpeg": encoded(t, 30, 20, func(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }),
		"image/gif":  encoded(t, 30, 20, func(w io.Writer, m image.Image) error { return gif.Encode(w, m, nil) }),
		"image/webp": webp,
	} {
		img, err := infer.DecodeImage(bytes.NewReader(b), 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		want, err := c.Classify(img, 2)
		if err != nil {
			t.Fatal(err)
		}
		var form bytes.Buffer
		m := multipart.NewWriter(&form)
		if err := m.WriteField("comment", "not the picture"); err != nil {
			t.Fatal(err)
		}
		part, err := m.CreateFormFile("picture", "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		for _, body := range []struct {
			kind string
			b    []byte
		}{{kind, b}, {"", b}, {"application/x-www-form-urlencoded", b}, {m.FormDataContentType(), form.Bytes()}} {
			code, answer := ask(t, srv, "POST", "/classify?top=2", body.kind, body.b)
			got := fmt.Sprint(answer["classes"])
			asJSON, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var wanted []any
			if err := json.Unmarshal(asJSON, &wanted); err != nil {
				t.Fatal(err)
			}
			if code != 200 || got != fmt.Sprint(wanted) {
				t.Errorf("%s as %q: %d %v, want %v", kind, body.kind, code, answer, wanted)
			}
		}
	}
}

// claim changes the size that a PNG's header claims. The checksum of the header
// is not looked at before the size.
func claim(t *testing.T, w, h uint32) []byte {
	img := encoded(t, 4, 4, png.Encode)
	for i, v := range []uint32{w, h} {
		for j := range 4 {
			img[16+4*i+j] = byte(v >> (24 - 8*j))
		}
	}
	return fixPNG(img)
}

func TestWrongPictures(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{MaxBody: 1 << 16, MaxPixels: 10000})
	good := encoded(t, 30, 20, png.Encode)
	for name, c := range map[string]struct {
		path, kind string
		body       []byte
		code       int
		want       string
	}{
		"empty":          {"/classify", "", nil, 400, "empty"},
		"text":           {"/classify", "text/plain", []byte("a cat"), 415, "JPEG"},
		"JSON":           {"/classify", "application/json", []byte("{}"), 415, "/v2"},
		"cut":            {"/classify", "", good[:len(good)-20], 400, "damaged"},
		"too many bytes": {"/classify", "", make([]byte, 1<<16+1), 413, "at most"},
		"too many":       {"/classify", "", encoded(t, 101, 100, png.Encode), 413, "101x100"},
		"huge claim":     {"/classify", "", claim(t, 1<<14, 1<<14), 413, "too large"},
		"long and thin":  {"/classify", "", claim(t, 1, 1<<15), 413, "too large"},
		"no size":        {"/classify", "", claim(t, 0, 5), 400, "damaged"},
		"form, no file":  {"/classify", "multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n"), 400, "no file"},
		"form, cut":      {"/classify", "multipart/form-data; boundary=x", []byte("--x\r\nContent-Dis"), 400, "malformed"},
		"form, bare":     {"/classify", "multipart/form-data", []byte("--x"), 400, "boundary"},
		"top 0":          {"/classify?top=0", "", good, 400, "top"},
		"top a word":     {"/classify?top=many", "", good, 400, "top"},
	} {
		t.Run(name, func(t *testing.T) {
			code, answer := ask(t, srv, "POST", c.path, c.kind, c.body)
			if code != c.code || !strings.Contains(answer["error"].(string), c.want) {
				t.Errorf("%d %v, want %d %q", code, answer, c.code, c.want)
			}
		})
	}
	r := httptest.NewRequest("POST", "/classify", bytes.NewReader(good))
	r.Header.Set("Content-Encoding", "gzip")
	w := httptest.NewRecorder()
	if srv.ServeHTTP(w, r); w.Code != 415 {
		t.Errorf("compressed: %d", w.Code)
	}
	// Bytes of the length unknown are counted as they come.
	r = httptest.NewRequest("POST", "/classify", io.LimitReader(rand8{}, 1<<17))
	r.ContentLength = -1
	w = httptest.NewRecorder()
	if srv.ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("endless: %d %s", w.Code, w.Body)
	}
	if n := srv.bodies.Load(); n != 0 {
		t.Errorf("%d bytes of bodies after all requests", n)
	}
}

// rand8 is an endless body.
type rand8 struct{}

func (rand8) Read(p []byte) (int, error) { return len(p), nil }

func TestPaths(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{Name: "net 1", Version: "v1.2.3"})
	for _, c := range []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/v2", 200, `map[extensions:[] name:lanes version:v1.2.3]`},
		{"GET", "/v2/health/live", 200, `map[live:true]`},
		{"GET", "/v2/health/ready", 200, `map[ready:true]`},
		{"GET", "/v2/models/net%201", 200, `map[inputs:[map[datatype:FP32 name:image shape:[-1 3 12 12]]] name:net 1 outputs:[map[datatype:FP32 name:scores shape:[-1 3]]] platform:onnx_lanes versions:[1]]`},
		{"GET", "/v2/models/net%201/ready", 200, `map[name:net 1 ready:true]`},
		{"GET", "/v2/models/net%201/versions/1/ready", 200, `map[name:net 1 ready:true]`},
		{"GET", "/v2/models/net%201/versions/2/ready", 404, `map[error:no version "2", only 1]`},
		{"GET", "/v2/models/net%201/versions/1/infer", 405, `map[error:"GET" is not allowed, POST is]`},
		{"GET", "/v2/models/other/versions/1", 404, `map[error:no model "other"]`},
		{"GET", "/v2/models/other", 404, `map[error:no model "other"]`},
		{"POST", "/v2/models/other/infer", 404, `map[error:no model "other"]`},
		{"GET", "/v2/models/net%201/infer", 405, `map[error:"GET" is not allowed, POST is]`},
		{"DELETE", "/metrics", 405, `map[error:"DELETE" is not allowed, GET is]`},
		{"GET", "/absent", 404, `map[error:no such path]`},
		{"POST", "/", 405, `map[error:"POST" is not allowed, GET is]`},
	} {
		if code, answer := ask(t, srv, c.method, c.path, "", nil); code != c.code || fmt.Sprint(answer) != c.want {
			t.Errorf("%s %s: %d %v", c.method, c.path, code, answer)
		}
	}
	srv.Close()
	for _, path := range []string{"/v2/health/ready", "/v2/models/net%201/ready"} {
		if code, _ := ask(t, srv, "GET", path, "", nil); code != 503 {
			t.Errorf("%s after Close: %d", path, code)
		}
	}
	if code, _ := ask(t, srv, "POST", "/classify", "", encoded(t, 5, 5, png.Encode)); code != 503 {
		t.Errorf("classify after Close: %d", code)
	}
}

// TestNotFinite checks that scores which are no numbers become errors.
func TestNotFinite(t *testing.T) {
	for _, bias := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		srv := open(t, classifier(t, bias), Options{})
		code, answer := ask(t, srv, "POST", "/classify", "", encoded(t, 5, 5, png.Encode))
		if code != 500 || !strings.Contains(answer["error"].(string), "finite") {
			t.Errorf("bias %v: %d %v", bias, code, answer)
		}
		code, answer = ask(t, srv, "POST", "/v2/models/model/infer", "", tensors("image", "FP32", []int{1, 3, 12, 12}, make([]float32, 432)))
		if code != 500 || !strings.Contains(answer["error"].(string), "JSON cannot hold") {
			t.Errorf("bias %v: %d %v", bias, code, answer)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	s := classifier(t, 0)
	for name, opt := range map[string]Options{
		"batch": {MaxBatch: -1}, "batch too large": {MaxBatch: 1 << 20}, "queue": {MaxQueue: -1}, "time": {ReadTimeout: -1},
		"bodies": {MaxBody: 10, MaxBodies: 5}, "name": {Name: "a/b"},
	} {
		if _, err := New(s, infer.ImageOptions{}, opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(s, infer.ImageOptions{Width: 99}, Options{}); err == nil {
		t.Error("pictures of another size: no error")
	}
	srv := open(t, pair(t), Options{})
	if code, answer := ask(t, srv, "POST", "/classify", "", webp); code != 404 {
		t.Errorf("a model without pictures: %d %v", code, answer)
	}
}

func TestMetrics(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{})
	for range 3 {
		ask(t, srv, "POST", "/classify", "", webp)
	}
	ask(t, srv, "POST", "/classify", "", nil)
	for i := range 50 { // a client cannot make series
		ask(t, srv, fmt.Sprintf("M%d", i), fmt.Sprintf("/absent%d", i), "", nil)
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`lanes_requests_total{endpoint="classify",code="200"} 3`,
		`lanes_requests_total{endpoint="classify",code="400"} 1`,
		`lanes_requests_total{endpoint="other",code="404"} 50`,
		`lanes_request_seconds_bucket{endpoint="classify",le="+Inf"} 4`,
		`lanes_request_seconds_count{endpoint="classify"} 4`,
		`lanes_run_rows_bucket{le="1"} 3`,
		`lanes_run_rows_sum 3`,
		`lanes_run_seconds_count 3`,
		`lanes_requests_in_flight 1`,
		`lanes_queue_length 0`,
		`lanes_body_bytes 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
	if n := strings.Count(text, "\n"); n > 120 {
		t.Errorf("%d lines", n)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, isType := strings.CutPrefix(line, "# TYPE "); isType {
			seen[strings.Fields(name)[0]] = true
		}
		name, _, _ := strings.Cut(line, "{")
		name, _, _ = strings.Cut(name, " ")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if name != "#" && !seen[name] {
			t.Errorf("no type before %q", line)
		}
	}
}
