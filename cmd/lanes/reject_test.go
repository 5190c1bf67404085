package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golanes/lanes/train"
)

// rejected runs lanes and checks that it fails with one line that has every part
// of want.
func rejected(t *testing.T, dir string, want []string, args ...string) {
	t.Helper()
	out, errs, status := lanes(t, dir, args...)
	isRejection(t, want, out, errs, status)
}

// rejectedHere is rejected without a process for it, which takes an emulator or the
// race detector half a second: for arguments whose paths are absolute.
func rejectedHere(t *testing.T, want []string, args ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(args, &console{t.Context(), &out, &errs})
	isRejection(t, want, out.String(), errs.String(), status)
}

func isRejection(t *testing.T, want []string, out, errs string, status int) {
	t.Helper()
	if status == 0 || status > 2 {
		t.Errorf("status %d", status)
	}
	if strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "lanes: ") || strings.Contains(errs, "panic") {
		t.Errorf("not one line: %q (standard output %q)", errs, out)
	}
	for _, part := range want {
		if !strings.Contains(errs, part) {
			t.Errorf("%q does not have %q", errs, part)
		}
	}
}

// sampled reports whether case i of a table runs, each of which starts processes:
// all do, with -short every third.
func sampled(i int) bool { return !testing.Short() || i%3 == 0 }

// A wrongCall is a command line that is an error with all parts of want.
type wrongCall struct {
	name string
	args []string
	want []string
}

