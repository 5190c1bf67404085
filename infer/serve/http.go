package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/golanes/lanes/infer"
)

// A statusError is an error with the status code that a client gets for it.
type statusError struct {
	code int
	err  error
}

// Error is the text that the client gets.
func (e *statusError) Error() string { return e.err.Error() }

func fail(code int, format string, args ...any) error {
	return &statusError{code, fmt.Errorf(format, args...)}
}

// status returns the code for an error of a handler.
func status(err error) int {
	var known *statusError
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errFull), errors.Is(err, errClosed), errors.Is(err, errBodies):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled):
		return codeClosed
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}

// A recorder remembers the status code.
type recorder struct {
	http.ResponseWriter
	code int
}

// WriteHeader is of [http.ResponseWriter].
func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap lets [http.ResponseController] and [http.MaxBytesReader] reach the
// connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// routes makes the handler of all paths.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(pattern, endpoint string, f func(w http.ResponseWriter, r *http.Request) error) {
		mux.Handle(pattern, s.handle(endpoint, http.MethodGet, f))
	}
	post := func(pattern, endpoint string, f func(w http.ResponseWriter, r *http.Request) error) {
		mux.Handle(pattern, s.handle(endpoint, http.MethodPost, f))
	}
	for pattern, file := range pageFiles {
		get(pattern, "page", func(w http.ResponseWriter, _ *http.Request) error { return s.page(w, file) })
	}
	get("/metrics", "metrics", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		return s.metrics.write(w)
	})
	get("/v2", "model", s.serverInfo)
	get("/v2/health/live", "health", func(w http.ResponseWriter, r *http.Request) error {
		return reply(w, map[string]bool{"live": true})
	})
	get("/v2/health/ready", "health", func(w http.ResponseWriter, r *http.Request) error {
		if s.draining.Load() {
			return errClosed
		}
		return reply(w, map[string]bool{"ready": true})
	})
	for _, model := range []string{"/v2/models/{name}", "/v2/models/{name}/versions/{version}"} {
		get(model, "model", s.named(s.modelInfo))
		get(model+"/ready", "health", s.named(s.modelReady))
		post(model+"/infer", "infer", s.named(s.infer))
	}
	post("/classify", "classify", s.classify)
	mux.Handle("/", s.handle("other", "", func(http.ResponseWriter, *http.Request) error {
		return fail(http.StatusNotFound, "no such path")
	}))
	return mux
}

// handle wraps what all endpoints share: counting, the method, limits on body and
// time, and errors as JSON.
func (s *Server) handle(endpoint, method string, f func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		s.metrics.inFlight.Add(1)
		defer s.metrics.inFlight.Add(-1)
		ctx, cancel := context.WithTimeout(r.Context(), s.opt.RequestTimeout)
		defer cancel()
		body := &body{from: http.MaxBytesReader(w, r.Body, s.opt.MaxBody), server: s}
		defer body.release()
		r = r.WithContext(ctx)
		r.Body = body
		rec := &recorder{ResponseWriter: w, code: http.StatusOK}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		err := s.admit(r, method, rec)
		if err == nil {
			err = s.protect(func() error { return f(rec, r) })
		}
		if err != nil {
			rec.code = s.fail(w, r, err)
		}
		s.metrics.answered(endpoint, rec.code, time.Since(start).Seconds())
	})
}

// A panicError is a bug: the client learns no more than that.
type panicError struct{}

// Error hides the panic's value.
func (panicError) Error() string { return "internal error" }

// protect turns a panic into an error, so that one request cannot end the others.
func (s *Server) protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.opt.Log.Printf("panic: %v\n%s", v, debug.Stack())
			err = panicError{}
		}
	}()
	return f()
}

// admit refuses what needs no look at the body.
func (s *Server) admit(r *http.Request, method string, w http.ResponseWriter) error {
	if method != "" && r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
		w.Header().Set("Allow", method)
		return fail(http.StatusMethodNotAllowed, "%s is not allowed, %s is", strconv.Quote(r.Method), method)
	}
	if method != http.MethodPost {
		return nil
	}
	if s.draining.Load() {
		return errClosed
	}
	if r.ContentLength > s.opt.MaxBody {
		return fail(http.StatusRequestEntityTooLarge, "a body of %d bytes, at most %d are taken", r.ContentLength, s.opt.MaxBody)
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fail(http.StatusUnsupportedMediaType, "content encoding %q is not supported", e)
	}
	return nil
}

