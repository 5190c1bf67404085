package serve

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is the server's read timeout under load. It is far above what a valid
// request takes on a machine that runs other tests beside this one.
const patience = time.Second

// A client is one of many that ask the same server.
type client struct {
	t        *testing.T
	addr     string
	http     *http.Client
	picture  []byte
	tensor   []byte
	until    time.Time
	answered []time.Duration // of valid requests
}

// post sends a request and returns the status code.
func (c *client) post(path string, body []byte) int {
	req, err := http.NewRequest("POST", "http://"+c.addr+path, bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0
	}
	// A server may close an idle connection just as it is used again. The client
	// repeats such a request where that does no harm, which it has to be told.
	req.Header.Set("Idempotency-Key", "x")
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Errorf("%s: %v", path, err)
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.t.Errorf("%s: %v", path, err)
	}
	return resp.StatusCode
}

func (c *client) valid(r *rand.Rand) {
	begin, code := time.Now(), 0
	if r.IntN(2) == 0 {
		code = c.post("/classify", c.picture)
	} else {
		code = c.post(inferPath, c.tensor)
	}
	c.answered = append(c.answered, time.Since(begin))
	if code != http.StatusOK {
		c.t.Errorf("a valid request: %d", code)
	}
}

func (c *client) malformed(r *rand.Rand) {
	list := [][]byte{{}, []byte("{"), []byte(`{"inputs":[]}`), c.picture[:len(c.picture)/2], c.tensor[:len(c.tensor)/2], make([]byte, 5000)}
	path := []string{"/classify", inferPath, "/absent"}[r.IntN(3)]
	if code := c.post(path, list[r.IntN(len(list))]); code < 400 || code > 499 {
		c.t.Errorf("a malformed request to %s: %d", path, code)
	}
}

// slow sends a few bytes, waits and goes away, before or after the server's
// patience ends.
func (c *client) slow(r *rand.Rand) {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(c.picture))
	for i := 0; i < 5 && time.Now().Before(c.until); i++ {
		if _, err := conn.Write(c.picture[i : i+1]); err != nil {
			return // the server has had enough
		}
		time.Sleep(patience/10 + time.Duration(r.Int64N(int64(patience/2))))
	}
}

// TestLoad has 50 clients send valid, malformed and slow requests for two
// seconds, and with LANES_LONG=1 200 clients for 30 seconds. Every valid request
// must be answered 200, and the heap must stay below what the requests in flight
// can hold.
func TestLoad(t *testing.T) {
	clients, length := 50, 2*time.Second
	switch {
	case os.Getenv("LANES_LONG") != "":
		clients, length = 200, 30*time.Second
	case testing.Short():
		clients, length = 10, time.Second/2
	}
	srv := open(t, classifier(t, 0), Options{BatchDelay: time.Millisecond, ReadTimeout: patience, RequestTimeout: time.Minute})
	addr, stop := listen(t, srv)
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	r := rand.New(rand.NewPCG(7, 8))
	base := client{t: t, addr: addr, http: &http.Client{Transport: transport}, until: time.Now().Add(length),
		picture: encoded(t, 200, 150, png.Encode), tensor: tensors("image", "FP32", []int{1, 3, 12, 12}, pixels(r, 1))}
	var most atomic.Uint64
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for ; time.Now().Before(base.until); time.Sleep(50 * time.Millisecond) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse))
		}
	}()
	list := make([]client, clients)
	var wait sync.WaitGroup
	for i := range list {
		list[i] = base
		c, r := &list[i], rand.New(rand.NewPCG(9, uint64(i)))
		wait.Go(func() {
			for time.Now().Before(c.until) {
				switch n := r.IntN(20); {
				case n < 14:
					c.valid(r)
				case n < 19:
					c.malformed(r)
				default:
					c.slow(r)
				}
			}
		})
	}
	wait.Wait()
	<-watching
	if err := stop(); err != nil {
		t.Error(err)
	}
	var times []time.Duration
	for i := range list {
		times = append(times, list[i].answered...)
	}
	if len(times) == 0 {
		t.Fatal("no valid request")
	}
	slices.Sort(times)
	at := func(q float64) time.Duration { return times[int(q*float64(len(times)-1))].Round(10 * time.Microsecond) }
	t.Logf("%d clients, %v: %d valid requests, %.0f a second, p50 %v, p99 %v, most %v; %.1f rows a run; heap at most %d MiB",
		clients, length, len(times), float64(len(times))/length.Seconds(), at(0.5), at(0.99), at(1),
		srv.metrics.rows.sum/float64(max(sum(srv.metrics.rows.counts), 1)), most.Load()>>20)
	// A request holds its body (200x150 PNG: 10 KiB), two connections' buffers
	// (16 KiB), a stack and a tensor on either side: 128 KiB each is ample. A
	// picture being decoded, resized: 1 MiB for each thread. Garbage doubles it.
	if bound := uint64(2 * (clients*128<<10 + runtime.GOMAXPROCS(0)<<20 + 16<<20)); most.Load() > bound {
		t.Errorf("the heap had %d MiB, want %d at most", most.Load()>>20, bound>>20)
	}
	waitFor(t, "nothing in flight", func() bool { return srv.metrics.inFlight.Load() == 0 && srv.bodies.Load() == 0 })
}
