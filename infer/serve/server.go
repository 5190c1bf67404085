package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golanes/lanes/infer"
)

// Options say what a server accepts. Fields that are zero take the default.
type Options struct {
	// Name of the model in paths; by default "model".
	Name string
	// Version of the program in /v2.
	Version string
	// Top is how many classes /classify answers with if the request does not
	// say; by default 5.
	Top int

	// MaxBatch is the most rows of a run, by default 16. Requests are gathered
	// up to it for at most BatchDelay, by default not at all: what waits while a
	// run is busy is gathered anyway. A request of more rows is refused.
	MaxBatch   int
	BatchDelay time.Duration
	// MaxQueue is the most requests that wait for a run; by default 256. A
	// request that finds the queue full is answered 503 with Retry-After.
	MaxQueue int
	// Workers is the number of runs at a time, by default 1. A run uses all
	// threads already.
	Workers int

	// MaxBody is the most bytes of a body, by default 16 MiB; MaxBodies that of
	// all bodies at a time, by default 16 times MaxBody.
	MaxBody, MaxBodies int64
	// MaxPixels is the most pixels of a picture; by default 2^24.
	MaxPixels int

	// ReadTimeout is how long a client may take to send a request, its headers
	// within a third of it; by default 15 s. RequestTimeout is how long a request
	// may wait and run, by default 30 s. DrainTimeout is how long Serve waits for
	// requests after it was told to stop, by default 20 s.
	ReadTimeout, RequestTimeout, DrainTimeout time.Duration

	// Log receives what no client is told; by default nothing is logged.
	Log *log.Logger
}

// withDefaults returns opt with its zero fields set.
func (opt Options) withDefaults() Options {
	set(&opt.Name, "model")
	set(&opt.Version, "devel")
	set(&opt.Top, 5)
	set(&opt.MaxBatch, 16)
	set(&opt.MaxQueue, 256)
	set(&opt.Workers, 1)
	set(&opt.MaxBody, 16<<20)
	set(&opt.MaxBodies, 16*opt.MaxBody)
	set(&opt.MaxPixels, 1<<24)
	set(&opt.ReadTimeout, 15*time.Second)
	set(&opt.RequestTimeout, 30*time.Second)
	set(&opt.DrainTimeout, 20*time.Second)
	set(&opt.Log, log.New(io.Discard, "", 0))
	return opt
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// A Server answers requests with one model. It must be closed.
type Server struct {
	opt        Options
	session    *infer.Session
	classifier *infer.Classifier // nil: pictures are not taken, for the reason
	reason     error
	batcher    *batcher
	metrics    metrics
	handler    http.Handler
	decoding   chan struct{} // a token for each body that is being decoded
	bodies     atomic.Int64  // bytes of all bodies
	draining   atomic.Bool
}

// New makes a server for a session. pictures says how pictures become the model's
// input; a model that takes none still has its paths under /v2.
func New(s *infer.Session, pictures infer.ImageOptions, opt Options) (*Server, error) {
	opt = opt.withDefaults()
	switch {
	case opt.MaxBatch < 1 || opt.MaxBatch > 1<<12:
		return nil, fmt.Errorf("serve: batches of %d, want 1 to %d", opt.MaxBatch, 1<<12)
	case opt.Workers < 1 || opt.Workers > 1<<10:
		return nil, fmt.Errorf("serve: %d workers, want 1 to %d", opt.Workers, 1<<10)
	case opt.MaxQueue < 1 || opt.Top < 1 || opt.MaxBody < 1 || opt.MaxBodies < opt.MaxBody || opt.MaxPixels < 1:
		return nil, errors.New("serve: limits must be positive")
	case opt.BatchDelay < 0 || opt.ReadTimeout < 0 || opt.RequestTimeout < 0 || opt.DrainTimeout < 0:
		return nil, errors.New("serve: times must not be negative")
	}
	if strings.Contains(opt.Name, "/") {
		return nil, fmt.Errorf("serve: a slash in the model's name %q", opt.Name)
	}
	for _, v := range slices.Concat(s.Inputs(), s.Outputs()) {
		if datatypes[v.Type] == "" {
			return nil, fmt.Errorf("serve: %q is a tensor of %v, which JSON requests cannot hold", v.Name, v.Type)
		}
	}
	srv := &Server{opt: opt, session: s, decoding: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if srv.classifier, srv.reason = infer.NewClassifier(s, pictures); srv.reason != nil && srv.looksLikePictures() {
		return nil, srv.reason
	}
	srv.metrics.init(srv)
	srv.batcher = newBatcher(srv)
	srv.handler = srv.routes()
	return srv, nil
}

// looksLikePictures reports whether the model's one input has four dimensions:
// then options that do not fit are a mistake.
func (s *Server) looksLikePictures() bool {
	in := s.session.Inputs()
	return len(in) == 1 && len(s.session.Outputs()) == 1 && len(in[0].Shape) == 4 && (in[0].Shape[1].Size == 1 || in[0].Shape[1].Size == 3)
}

// Batches reports whether requests share runs.
func (s *Server) Batches() bool { return s.batcher.open }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve accepts connections on l until ctx ends. It then refuses new ones,
// answers the requests that it has begun to read, within the drain timeout, and
// returns nil. The listener is closed in any case.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: max(s.opt.ReadTimeout/3, time.Millisecond),
		ReadTimeout:       s.opt.ReadTimeout,
		// A slow reader holds nothing but its answer, so one bound does for all.
		WriteTimeout:   2*s.opt.ReadTimeout + s.opt.RequestTimeout,
		IdleTimeout:    4 * s.opt.ReadTimeout,
		MaxHeaderBytes: 1 << 16,
		ErrorLog:       s.opt.Log,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	patience, cancel := context.WithTimeout(context.Background(), s.opt.DrainTimeout)
	defer cancel()
	err := server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		s.opt.Log.Printf("requests still open after %v are cut off", s.opt.DrainTimeout)
		err = server.Close()
	}
	<-served
	return err
}

// Close ends the runs after those that wait are done. Requests after it are
// answered 503.
func (s *Server) Close() {
	s.draining.Store(true)
	s.batcher.close()
}
