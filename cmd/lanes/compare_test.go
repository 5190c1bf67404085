package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golanes/lanes/train/compare"
)

// compareArgs is a short comparison on tiny.
func compareArgs(root, out string, more ...string) []string {
	return append([]string{"compare", "--data", "mnist", "--root", root, "--losses", "ce,cc", "--width", "0.5",
		"--seeds", "2", "--epochs", "2", "--batch", "16", "--out", out}, more...)
}

// TestCompareKilled kills a comparison with SIGKILL at random moments and compares
// the end with an unbroken one's.
func TestCompareKilled(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	start := time.Now()
	out, errs := must(t, dir, compareArgs(root, "whole", "--json", "--parallel", "2")...)
	took := time.Since(start)
	var res compare.Results
	if err := json.Unmarshal([]byte(lastLine(out)), &res); err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("standard output %q: %v", out, err)
	}
	if len(res.Cells) != 2 || res.Cells[1].TestAcc.N != 2 || res.Cells[1].Difference.Low == nil || res.Cells[0].Params == 0 {
		t.Errorf("results %+v", res)
	}
	if !strings.Contains(errs, "10/10") {
		t.Errorf("standard error %q", errs)
	}
	whole := get(t, filepath.Join(dir, "whole"), compare.ResultsFile)
	if page := string(get(t, filepath.Join(dir, "whole"), reportFile)); !strings.Contains(page, "<svg") || !strings.HasSuffix(page, "</html>\n") {
		t.Error("the report has no drawings or is cut")
	}

	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	for killed := 0; ; killed++ {
		// The time grows, so that a busy machine gets there too.
		wait := time.Duration(float64(took) * (0.1 + 0.3*rng.Float64() + 0.1*float64(killed)))
		cmd := command(t, dir, compareArgs(root, "parts")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() }) // fails once it has ended
		err := cmd.Wait()
		kill.Stop()
		if err == nil {
			if killed == 0 {
				t.Fatalf("seed %d: never killed", seed)
			}
			break
		}
		if cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("seed %d: after %d kills: %v", seed, killed, err)
		}
	}
	if !bytes.Equal(whole, get(t, filepath.Join(dir, "parts"), compare.ResultsFile)) {
		t.Errorf("seed %d: a killed comparison gave other results", seed)
	}
	rejected(t, dir, []string{"holds a comparison"}, tinyArgs(root, "parts", "--overwrite")...)
	if _, errs, status := lanes(t, dir, compareArgs(root, "parts", "--lr", "0.1")...); status != 1 || !strings.Contains(errs, "lr is 0.1, in the folder's comparison 0.05") {
		t.Errorf("another rate: status %d, %q", status, errs)
	}
}

func TestCompareRejects(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	put(t, dir, "grid.json", []byte(`{"ce": [{"lamda": 1}]}`))
	grid, out := filepath.Join(dir, "grid.json"), filepath.Join(dir, "out")
	cases := map[string][]string{
		"unknown data set":           {"--data", "imagenet"},
		"unknown loss":               {"--losses", "ce,mse"},
		"unknown model":              {"--models", "lenet"},
		"has 0":                      {"--models", "resnet8"},
		"needs --root mnist=DIR":     {"--data", "mnist"},
		"write --root NAME=DIR":      {"--data", "mnist,fashion-mnist", "--root", root},
		"twice":                      {"--data", "mnist", "--root", root, "--root", "mnist=" + root},
		"not read from files":        {"--root", "mnist=" + root},
		"--epochs is 0":              {"--epochs", "0"},
		"--parallel is 0":            {"--parallel", "0"},
		"--width is 0":               {"--width", "0"},
		"--batch is 100000":          {"--batch", "100000"},
		"grid.json: grid":            {"--grid", grid},
		"no such file":               {"--grid", filepath.Join(dir, "none.json")},
		"seeds, epochs":              {"--seeds", "0"},
		"neither train-":             {"--data", "mnist", "--root", dir},
		"--tune-epochs is -1":        {"--tune-epochs=-1"},
		"--root names the folder of": {"--data", "mnist", "--root", "mnist=a", "--root", "mnist=b"},
	}
	for i, want := range slices.Sorted(maps.Keys(cases)) {
		if !sampled(i) {
			continue
		}
		args := cases[want]
		rejectedHere(t, []string{want}, append([]string{"compare", "--limit", "600", "--out", out}, args...)...)
		if exists(out, "") {
			t.Fatalf("%v: a folder was made", args)
		}
	}
}

// TestTrainWidth trains a narrowed network, and measures it.
func TestTrainWidth(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	wide, _ := must(t, dir, tinyArgs(root, "wide", "--epochs", "1", "--width", "1")...)
	narrow, _ := must(t, dir, tinyArgs(root, "narrow", "--epochs", "1", "--width", "0.5")...)
	count := func(text string) string {
		_, rest, _ := strings.Cut(text, "se-resnet8: ")
		n, _, _ := strings.Cut(rest, " weights")
		return n
	}
	if a, b := count(wide), count(narrow); a == b || a == "" || b == "" {
		t.Errorf("%q and %q weights", a, b)
	}
	must(t, dir, "eval", "--run", "narrow")
	must(t, dir, "export", "--run", "narrow", "-o", "narrow.onnx")
	if _, errs, status := lanes(t, dir, "train", "--resume", "--out", "narrow", "--width", "1"); status != 1 || !strings.Contains(errs, "--width 1 differs from the run's 0.5") {
		t.Errorf("resumed with another width: status %d, %q", status, errs)
	}
}