// wrongCalls lists them; root and empty are folders, with the files of a data set and
// with none.
func wrongCalls(root, empty string) []wrongCall {
	return []wrongCall{
		{"unknown command", []string{"trian"}, []string{"trian"}},
		{"unknown flag", []string{"train", "--epoch", "3"}, []string{"--epoch"}},
		{"unknown data", []string{"train", "--data", "imagenet"}, []string{"--data", "glyphs", "imagenet"}},
		{"unknown model", []string{"train", "--model", "resnet5000"}, []string{"--model", "resnet8", "se-", "resnet5000"}},
		{"unknown loss", []string{"train", "--loss", "hinge"}, []string{"--loss", "hinge"}},
		{"unknown metric", []string{"train", "--cc-metric", "cosine"}, []string{"--cc-metric", "cosine"}},
		{"unknown form", []string{"train", "--cc-form", "sum"}, []string{"--cc-form", "sum"}},
		{"negative lambda", []string{"train", "--lambda", "-1"}, []string{"--lambda"}},
		{"negative lambda, joined", []string{"train", "--lambda=-0.5"}, []string{"--lambda", "-0.5"}},
		{"lambda NaN", []string{"train", "--lambda", "NaN"}, []string{"--lambda", "NaN"}},
		{"lambda infinite", []string{"train", "--lambda", "inf"}, []string{"--lambda", "Inf"}},
		{"lambda a word", []string{"train", "--lambda", "little"}, []string{"--lambda", "little"}},
		{"negative rate", []string{"train", "--lr=-1"}, []string{"--lr"}},
		{"rate NaN", []string{"train", "--lr", "nan"}, []string{"--lr"}},
		{"rate 0", []string{"train", "--lr", "0"}, []string{"--lr"}},
		{"unknown attention", []string{"train", "--attention", "gate"}, []string{"--attention", "eca", "gate"}},
		{"attention everywhere without rescale", []string{"train", "--placement", "blocks", "--rescale", "off"}, []string{"rescale"}},
		{"cc without attention", []string{"train", "--model", "resnet8"}, []string{"attention", "cbam"}},
		{"stages beyond the model's", []string{"train", "--stages", "9", "--limit", "600"}, []string{"9", "3"}},
		{"dropout 1", []string{"train", "--dropout", "1"}, []string{"--dropout", "below 1"}},
		{"init absent", []string{"train", "--init", "absent.safetensors", "--limit", "600"}, []string{"--init", "absent.safetensors"}},
		{"gamma 0", []string{"train", "--loss", "focal", "--gamma", "0"}, []string{"--gamma"}},
		{"margin NaN", []string{"train", "--loss", "arcface", "--margin", "NaN"}, []string{"--margin"}},
		{"temperature 0", []string{"train", "--loss", "supcon", "--temperature", "0"}, []string{"--temperature"}},
		{"all smoothed", []string{"train", "--label-smoothing", "1"}, []string{"--label-smoothing"}},
		{"focal smoothed", []string{"train", "--loss", "focal", "--label-smoothing", "0.1"}, []string{"--label-smoothing", "focal"}},
		{"unknown optimizer", []string{"train", "--optimizer", "lion"}, []string{"--optimizer", "adamw", "lion"}},
		{"momentum 1", []string{"train", "--momentum", "1"}, []string{"--momentum"}},
		{"beta2 of 1", []string{"train", "--optimizer", "adam", "--beta2", "1"}, []string{"--beta2"}},
		{"nesterov without momentum", []string{"train", "--nesterov", "--momentum", "0"}, []string{"--nesterov", "--momentum"}},
		{"unknown schedule", []string{"train", "--schedule", "poly"}, []string{"--schedule", "onecycle", "poly"}},
		{"multistep without steps", []string{"train", "--schedule", "multistep"}, []string{"--milestones"}},
		{"milestones descend", []string{"train", "--schedule", "multistep", "--milestones", "3,1"}, []string{"--milestones", "ascend"}},
		{"rise 1", []string{"train", "--schedule", "onecycle", "--rise", "1"}, []string{"--rise"}},
		{"ends above the base rate", []string{"train", "--min-lr", "1"}, []string{"--min-lr"}},
		{"no batches accumulated", []string{"train", "--accumulate", "0"}, []string{"--accumulate"}},
		{"clip negative", []string{"train", "--clip=-1"}, []string{"--clip"}},
		{"ema 1", []string{"train", "--ema", "1"}, []string{"--ema"}},
		{"patience negative", []string{"train", "--patience=-1"}, []string{"--patience"}},
		{"no epochs", []string{"train", "--epochs", "0"}, []string{"--epochs"}},
		{"huge batch", []string{"train", "--batch", "1000000000"}, []string{"--batch"}},
		{"negative seed", []string{"train", "--seed=-1"}, []string{"--seed"}},
		{"negative limit", []string{"train", "--limit=-1"}, []string{"--limit"}},
		{"root missing", []string{"train", "--data", "mnist"}, []string{"--root"}},
		{"root absent", []string{"train", "--data", "mnist", "--root", "absent"}, []string{"absent", "no such"}},
		{"root a file", []string{"train", "--data", "mnist", "--root", filepath.Join(root, "train-labels-idx1-ubyte")}, []string{"not a folder"}},
		{"root empty", []string{"train", "--data", "mnist", "--root", empty}, []string{"train-labels-idx1-ubyte"}},
		{"root for glyphs", []string{"train", "--root", root}, []string{"--root"}},
		{"nothing to resume", []string{"train", "--resume"}, []string{"run", "config.json"}},
		{"bench without suite", []string{"bench"}, []string{"--suite"}},
		{"unknown suite", []string{"bench", "--suite", "fft"}, []string{"--suite", "gemm", "fft"}},
		{"layers of a suite without", []string{"bench", "--suite", "gemm", "--model", "resnet18"}, []string{"--suite conv"}},
		{"algorithms of a suite without", []string{"bench", "--suite", "gemm", "--algorithms"}, []string{"--suite conv"}},
		{"unknown network", []string{"bench", "--suite", "conv", "--model", "lenet"}, []string{"lenet"}},
		{"unknown model to train", []string{"bench", "--suite", "train", "--model", "lenet"}, []string{"lenet", "se-resnet18"}},
		{"too small a batch to train", []string{"bench", "--suite", "train", "--batch", "-1"}, []string{"-1"}},
		{"huge batch to run", []string{"bench", "--suite", "infer", "--batch", "1000000000"}, []string{"1000000000"}},
		{"negative rounds", []string{"bench", "--suite", "gemm", "--rounds=-1"}, []string{"-1 rounds"}},
		{"no such case", []string{"bench", "--suite", "gemm", "--match", "none"}, []string{"gemm", "none"}},
		{"too many threads", []string{"bench", "--suite", "gemm", "--threads", "100000"}, []string{"100000 threads"}},
		{"unknown instruction set", []string{"bench", "--suite", "gemm", "--isa", "mmx"}, []string{"mmx"}},
		{"eval without run", []string{"eval"}, []string{"--run"}},
		{"eval of nothing", []string{"eval", "--run", "absent"}, []string{"absent", "config.json"}},
	}
}

