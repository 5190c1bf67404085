package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/safetensors"
)

// The tests start the program as a user does: the test binary stands in for it.
const actAsLanes = "LANES_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(actAsLanes) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command prepares a call of lanes in dir.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := kerneltest.Restart(t.Context(), t, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), actAsLanes+"=1")
	return cmd
}

// lanes runs lanes and returns what it printed and its exit status.
func lanes(t *testing.T, dir string, args ...string) (out, errs string, status int) {
	t.Helper()
	return finish(t, command(t, dir, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) (out, errs string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// must is lanes that has to succeed.
func must(t *testing.T, dir string, args ...string) (out, errs string) {
	t.Helper()
	out, errs, status := lanes(t, dir, args...)
	if status != 0 {
		t.Fatalf("lanes %s: status %d\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out, errs
}

// tiny writes a data set in MNIST's files: 90 training and 30 test images of
// 8 x 8, three classes told apart by the row that is bright.
func tiny(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 6))
	for prefix, n := range map[string]int{"train": 90, "t10k": 30} {
		images := header(3, n, 8, 8)
		labels := header(1, n)
		for i := range n {
			class := i % 3
			labels = append(labels, byte(class))
			for p := range 64 {
				v := byte(r.IntN(60))
				if p/8 == 1+2*class {
					v += 150
				}
				images = append(images, v)
			}
		}
		put(t, dir, prefix+"-images-idx3-ubyte", images)
		put(t, dir, prefix+"-labels-idx1-ubyte", labels)
	}
	return dir
}

func header(rank int, dims ...int) []byte {
	b := []byte{0, 0, 8, byte(rank)}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	return b
}

func put(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tinyArgs is a short run of a narrow network on tiny.
func tinyArgs(root, out string, more ...string) []string {
	return append([]string{"train", "--data", "mnist", "--root", root, "--out", out, "--width", "0.5", "--epochs", "3", "--batch", "16", "--lr", "0.05"}, more...)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestTrainAndEval(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	out, errs := must(t, dir, tinyArgs(root, "run", "--json")...)
	if strings.Count(out, "\n") != 1 || !strings.Contains(errs, "epoch 3/3") {
		t.Errorf("standard output %q, standard error %q", out, errs)
	}
	var trained map[string]any
	if err := json.Unmarshal([]byte(lastLine(out)), &trained); err != nil {
		t.Fatalf("last line %q: %v", out, err)
	}
	for _, key := range []string{"test_acc", "val_acc", "compactness", "separability", "images_per_s"} {
		if v, ok := trained[key].(float64); !ok || v < 0 || math.IsNaN(v) {
			t.Errorf("%s is %v", key, trained[key])
		}
	}
	if trained["out"] != "run" || len(trained) != 6 {
		t.Errorf("result %v", trained)
	}
	run := filepath.Join(dir, "run")
	for _, name := range []string{"config.json", "metrics.jsonl", "best.safetensors", "last.safetensors", "state.json", "report.html"} {
		if len(get(t, run, name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	entries, err := os.ReadDir(run)
	if err != nil || len(entries) != 6 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	checkMetrics(t, run, 3)
	if page := string(get(t, run, "report.html")); !strings.Contains(page, "<svg") || !strings.Contains(page, "Confusion matrix") {
		t.Error("the report has no drawings or no matrix")
	}

	out, _ = must(t, dir, "eval", "--run", "run", "--json")
	var evaluated map[string]any
	if err := json.Unmarshal([]byte(lastLine(out)), &evaluated); err != nil {
		t.Fatalf("last line %q: %v", out, err)
	}
	for _, key := range []string{"test_acc", "val_acc", "compactness", "separability", "out"} {
		if trained[key] != evaluated[key] {
			t.Errorf("%s is %v after training and %v in eval", key, trained[key], evaluated[key])
		}
	}
	for _, key := range []string{"calibration", "silhouette", "loss", "images"} {
		if v, ok := evaluated[key].(float64); !ok || math.IsNaN(v) {
			t.Errorf("%s is %v", key, evaluated[key])
		}
	}
	if per, ok := evaluated["per_class"].(map[string]any); !ok || len(per) != 3 || evaluated["top5"] != nil {
		t.Errorf("by class %v, top-5 of three classes %v", evaluated["per_class"], evaluated["top5"])
	}
	out, _ = must(t, dir, "eval", "--run", "run", "--data", "fashion-mnist", "--root", root)
	if !strings.Contains(out, "test accuracy") {
		t.Errorf("eval on other data: %q", out)
	}
}

func checkMetrics(t *testing.T, run string, epochs int) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(get(t, run, "metrics.jsonl"))), "\n")
	if len(lines) != epochs {
		t.Errorf("%d lines of metrics, want %d", len(lines), epochs)
	}
	for i, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"epoch", "loss", "ce", "cc", "train_acc", "val_acc", "images_per_s", "seconds"} {
			if _, ok := m[key].(float64); !ok {
				t.Errorf("epoch %d: %s is %v", i+1, key, m[key])
			}
		}
		if len(m) != 8 {
			t.Errorf("epoch %d has other fields too: %s", i+1, line)
		}
		if m["epoch"] != float64(i+1) {
			t.Errorf("line %d is of epoch %v", i+1, m["epoch"])
		}
	}
}

// weights are a checkpoint's tensors.
func weights(t *testing.T, dir, name string) []safetensors.Tensor {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return f.Tensors()
}

func sameWeights(t *testing.T, what string, a, b []safetensors.Tensor) {
	t.Helper()
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%s: %d and %d tensors", what, len(a), len(b))
	}
	for i := range a {
		if a[i].Name != b[i].Name || !bytes.Equal(a[i].Data, b[i].Data) {
			t.Fatalf("%s: tensor %s differs", what, a[i].Name)
		}
	}
}

func TestSameSeedSameWeights(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	epochs := "3"
	if testing.Short() {
		epochs = "1"
	}
	for _, procs := range []string{"1", "2", "3"} {
		cmd := command(t, dir, tinyArgs(root, "procs"+procs, "--epochs", epochs)...)
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+procs)
		if out, errs, status := finish(t, cmd); status != 0 {
			t.Fatalf("%s%s", out, errs)
		}
		for _, name := range []string{train.BestFile, train.LastFile} {
			sameWeights(t, name+" with GOMAXPROCS="+procs, weights(t, filepath.Join(dir, "procs1"), name), weights(t, filepath.Join(dir, "procs"+procs), name))
		}
	}
	must(t, dir, tinyArgs(root, "seed2", "--seed", "2", "--epochs", epochs)...)
	a, b := weights(t, filepath.Join(dir, "procs1"), train.BestFile), weights(t, filepath.Join(dir, "seed2"), train.BestFile)
	if slices.EqualFunc(a, b, func(x, y safetensors.Tensor) bool { return bytes.Equal(x.Data, y.Data) }) {
		t.Error("another seed gave the same weights")
	}
}

// fullPipe returns a pipe with room for so many bytes: a process that writes more
// waits until it is read.
func fullPipe(t *testing.T, room int) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	// A page is full or free as a whole, so one is emptied, and filled up to the room.
	page := make([]byte, os.Getpagesize())
	for err == nil {
		_, err = w.Write(page)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, page); err != nil {
		t.Fatal(err)
	}
	if err := w.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(page[room:]); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// TestInterruptAndResume stops a run with the signal of Ctrl-C and goes on. What
// the run prints fills a pipe before its last epoch, so that it cannot end before
// the signal.
func TestInterruptAndResume(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	const epochs = 8
	long := func(out string) []string { return tinyArgs(root, out, "--epochs", strconv.Itoa(epochs)) }
	printed, _ := must(t, dir, long("whole")...)

	cmd := command(t, dir, long("parts")...)
	r, w := fullPipe(t, strings.Index(printed, fmt.Sprintf("epoch %d/", epochs/2)))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	parts := filepath.Join(dir, "parts")
	for deadline := time.Now().Add(time.Minute); !exists(parts, train.MetricsFile); {
		if time.Now().After(deadline) {
			t.Fatal("no epoch was finished in a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("an interrupted run failed: %v\n%s%s", err, &stdout, &stderr)
	}
	if !strings.Contains(stdout.String(), "stopped; the checkpoint is in parts") {
		t.Fatalf("the run did not stop:\n%s", bytes.Trim(stdout.Bytes(), "\x00"))
	}
	if exists(parts, "report.html") {
		t.Error("an interrupted run has a report")
	}
	if _, errs, status := lanes(t, dir, "train", "--resume", "--out", "parts", "--lr", "0.06"); status == 0 || !strings.Contains(errs, "--lr 0.06 differs") {
		t.Errorf("resumed with another rate: status %d, %q", status, errs)
	}
	must(t, dir, "train", "--resume", "--out", "parts", "--lr", "0.05")
	for _, name := range []string{train.BestFile, train.LastFile} {
		sameWeights(t, name, weights(t, filepath.Join(dir, "whole"), name), weights(t, parts, name))
	}
	checkMetrics(t, parts, epochs)
	// A run that is complete is complete again, with the same report.
	before := get(t, parts, train.BestFile)
	must(t, dir, "train", "--resume", "--out", "parts")
	if !bytes.Equal(before, get(t, parts, train.BestFile)) {
		t.Error("resuming a complete run changed its weights")
	}
}

// TestFolderInUse starts lanes in a folder in which another process is at work.
func TestFolderInUse(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	must(t, dir, tinyArgs(root, "run", "--epochs", "1")...)
	config := get(t, filepath.Join(dir, "run"), configFile)
	unlock, err := train.LockDir(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	unlockOther, err := train.LockDir(other)
	if err != nil {
		t.Fatal(err)
	}
	defer unlockOther()
	for _, args := range [][]string{
		tinyArgs(root, "run", "--epochs", "2", "--overwrite"),
		{"train", "--resume", "--out", "run"},
		{"compare", "--out", other, "--data", "mnist", "--root", root},
	} {
		rejected(t, dir, []string{"is in use by another process"}, args...)
	}
	if !bytes.Equal(config, get(t, filepath.Join(dir, "run"), configFile)) {
		t.Error("the settings of the run were replaced")
	}
	unlock()
	must(t, dir, "train", "--resume", "--out", "run")
}

func TestNonFiniteLossStops(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	_, errs, status := lanes(t, dir, tinyArgs(root, "run", "--lr", "1e30")...)
	if status != 1 || !strings.Contains(errs, "epoch 1, step ") || !strings.Contains(errs, "first in ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("status %d, %q", status, errs)
	}
	for _, tensor := range weights(t, filepath.Join(dir, "run"), train.LastFile) {
		values, err := tensor.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("the checkpoint's %s holds %v", tensor.Name, v)
			}
		}
	}
}

func TestDefaultFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s := &Settings{Data: "mnist", Model: "m", Loss: "ce"}
	first, second := filepath.Join("runs", "mnist-m-ce"), filepath.Join("runs", "mnist-m-ce-2")
	check := func(when, next, last string) {
		t.Helper()
		if a, b := defaultFolder(s, false), defaultFolder(s, true); a != next || b != last {
			t.Errorf("%s: new %s, to resume %s; want %s, %s", when, a, b, next, last)
		}
	}
	check("without runs", first, first)
	for _, folder := range []string{first, second} {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	check("with empty folders", first, first)
	put(t, first, configFile, nil)
	check("with one run", second, first)
}