// fail answers with an error and returns its code.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) int {
	code := status(err)
	text := err.Error()
	switch code {
	case codeClosed:
		return code
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout:
		w.Header().Set("Connection", "close") // the rest of the body is not read
		if code == http.StatusRequestTimeout {
			text = "the body did not arrive in time"
		}
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusGatewayTimeout:
		text = fmt.Sprintf("no answer within %v", s.opt.RequestTimeout)
	case http.StatusInternalServerError:
		s.opt.Log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A client that is gone misses the answer, and nobody else needs it.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
	return code
}

// reply answers with JSON. It encodes first, so that a failure can still be told.
func reply(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // fails if the client is gone
	return nil
}

var errBodies = errors.New("too many large requests at a time")

// A body counts its bytes against those of all requests.
type body struct {
	from   io.ReadCloser
	server *Server
	held   int64
}

// Read is of [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.held += int64(n)
	if b.server.bodies.Add(int64(n)) > b.server.opt.MaxBodies {
		return n, errBodies
	}
	return n, err
}

// Close is of [io.Closer].
func (b *body) Close() error { return b.from.Close() }

func (b *body) release() { b.server.bodies.Add(-b.held) }

// readBody returns the bytes of a request.
func readBody(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(r)
	if err == nil && len(b) == 0 {
		err = fail(http.StatusBadRequest, "an empty body")
	}
	if err != nil && status(err) == http.StatusInternalServerError { // cut off, or malformed chunks
		err = fail(http.StatusBadRequest, "the body is incomplete: %v", err)
	}
	return b, err
}

// decode runs f when few enough others do the like: decoding needs several times
// the memory of what is decoded.
func (s *Server) decode(ctx context.Context, f func() error) error {
	select {
	case s.decoding <- struct{}{}:
		defer func() { <-s.decoding }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// classify answers with the classes of a picture.
func (s *Server) classify(w http.ResponseWriter, r *http.Request) error {
	if s.classifier == nil {
		return fail(http.StatusNotFound, "this model does not take pictures: %v", s.reason)
	}
	top := s.opt.Top
	if text := r.URL.Query().Get("top"); text != "" {
		var err error
		if top, err = strconv.Atoi(text); err != nil || top < 1 {
			return fail(http.StatusBadRequest, "top is %q, want a positive number", text)
		}
	}
	b, err := picture(r)
	if err != nil {
		return err
	}
	var in *infer.Tensor
	if err := s.decode(r.Context(), func() (err error) {
		in, err = s.decodePicture(b)
		return err
	}); err != nil {
		return err
	}
	out, err := s.batcher.do(r.Context(), []*infer.Tensor{in})
	if err != nil {
		return err
	}
	classes, err := s.classifier.Rank(out[0], top)
	if err != nil {
		return err
	}
	return reply(w, map[string]any{"classes": classes})
}

func (s *Server) decodePicture(b []byte) (*infer.Tensor, error) {
	img, err := infer.DecodeImage(bytes.NewReader(b), s.opt.MaxPixels)
	var size *infer.ImageSizeError
	switch {
	case errors.Is(err, image.ErrFormat):
		return nil, fail(http.StatusUnsupportedMediaType, "not a JPEG, PNG, GIF or WebP picture")
	case errors.As(err, &size):
		return nil, fail(http.StatusRequestEntityTooLarge, "%w", err)
	case err != nil:
		return nil, fail(http.StatusBadRequest, "the picture is damaged: %w", err)
	}
	in, err := s.classifier.Input(img)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "%w", err)
	}
	return in, nil
}

// picture returns the bytes of the picture in a request: those of the body, or of
// the first file of a form.
func picture(r *http.Request) ([]byte, error) {
	// A body of an unknown type may well be a picture: its own bytes tell.
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		return nil, fail(http.StatusUnsupportedMediaType, "JSON is no picture; tensors go to /v2/models/NAME/infer")
	case err != nil || kind != "multipart/form-data":
		return readBody(r.Body)
	case params["boundary"] == "":
		return nil, fail(http.StatusBadRequest, "a form without a boundary")
	}
	form := multipart.NewReader(r.Body, params["boundary"])
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil, fail(http.StatusBadRequest, "the form has no file")
		}
		if err != nil {
			if status(err) == http.StatusInternalServerError {
				err = fail(http.StatusBadRequest, "the form is malformed: %v", err)
			}
			return nil, err
		}
		if part.FileName() != "" {
			return readBody(part)
		}
	}
}

// named checks the model's name in the path, and its version if that is there too.
func (s *Server) named(f func(w http.ResponseWriter, r *http.Request) error) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if name := r.PathValue("name"); name != s.opt.Name {
			return fail(http.StatusNotFound, "no model %q", name)
		}
		if version := r.PathValue("version"); version != "" && version != modelVersion {
			return fail(http.StatusNotFound, "no version %q, only %s", version, modelVersion)
		}
		return f(w, r)
	}
}