func TestWrongCommandLine(t *testing.T) {
	t.Parallel()
	root := tiny(t)
	// One of each kind starts the program, to see its exit status.
	rejected(t, t.TempDir(), []string{"--epoch"}, "train", "--epoch", "3")
	rejected(t, t.TempDir(), []string{"--root"}, "train", "--data", "mnist")
	for i, c := range wrongCalls(root, t.TempDir()) {
		if testing.Short() && i%8 > 0 {
			continue // arguments are read by one goroutine, and alike everywhere
		}
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			args := c.args
			if args[0] == "train" {
				args = append(args, "--out", filepath.Join(dir, "deep", "run"))
			}
			rejectedHere(t, c.want, args...)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestWrongFiles(t *testing.T) {
	t.Parallel()
	const images, labels = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
	for _, c := range []struct {
		name, file string
		damage     func(b []byte) []byte
		want       string
	}{
		{"truncated images", images, func(b []byte) []byte { return b[:len(b)-100] }, "truncated"},
		{"oversized images", images, func(b []byte) []byte { return append(b, 1, 2, 3) }, "oversized"},
		{"oversized test labels", "t10k-labels-idx1-ubyte", func(b []byte) []byte { return append(b, 1) }, "oversized"},
		{"header of gigabytes", images, func(b []byte) []byte { binary.BigEndian.PutUint32(b[4:], 1<<31); return b }, "limit"},
		{"label out of range", labels, func(b []byte) []byte { b[20] = 200; return b }, "label 200"},
		{"wrong magic", labels, func(b []byte) []byte { b[0] = 1; return b }, "magic"},
		{"empty", labels, func(b []byte) []byte { return nil }, "header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, root := t.TempDir(), tiny(t)
			put(t, root, c.file, c.damage(get(t, root, c.file)))
			rejected(t, dir, []string{c.file, c.want}, tinyArgs(root, "run")...)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestUnwritableOut(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	put(t, dir, "file", []byte("a file"))
	rejected(t, dir, []string{"cannot write to", "file"}, tinyArgs(root, "file")...)
	rejected(t, dir, []string{"cannot write to", "file"}, tinyArgs(root, filepath.Join("file", "run"))...)
	if string(get(t, dir, "file")) != "a file" {
		t.Error("the file was changed")
	}
	if os.Getuid() == 0 {
		return // the superuser writes anywhere
	}
	if err := os.Mkdir(filepath.Join(dir, "locked"), 0o555); err != nil {
		t.Fatal(err)
	}
	rejected(t, dir, []string{"cannot write to", "locked"}, tinyArgs(root, filepath.Join("locked", "run"))...)
	rejected(t, dir, []string{"cannot write to", "locked"}, tinyArgs(root, "locked")...)
}

func TestTakenOut(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	must(t, dir, tinyArgs(root, "run", "--epochs", "1")...)
	before := get(t, filepath.Join(dir, "run"), train.LastFile)
	rejected(t, dir, []string{"--resume", "--overwrite"}, tinyArgs(root, "run")...)
	if !bytes.Equal(before, get(t, filepath.Join(dir, "run"), train.LastFile)) {
		t.Error("the run was changed")
	}
	rejected(t, dir, []string{"holds a run"}, compareArgs(root, "run")...)
	rejected(t, dir, []string{"exclude"}, "train", "--resume", "--overwrite", "--out", "run")
	must(t, dir, tinyArgs(root, "run", "--overwrite", "--epochs", "2")...)
	checkMetrics(t, filepath.Join(dir, "run"), 2)
}

func TestDamagedRun(t *testing.T) {
	t.Parallel()
	source, root := t.TempDir(), tiny(t)
	must(t, source, tinyArgs(root, "run", "--epochs", "2")...)
	names := []string{configFile, train.LastFile, train.BestFile, train.StateFile, train.MetricsFile}
	resume, eval := []string{"train", "--resume", "--out", "run"}, []string{"eval", "--run", "run"}
	for i, c := range []struct {
		name, file string
		damage     func(b []byte) []byte // nil removes the file
		args       []string
		want       []string
	}{
		{"checkpoint cut", train.LastFile, func(b []byte) []byte { return b[:len(b)/2] }, resume, []string{train.LastFile}},
		{"checkpoint empty", train.LastFile, func(b []byte) []byte { return nil }, resume, []string{train.LastFile}},
		{"a weight changed", train.LastFile, func(b []byte) []byte { b[len(b)-7] ^= 4; return b }, resume, []string{train.LastFile, "checksum"}},
		{"header changed", train.LastFile, func(b []byte) []byte { b[0] ^= 0xff; return b }, resume, []string{train.LastFile}},
		{"header huge", train.LastFile, func(b []byte) []byte { binary.LittleEndian.PutUint64(b, 1<<60); return b }, resume, []string{train.LastFile}},
		{"checkpoint missing", train.LastFile, nil, resume, []string{train.LastFile}},
		{"state not JSON", train.StateFile, func(b []byte) []byte { return b[:len(b)/2] }, resume, []string{train.StateFile}},
		{"config not JSON", configFile, func(b []byte) []byte { return b[:len(b)/2] }, resume, []string{configFile, "damaged"}},
		{"config of another version", configFile, bytesReplace(`"version": 1`, `"version": 99`), resume, []string{configFile, "version 99"}},
		{"config with lambda -1", configFile, bytesReplace(`"lambda": 0.1`, `"lambda": -1`), resume, []string{configFile, "lambda"}},
		{"config of unknown rescale", configFile, bytesReplace(`"rescale": "on"`, `"rescale": "up"`), resume, []string{configFile, "rescale", "up"}},
		{"config of unknown optimizer", configFile, bytesReplace(`"sgd"`, `"sge"`), resume, []string{configFile, "optimizer", "sge"}},
		{"config of unknown data", configFile, bytesReplace(`"mnist"`, `"imagenet"`), eval, []string{configFile, "imagenet"}},
		{"config with a class too many", configFile, bytesReplace(`"classes": [`, `"classes": ["zero",`), eval, []string{configFile, "11 names"}},
		{"config with a class too many, exported", configFile, bytesReplace(`"classes": [`, `"classes": ["zero",`), []string{"export", "--run", "run", "-o", "m.onnx"}, []string{configFile, "11 names"}},
		{"config without mean", configFile, bytesReplace(`"mean"`, `"mode"`), eval, []string{configFile, "mean"}},
		{"best cut", train.BestFile, func(b []byte) []byte { return b[:len(b)-1] }, eval, []string{train.BestFile}},
		{"best cut, resumed", train.BestFile, func(b []byte) []byte { return b[:len(b)-1] }, resume, []string{train.BestFile}},
		{"best of another kind", train.BestFile, func(b []byte) []byte { return []byte("PK\x03\x04 zip, not tensors") }, eval, []string{train.BestFile}},
	} {
		if !sampled(i) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			run := filepath.Join(dir, "run")
			if err := os.Mkdir(run, 0o777); err != nil {
				t.Fatal(err)
			}
			before := map[string][]byte{}
			for _, name := range names {
				content := get(t, filepath.Join(source, "run"), name)
				if name == c.file && c.damage == nil {
					continue
				}
				if name == c.file {
					content = c.damage(bytes.Clone(content))
				}
				before[name] = content
				put(t, run, name, content)
			}
			rejected(t, dir, c.want, c.args...)
			for name, content := range before {
				if !bytes.Equal(content, get(t, run, name)) {
					t.Errorf("%s was changed", name)
				}
			}
			if left, err := os.ReadDir(run); err != nil || len(left) != len(before) {
				t.Errorf("the folder holds %v, %v", left, err)
			}
		})
	}
}

func bytesReplace(before, after string) func(b []byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(before), []byte(after)) }
}

func TestInfo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out, _ := must(t, dir, "info", "--json")
	var info map[string]any
	if err := json.Unmarshal([]byte(lastLine(out)), &info); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"isa", "available", "cpu", "l1d", "l2", "l3", "cores", "gomaxprocs", "gemm_tile"} {
		if info[key] == nil {
			t.Errorf("%s is missing in %s", key, out)
		}
	}
	if out, _ = must(t, dir, "info"); !strings.Contains(out, info["isa"].(string)) {
		t.Errorf("info does not name the instruction set: %q", out)
	}
	cmd := command(t, dir, "info")
	cmd.Env = append(cmd.Env, "LANES_ISA=avx1024")
	if _, errs, status := finish(t, cmd); status == 0 || !strings.Contains(errs, "avx1024") {
		t.Errorf("an unknown instruction set: status %d, %q", status, errs)
	}
	cmd = command(t, dir, "export", "--model", "resnet8", "--size", "32", "-o", "m.onnx")
	cmd.Env = append(cmd.Env, "LANES_ISA=avx1024")
	if _, errs, status := finish(t, cmd); status != 0 || strings.Count(errs, "avx1024") != 1 {
		t.Errorf("an unknown instruction set elsewhere: status %d, %q", status, errs)
	}
	cmd = command(t, dir, "info", "--json")
	cmd.Env = append(cmd.Env, "LANES_ISA=generic")
	if out, _, status := finish(t, cmd); status != 0 || !strings.Contains(out, `"isa":"generic"`) {
		t.Errorf("generic: status %d, %q", status, out)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for args, want := range map[string]string{
		"": "train", "-h": "train", "train -h": "--cc-metric", "train --help": "lanes train --resume", "eval -h": "--run", "bench -h": "--rivals", "info -h": "LANES_ISA",
	} {
		out, _ := must(t, dir, strings.Fields(args)...)
		if !strings.Contains(out, want) || !strings.HasPrefix(out, "Usage: lanes") {
			t.Errorf("lanes %s does not mention %q:\n%s", args, want, out)
		}
	}
}
