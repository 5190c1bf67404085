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
	"strconv"
	"time"
)

//go:embed _compare/onnxruntime.js
var onnxRuntimeSource string

// onnxRuntimeFolder names the folder into which onnxruntime-node was installed.
const onnxRuntimeFolder = "LANES_ONNXRUNTIME"

// onnxRuntime is a helper process. Each case gets its own, so that the memory of
// one model is not reused by the next.
type onnxRuntime struct {
	ctx     context.Context
	folder  string
	threads int

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	loadNS float64
	peak   int64
}

// startONNXRuntime returns no rival where the environment names no folder.
func startONNXRuntime(ctx context.Context, threads int) ([]rival, error) {
	folder := os.Getenv(onnxRuntimeFolder)
	if folder == "" {
		return nil, errors.New(onnxRuntimeFolder + " names no folder with onnxruntime-node")
	}
	r := &onnxRuntime{ctx: ctx, folder: folder, threads: threads}
	if err := r.start(); err != nil {
		return nil, err
	}
	return []rival{r}, nil
}

// start starts the process anew.
func (r *onnxRuntime) start() error {
	r.close()
	r.cmd = exec.CommandContext(r.ctx, "node", "-e", onnxRuntimeSource, r.folder, strconv.Itoa(r.threads))
	r.cmd.Stderr = os.Stderr
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	r.out = json.NewDecoder(bufio.NewReader(out))
	if err := r.cmd.Start(); err != nil {
		r.cmd = nil
		return err
	}
	_, err = r.answer()
	return err
}

func (*onnxRuntime) name() string { return "onnxruntime" }

func (r *onnxRuntime) prepare(c benchCase) (bool, error) {
	if c.model == nil {
		return false, nil
	}
	if err := r.start(); err != nil {
		return false, err
	}
	type input struct {
		Name  string `json:"name"`
		Shape []int  `json:"shape"`
	}
	request := struct {
		File   string  `json:"file"`
		Inputs []input `json:"inputs"`
	}{File: c.model.file}
	for i, name := range c.model.inputs {
		request.Inputs = append(request.Inputs, input{name, c.model.shapes[i]})
	}
	a, err := r.ask(request)
	r.loadNS, r.peak = a.LoadNS, a.Peak
	return err == nil, err
}

func (r *onnxRuntime) peakBytes() int64 { return r.peak }

func (r *onnxRuntime) sample(least time.Duration) (float64, error) {
	a, err := r.ask(struct {
		MinNS int64 `json:"min_ns"`
	}{least.Nanoseconds()})
	return a.NS, err
}

type onnxRuntimeAnswer struct {
	Ready  bool    `json:"ready"`
	NS     float64 `json:"ns"`
	LoadNS float64 `json:"load_ns"`
	Peak   int64   `json:"peak"`
	Error  string  `json:"error"`
}

func (r *onnxRuntime) ask(request any) (onnxRuntimeAnswer, error) {
	if err := json.NewEncoder(r.in).Encode(request); err != nil {
		return onnxRuntimeAnswer{}, fmt.Errorf("onnxruntime: %w", err)
	}
	return r.answer()
}

func (r *onnxRuntime) answer() (onnxRuntimeAnswer, error) {
	var a onnxRuntimeAnswer
	err := r.out.Decode(&a)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("onnxruntime: %w", err)
	}
	return a, nil
}

func (r *onnxRuntime) pid() int {
	if r.cmd == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// close ends the process, which stops at the end of its input.
func (r *onnxRuntime) close() {
	if r.cmd != nil {
		r.in.Close()
		r.cmd.Wait()
		r.cmd = nil
	}
}
