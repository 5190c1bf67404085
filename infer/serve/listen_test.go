package serve

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listen serves on a free port of the loopback interface. stop ends it and
// returns what Serve returned.
func listen(t testing.TB, srv *Server) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	t.Cleanup(cancel)
	return l.Addr().String(), func() error {
		cancel()
		return <-done
	}
}

// TestShutdown ends the server while a request waits: it must be answered, and
// new ones refused.
func TestShutdown(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{BatchDelay: 500 * time.Millisecond})
	addr, stop := listen(t, srv)
	img := encoded(t, 5, 5, png.Encode)
	type result struct {
		code int
		err  error
	}
	answered := make(chan result, 1)
	go func() {
		resp, err := http.Post("http://"+addr+"/classify", "image/png", bytes.NewReader(img))
		if err != nil {
			answered <- result{0, err}
			return
		}
		_, err = io.Copy(io.Discard, resp.Body)
		answered <- result{resp.StatusCode, err}
		resp.Body.Close()
	}()
	waitFor(t, "a request in the queue", func() bool { return srv.batcher.waiting() == 1 })
	begin := time.Now()
	if err := stop(); err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if r := <-answered; r.code != 200 || r.err != nil {
		t.Errorf("the request that waited: %d, %v", r.code, r.err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("stopping took %v", d)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		t.Error("a connection after the end")
		c.Close()
	}
}

// TestDrainTimeout ends the server while a client never finishes its request.
func TestDrainTimeout(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{DrainTimeout: 20 * time.Millisecond, ReadTimeout: time.Hour})
	addr, stop := listen(t, srv)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
	waitFor(t, "a body begun", func() bool { return srv.bodies.Load() == 3 })
	if err := stop(); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

// TestSlowClients sends requests that stop in their headers and in their bodies.
func TestSlowClients(t *testing.T) {
	srv := open(t, classifier(t, 0), Options{ReadTimeout: 300 * time.Millisecond})
	addr, _ := listen(t, srv)
	for _, c := range []struct{ sent, want string }{
		{"POST /classify HTTP/1.1\r\nHost: x\r\n", ""},
		{"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", "HTTP/1.1 408 "},
		{"POST /v2/models/model/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"i", "HTTP/1.1 408 "},
		{"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 1<<17), "HTTP/1.1 431 "},
		{"nonsense\r\n\r\n", "HTTP/1.1 400 "},
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// The server may close before it has read everything.
		_, _ = io.WriteString(conn, c.sent)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(line, c.want) || c.want == "" && line != "" {
			t.Errorf("%.60q: %q, %v", c.sent, line, err)
		}
		conn.Close()
	}
}
