package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golanes/lanes/infer"
	"github.com/golanes/lanes/infer/onnx"
)

func pixels(r *rand.Rand, rows int) []float32 {
	x := make([]float32, rows*3*12*12)
	for i := range x {
		x[i] = r.Float32()
	}
	return x
}

// TestBatching sends requests of several rows at once and compares every answer
// with a run of its row alone.
func TestBatching(t *testing.T) {
	s := classifier(t, 0)
	// A long delay gathers all 16 rows, which are then run as one batch.
	srv := open(t, s, Options{MaxBatch: 16, BatchDelay: time.Minute, RequestTimeout: 2 * time.Minute})
	r := rand.New(rand.NewPCG(5, 6))
	var wait sync.WaitGroup
	for _, rows := range []int{1, 3, 1, 2, 4, 5} {
		x := pixels(r, rows)
		wait.Go(func() {
			code, answer := ask(t, srv, "POST", inferPath, "", tensors("image", "FP32", []int{rows, 3, 12, 12}, x))
			if code != 200 {
				t.Errorf("%d rows: %d %v", rows, code, answer)
				return
			}
			got := answer["outputs"].([]any)[0].(map[string]any)["data"].([]any)
			for row := range rows {
				want := make([]*infer.Tensor, 1)
				if err := s.Run(want, []*infer.Tensor{infer.FromFloat32s(x[row*432:(row+1)*432], 1, 3, 12, 12)}); err != nil {
					t.Error(err)
					return
				}
				for i, v := range want[0].Float32s() {
					// A convolution of 27 products of at most 1/2, a mean over 144
					// and a sum of 8: 179 roundings of sums below 14 each way,
					// eightfold where Winograd's algorithm was chosen for one shape.
					if d := math.Abs(got[3*row+i].(float64) - float64(v)); !(d <= 2*8*179*14*0x1p-24) {
						t.Errorf("%d rows: row %d score %d is %v, %v alone", rows, row, i, got[3*row+i], v)
					}
				}
			}
		})
	}
	wait.Wait()
	if n, runs := srv.metrics.rows.sum, sum(srv.metrics.rows.counts); n != 16 || runs != 1 {
		t.Errorf("%v rows in %d runs", n, runs)
	}
}

func sum(list []int64) (n int64) {
	for _, v := range list {
		n += v
	}
	return n
}

// TestOddBatch checks that rows are cut into powers of two.
func TestOddBatch(t *testing.T) {
	srv := open(t, pair(t), Options{MaxBatch: 13})
	data, err := json.Marshal([]float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25})
	if err != nil {
		t.Fatal(err)
	}
	input := func(name string) string {
		return fmt.Sprintf(`{"name":%q,"datatype":"FP32","shape":[13,2],"data":%s}`, name, data)
	}
	code, answer := ask(t, srv, "POST", inferPath, "", []byte(`{"inputs":[`+input("a")+","+input("b")+`]}`))
	if code != 200 {
		t.Fatalf("%d %v", code, answer)
	}
	for i, v := range answer["outputs"].([]any)[1].(map[string]any)["data"].([]any) {
		if v.(float64) != float64(i*i) {
			t.Errorf("element %d is %v", i, v)
		}
	}
	if h := srv.metrics.rows; h.sum != 13 || h.counts[0] != 1 || h.counts[2] != 1 || h.counts[3] != 1 {
		t.Errorf("runs by rows: %v", h.counts)
	}
}

// TestMixedRows checks that a model whose rows depend on each other is not given
// batches of several requests.
func TestMixedRows(t *testing.T) {
	for _, axis := range []int64{0, 1} {
		srv := open(t, session(t, onnx.Graph{
			Nodes:   []onnx.Node{{Op: "Softmax", Inputs: []string{"x"}, Outputs: []string{"y"}, Attributes: []onnx.Attribute{{Name: "axis", Type: onnx.AttributeInt, Int: axis}}}},
			Inputs:  []onnx.ValueInfo{value("x", onnx.Float32, -1, 4)},
			Outputs: []onnx.ValueInfo{value("y", onnx.Float32, -1, 4)},
		}), Options{})
		if srv.Batches() != (axis == 1) {
			t.Errorf("softmax over axis %d: batches %v", axis, srv.Batches())
		}
		if code, answer := ask(t, srv, "POST", inferPath, "", tensors("x", "FP32", []int{3, 4}, make([]float32, 12))); code != 200 {
			t.Errorf("%d %v", code, answer)
		}
	}
}

