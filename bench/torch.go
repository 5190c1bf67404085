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
	"strconv"
)

// A torchCase is a case in Python: setups prepare variants of the same work, of
// which the fastest is timed, and run does it once.
type torchCase struct {
	Setups []string `json:"setups"`
	Run    string   `json:"run"`
}

//go:embed _compare/torch.py
var torchSource string

// startTorch starts the helper in the first Python that has PyTorch:
// $LANES_PYTHON, or python3 in the path or of the system. Without one there is no
// rival.
func startTorch(ctx context.Context, threads int) ([]rival, error) {
	candidates := []string{"python3", "/usr/bin/python3"}
	if p := os.Getenv("LANES_PYTHON"); p != "" {
		candidates = []string{p}
	}
	for _, python := range candidates {
		path, err := exec.LookPath(python)
		if err != nil {
			continue
		}
		t, err := startPython(ctx, path, threads)
		if err != nil {
			return nil, err
		}
		if t != nil {
			return []rival{t}, nil
		}
	}
	return nil, nil
}

// torchEnv spares PyTorch most page faults, 10 to 20 % of a training step, and
// the kernels of older CPUs on one that its release does not know. Variables
// that are set already win.
func torchEnv() []string {
	env := []string{"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=20000000000", "MALLOC_TOP_PAD_=268435456"}
	if has("AVX512F") {
		env = append(env, "ATEN_CPU_CAPABILITY=avx512")
	}
	return append(env, os.Environ()...)
}

// torch is the helper process.
type torch struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// startPython returns nil if this Python has no PyTorch.
func startPython(ctx context.Context, python string, threads int) (rival, error) {
	t := &torch{cmd: exec.CommandContext(ctx, python, "-c", torchSource, strconv.Itoa(threads))}
	t.cmd.Env, t.cmd.Stderr = torchEnv(), os.Stderr
	var err error
	if t.in, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.out = json.NewDecoder(bufio.NewReader(out))
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	var hello struct{ Ready bool }
	if err := t.out.Decode(&hello); err != nil {
		t.close()
		return nil, fmt.Errorf("torch: %w", err)
	}
	if !hello.Ready {
		t.close()
		return nil, nil
	}
	return t, nil
}

func (t *torch) name() string { return "torch" }

func (t *torch) prepare(c benchCase) (bool, error) {
	if c.torch == nil {
		return false, nil
	}
	_, err := t.ask(c.torch)
	return true, err
}

func (t *torch) sample() (float64, error) {
	return t.ask(struct {
		MinNS int64 `json:"min_ns"`
	}{sampleTime.Nanoseconds()})
}

// ask sends a request and returns the time it is answered with.
func (t *torch) ask(request any) (float64, error) {
	if err := json.NewEncoder(t.in).Encode(request); err != nil {
		return 0, fmt.Errorf("torch: %w", err)
	}
	var answer struct{ NS float64 }
	if err := t.out.Decode(&answer); err != nil {
		return 0, fmt.Errorf("torch: %w", err)
	}
	return answer.NS, nil
}

// close ends the process, which stops at the end of its input.
func (t *torch) close() {
	t.in.Close()
	t.cmd.Wait()
}
