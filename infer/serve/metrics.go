package serve

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// endpoints are the values of the label: every request counts for one of them,
// so that clients cannot make series.
var endpoints = []string{"classify", "infer", "model", "health", "metrics", "page", "other"}

// codes are the answers that the server gives.
var codes = []int{200, 400, 404, 405, 408, 413, 415, 499, 500, 503, 504}

// codeClosed stands for a client that went away before its answer. It is not
// sent.
const codeClosed = 499

// metrics counts what the server does.
type metrics struct {
	requests map[string][]atomic.Int64 // by endpoint, in the order of codes
	latency  map[string]*histogram     // seconds by endpoint, of those that use the model
	rows     *histogram                // of a run
	runs     *histogram                // seconds
	inFlight atomic.Int64
	server   *Server
}

func (m *metrics) init(s *Server) {
	m.server = s
	m.requests, m.latency = map[string][]atomic.Int64{}, map[string]*histogram{}
	for _, e := range endpoints {
		m.requests[e] = make([]atomic.Int64, len(codes))
	}
	// From 0.5 ms to 32 s, each twice the last.
	var times []float64
	for t := 0.0005; t < 33; t *= 2 {
		times = append(times, t)
	}
	m.latency["classify"], m.latency["infer"] = newHistogram(times), newHistogram(times)
	m.runs = newHistogram(times)
	var rows []float64
	for n := 1; n <= s.opt.MaxBatch; n *= 2 {
		rows = append(rows, float64(n))
	}
	m.rows = newHistogram(rows)
}

// answered counts a request.
func (m *metrics) answered(endpoint string, code int, seconds float64) {
	i := slices.Index(codes, code)
	if i < 0 {
		i = slices.Index(codes, http.StatusInternalServerError)
	}
	m.requests[endpoint][i].Add(1)
	if h := m.latency[endpoint]; h != nil {
		h.observe(seconds)
	}
}

// write prints everything in the text format of Prometheus, version 0.0.4.
func (m *metrics) write(to io.Writer) error {
	w := bufio.NewWriter(to)
	head := func(name, kind, help string) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	head("lanes_requests_total", "counter", "Requests answered, by endpoint and status code; 499 is a client that went away.")
	for _, e := range endpoints {
		for i, code := range codes {
			if n := m.requests[e][i].Load(); n > 0 {
				fmt.Fprintf(w, "lanes_requests_total{endpoint=%q,code=\"%d\"} %d\n", e, code, n)
			}
		}
	}
	head("lanes_request_seconds", "histogram", "Time from a request's headers to the end of its answer.")
	for _, e := range endpoints {
		if h := m.latency[e]; h != nil {
			h.write(w, "lanes_request_seconds", fmt.Sprintf("endpoint=%q", e))
		}
	}
	head("lanes_run_seconds", "histogram", "Time of a run of the model.")
	m.runs.write(w, "lanes_run_seconds", "")
	head("lanes_run_rows", "histogram", "Rows of a run of the model.")
	m.rows.write(w, "lanes_run_rows", "")
	gauge := func(name, help string, value int64) {
		head(name, "gauge", help)
		fmt.Fprintf(w, "%s %d\n", name, value)
	}
	gauge("lanes_requests_in_flight", "Requests being read, waiting, running or being answered.", m.inFlight.Load())
	gauge("lanes_queue_length", "Requests waiting for a run.", int64(m.server.batcher.waiting()))
	gauge("lanes_body_bytes", "Bytes of the bodies of all requests in flight.", m.server.bodies.Load())
	gauge("lanes_arena_bytes", "Memory of one run's intermediate results.", int64(m.server.session.PeakBytes()))
	return w.Flush()
}

// A histogram counts values by upper bounds.
type histogram struct {
	bounds []float64
	mu     sync.Mutex
	counts []int64 // by bound, and those above
	sum    float64
}

func newHistogram(bounds []float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]int64, len(bounds)+1)}
}

func (h *histogram) observe(v float64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.mu.Lock()
	h.counts[i]++
	h.sum += v
	h.mu.Unlock()
}

func (h *histogram) write(w io.Writer, name, label string) {
	h.mu.Lock()
	counts, sum := slices.Clone(h.counts), h.sum
	h.mu.Unlock()
	braces, comma := "", ""
	if label != "" {
		braces, comma = "{"+label+"}", label+","
	}
	total := int64(0)
	for i, bound := range append(slices.Clone(h.bounds), math.Inf(1)) {
		total += counts[i]
		fmt.Fprintf(w, "%s_bucket{%sle=\"%s\"} %d\n", name, comma, number(bound), total)
	}
	fmt.Fprintf(w, "%s_sum%s %s\n%s_count%s %d\n", name, braces, number(sum), name, braces, total)
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