// TestOneFails checks that a request which the model cannot run does not fail
// those that share its batch.
func TestOneFails(t *testing.T) {
	srv := open(t, session(t, onnx.Graph{
		Nodes:        []onnx.Node{{Op: "Gather", Inputs: []string{"table", "i"}, Outputs: []string{"y"}}},
		Initializers: []onnx.Tensor{onnx.NewFloat32("table", []float32{5, 6, 7}, 3)},
		Inputs:       []onnx.ValueInfo{value("i", onnx.Int64, -1, 1)},
		Outputs:      []onnx.ValueInfo{value("y", onnx.Float32, -1, 1)},
	}), Options{MaxBatch: 4, BatchDelay: time.Minute, RequestTimeout: 2 * time.Minute})
	if !srv.Batches() {
		t.Fatal("no batches")
	}
	var wait sync.WaitGroup
	for _, i := range []int{0, 1, 9, 2} {
		wait.Go(func() {
			code, answer := ask(t, srv, "POST", inferPath, "", tensors("i", "INT64", []int{1, 1}, []int{i}))
			if (code == 200) != (i < 3) {
				t.Errorf("row %d: %d %v", i, code, answer)
			}
		})
	}
	wait.Wait()
}

// waitFor polls until a condition holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for begin := time.Now(); !cond(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// TestFullQueue keeps a request waiting for its batch, so that the queue of one
// is full.
func TestFullQueue(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{MaxQueue: 1, BatchDelay: time.Hour, RequestTimeout: time.Hour})
	img := encoded(t, 5, 5, png.Encode)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		r := httptest.NewRequestWithContext(ctx, "POST", "/classify", bytes.NewReader(img))
		srv.ServeHTTP(httptest.NewRecorder(), r)
	})
	waitFor(t, "a request in the queue", func() bool { return srv.batcher.waiting() == 1 })
	if code, _ := ask(t, srv, "POST", "/classify", "", img); code != http.StatusServiceUnavailable {
		t.Errorf("a full queue: %d", code)
	}
	cancel() // a client that gives up makes room
	wait.Wait()
	if n := srv.batcher.waiting(); n != 0 {
		t.Errorf("%d requests wait after the client is gone", n)
	}
	if n := srv.metrics.requests["classify"][7].Load(); codes[7] != codeClosed || n != 1 {
		t.Errorf("%d clients went away", n)
	}
}

func TestRequestTimeout(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{BatchDelay: time.Hour, RequestTimeout: 10 * time.Millisecond})
	if code, answer := ask(t, srv, "POST", "/classify", "", encoded(t, 5, 5, png.Encode)); code != http.StatusGatewayTimeout {
		t.Errorf("%d %v", code, answer)
	}
}

// TestBodies checks the bound on the bytes of all bodies.
func TestBodies(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{MaxBody: 1 << 20, MaxBodies: 1 << 20, BatchDelay: time.Hour, RequestTimeout: time.Hour})
	img := append(encoded(t, 5, 5, png.Encode), make([]byte, 600<<10)...) // what follows a picture is ignored
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		srv.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", "/classify", bytes.NewReader(img)))
	})
	waitFor(t, "a request in the queue", func() bool { return srv.batcher.waiting() == 1 })
	if code, answer := ask(t, srv, "POST", "/classify", "", img); code != http.StatusServiceUnavailable {
		t.Errorf("%d %v", code, answer)
	}
	cancel()
	wait.Wait()
	if n := srv.bodies.Load(); n != 0 {
		t.Errorf("%d bytes of bodies after all requests", n)
	}
}
