package bench

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"time"
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
		process, err := startPython(ctx, path, threads)
		if err != nil {
			return nil, err
		}
		if process != nil {
			again := func() (*torchProcess, error) { return startPython(ctx, path, threads) }
			return []rival{&torch{process: process, start: again}}, nil
		}
	}
	return nil, nil
}

// torchEnv spares PyTorch most page faults, 10 to 20 % of a training step, lays its
// memory on huge pages as ours does (glibc 2.35 and later), and spares it the kernels
// of older CPUs on one that its release does not know. Variables
// that are set already win. The number of threads is for OpenBLAS, which PyTorch does
// not tell when it is told itself.
func torchEnv(threads int) []string {
	env := []string{
		"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=20000000000", "MALLOC_TOP_PAD_=268435456",
		"GLIBC_TUNABLES=glibc.malloc.hugetlb=1",
		"OPENBLAS_NUM_THREADS=" + strconv.Itoa(threads),
	}
	if has("AVX512F") {
		env = append(env, "ATEN_CPU_CAPABILITY=avx512")
	}
	return append(env, os.Environ()...)
}

// torch runs cases in a helper process.
type torch struct {
	process  *torchProcess
	start    func() (*torchProcess, error)
	prepared *torchCase // of a training step
	peak     int64      // of its memory, in bytes
}

func (t *torch) name() string { return "torch" }

func (t *torch) prepare(c benchCase) (bool, error) {
	if c.torch == nil {
		return false, nil
	}
	if c.images > 0 {
		return true, t.prepareStep(c.torch)
	}
	_, err := t.process.ask(c.torch)
	return true, err
}

// prepareStep runs each variant of a training step in a process of its own, so
// that the peak of memory is its own, and keeps the fastest. A case that is
// ready already stays.
func (t *torch) prepareStep(c *torchCase) error {
	if t.prepared != nil && reflect.DeepEqual(t.prepared, c) {
		return nil
	}
	var best torchAnswer
	for i, setup := range c.Setups {
		process, err := t.start()
		if err != nil || process == nil {
			return errors.Join(errors.New("torch: no second process"), err)
		}
		a, err := process.ask(torchCase{[]string{setup}, c.Run})
		if err != nil || i > 0 && a.NS >= best.NS {
			process.close()
			if err != nil {
				return err
			}
			continue
		}
		t.process.close()
		t.process, best = process, a
	}
	t.prepared, t.peak = c, best.Peak
	return nil
}

func (t *torch) peakBytes() int64 { return t.peak }

func (t *torch) sample(least time.Duration) (float64, error) {
	a, err := t.process.ask(struct {
		MinNS int64 `json:"min_ns"`
	}{least.Nanoseconds()})
	return a.NS, err
}

func (t *torch) pid() int { return t.process.cmd.Process.Pid }

func (t *torch) close() { t.process.close() }

// torchProcess is one Python.
type torchProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// startPython returns nil if this Python has no PyTorch.
func startPython(ctx context.Context, python string, threads int) (*torchProcess, error) {
	t := &torchProcess{cmd: exec.CommandContext(ctx, python, "-c", torchSource, strconv.Itoa(threads))}
	t.cmd.Env, t.cmd.Stderr = torchEnv(threads), os.Stderr
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

// torchAnswer is the time of a call and, of a new case, the peak of memory.
type torchAnswer struct {
	NS   float64
	Peak int64
}

// ask sends a request and returns the answer.
func (t *torchProcess) ask(request any) (torchAnswer, error) {
	var answer torchAnswer
	if err := json.NewEncoder(t.in).Encode(request); err != nil {
		return answer, fmt.Errorf("torch: %w", err)
	}
	if err := t.out.Decode(&answer); err != nil {
		return answer, fmt.Errorf("torch: %w", err)
	}
	return answer, nil
}

// close ends the process, which stops at the end of its input.
func (t *torchProcess) close() {
	t.in.Close()
	t.cmd.Wait()
}
