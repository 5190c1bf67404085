package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A rival is another library that can do some of the cases.
type rival interface {
	name() string
	// prepare makes c the case to sample; false if the rival cannot do it.
	prepare(c benchCase) (bool, error)
	// sample returns the nanoseconds of a call, from as many as take the given time.
	sample(least time.Duration) (float64, error)
	// pid is the process that runs it, 0 if that is this one.
	pid() int
	close()
}

// A peaker is a rival that knows the peak of memory of the case it prepared.
type peaker interface{ peakBytes() int64 }

//go:embed _compare/rivals.c
var rivalsSource []byte

// nativeLibraries are the arguments of the helper process.
var nativeLibraries = []string{"openblas", "blis", "onednn"}

//go:embed _compare/onednn.cpp
var oneDNNSource []byte

//go:embed _compare/onednn_maps.cpp
var oneDNNMapsSource []byte

// oneDNNModes are the arguments of the helper process for convolutions.
var oneDNNModes = []string{"any", "nhwc", "nchw", "winograd"}

// startNative compiles the helper and starts it once per installed library.
func startNative(ctx context.Context, threads int) ([]rival, error) {
	return startHelper(ctx, threads, "rivals.c", rivalsSource, "-ldl", nativeLibraries)
}

// startOneDNN starts the helper for convolutions once per layout.
func startOneDNN(ctx context.Context, threads int) ([]rival, error) {
	return startHelper(ctx, threads, "onednn.cpp", oneDNNSource, "-ldnnl", oneDNNModes)
}

// startRivals starts those that can do some of the cases, and writes to w why
// others are left out.
func startRivals(ctx context.Context, w io.Writer, opt Options, cases []benchCase) []rival {
	some := func(f func(c benchCase) bool) bool { return slices.ContainsFunc(cases, f) }
	var rivals []rival
	add := func(name string, started []rival, err error) {
		if err != nil {
			fmt.Fprintf(w, "# no %s: %v\n", name, err)
		}
		rivals = append(rivals, started...)
	}
	if some(func(c benchCase) bool { return c.native != "" }) {
		started, err := startNative(ctx, opt.Threads)
		add("rivals in C", started, err)
	}
	if some(func(c benchCase) bool { return c.conv != "" }) {
		started, err := startOneDNN(ctx, opt.Threads)
		add("oneDNN", started, err)
	}
	if some(func(c benchCase) bool { return c.oneDNN != "" }) {
		started, err := startHelper(ctx, opt.Threads, "onednn_maps.cpp", oneDNNMapsSource, "-ldnnl", []string{"onednn"})
		add("oneDNN", started, err)
	}
	if some(func(c benchCase) bool { return c.torch != nil }) {
		started, err := startTorch(ctx, opt.Threads)
		add("PyTorch", started, err)
	}
	if some(func(c benchCase) bool { return c.model != nil }) {
		started, err := startONNXRuntime(ctx, opt.Threads)
		add("onnxruntime", started, err)
	}
	if some(func(c benchCase) bool { return c.gonum != nil }) {
		rivals = append(rivals, &gonumRival{})
	}
	return rivals
}

// startHelper compiles a helper and starts it once with each argument.
func startHelper(ctx context.Context, threads int, file string, text []byte, library string, args []string) ([]rival, error) {
	compiler := "cc"
	if filepath.Ext(file) == ".cpp" {
		compiler = "c++"
	}
	cc, err := exec.LookPath(compiler)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lanes-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, program := filepath.Join(dir, file), filepath.Join(dir, "rivals")
	if err := os.WriteFile(source, text, 0o600); err != nil {
		return nil, err
	}
	if text, err := exec.CommandContext(ctx, cc, "-O2", "-o", program, source, library).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the helper: %w\n%s", err, text)
	}
	var rivals []rival
	for _, library := range args {
		r, err := startLibrary(ctx, program, library, threads)
		if err != nil {
			return rivals, err
		}
		if r != nil {
			rivals = append(rivals, r)
		}
	}
	return rivals, nil
}

// nativeEnv gives each library its best: without the second and third line,
// OpenBLAS and BLIS of Debian fall back to kernels of older CPUs on ones they do
// not know. Variables that are set already win.
func nativeEnv(threads int) []string {
	n := strconv.Itoa(threads)
	env := []string{
		"OMP_NUM_THREADS=" + n, "OPENBLAS_NUM_THREADS=" + n, "BLIS_NUM_THREADS=" + n, "OMP_PROC_BIND=true",
		"OMP_DYNAMIC=false",
	}
	if has("AVX512F") {
		env = append(env, "OPENBLAS_CORETYPE=SKYLAKEX", "BLIS_ARCH_TYPE=0")
	}
	return append(env, os.Environ()...)
}

// native is a helper process that holds one library.
type native struct {
	library string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
	request string
}

// startLibrary returns nil if the library is not installed.
func startLibrary(ctx context.Context, program, library string, threads int) (rival, error) {
	n := &native{library: library, cmd: exec.CommandContext(ctx, program, library)}
	n.cmd.Env = nativeEnv(threads)
	n.cmd.Stderr = os.Stderr
	var err error
	if n.in, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.out = json.NewDecoder(bufio.NewReader(out))
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	var hello struct{ Ready bool }
	if err := n.out.Decode(&hello); err != nil {
		n.close()
		return nil, fmt.Errorf("%s: %w", library, err)
	}
	if !hello.Ready {
		n.close()
		return nil, nil
	}
	return n, nil
}

func (n *native) name() string {
	if slices.Contains(oneDNNModes, n.library) {
		return "onednn-" + n.library
	}
	return n.library
}

func (n *native) prepare(c benchCase) (bool, error) {
	n.request = c.native + c.conv + c.oneDNN
	if n.request == "" {
		return false, nil
	}
	ns, err := n.sample(sampleTime)
	return ns > 0, err
}

func (n *native) sample(least time.Duration) (float64, error) {
	if _, err := fmt.Fprintf(n.in, "%s %d\n", n.request, least.Nanoseconds()); err != nil {
		return 0, fmt.Errorf("%s: %w", n.library, err)
	}
	var answer struct{ NS float64 }
	if err := n.out.Decode(&answer); err != nil {
		return 0, fmt.Errorf("%s: %w", n.library, err)
	}
	return answer.NS, nil
}

func (n *native) pid() int { return n.cmd.Process.Pid }

// close ends the process, which stops at the end of its input.
func (n *native) close() {
	n.in.Close()
	n.cmd.Wait()
}

// gonumRival runs in this process.
type gonumRival struct{ run func() }

func (*gonumRival) name() string { return "gonum" }

func (g *gonumRival) prepare(c benchCase) (bool, error) {
	if c.gonum == nil {
		return false, nil
	}
	g.run = c.gonum()
	g.run()
	return true, nil
}

func (g *gonumRival) sample(least time.Duration) (float64, error) { return sample(g.run, least), nil }

func (*gonumRival) pid() int { return 0 }

func (*gonumRival) close() {}
