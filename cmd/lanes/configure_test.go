package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/golanes/lanes/train"
)

// parse returns the settings of a command line, completed and checked.
func parse(t *testing.T, args ...string) *Settings {
	t.Helper()
	var grammar cli
	parser, err := kong.New(&grammar, vars())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"train"}, args...)); err != nil {
		t.Fatal(err)
	}
	s := &grammar.Train.Settings
	s.complete()
	if err := s.check(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return s
}

// TestFlagsReachTheRun: every flag of the loss, the optimizer and the schedule
// arrives in what train.Fit gets.
func TestFlagsReachTheRun(t *testing.T) {
	for _, c := range []struct {
		args string
		want string // part of the configuration as JSON
	}{
		{"", `"kind":"cc","lambda":0.1,"ramp":1,"cc":{"Metric":1,"Form":0,"Eps":0,"Margin":0.5},"stages":1`},
		{"--lambda 0.3 --ramp 0 --cc-metric euclidean --cc-form margin --cc-margin 0.7 --stages 3", `"kind":"cc","lambda":0.3,"cc":{"Metric":1,"Form":2,"Eps":0,"Margin":0.7},"stages":3`},
		{"--stages 3", `"placement":"stages"`},
		{"--loss ce --label-smoothing 0.1", `"kind":"ce","label_smoothing":0.1,`},
		{"--loss center --lambda 0.01", `"kind":"center","lambda":0.01`},
		{"--loss focal --gamma 3", `"gamma":3`},
		{"--loss arcface --scale 20 --margin 0.4", `"scale":20,"margin":0.4`},
		{"--loss arcface", `"cosine_head":true`},
		{"--loss cosface --margin 0.2", `"kind":"cosface"`},
		{"--loss supcon --temperature 0.2", `"temperature":0.2`},
		{"--loss triplet --margin 0.6", `"margin":0.6`},
		{"--model eca-resnet20 --rescale off --dropout 0.2 --accuracy exact", `"name":"eca-resnet20"`},
		{"--model eca-resnet20 --rescale off --dropout 0.2 --accuracy exact", `"no_rescale":true,"dropout":0.2,"exact":true`},
		{"--attention cbam --placement blocks --reduction 8 --stem imagenet", `"attention":"cbam","placement":"blocks","reduction":8,"stem":"imagenet"`},
		{"--optimizer sgd --momentum 0.8 --nesterov --weight-decay 0.1 --skip-norm-decay", `"kind":"sgd","lr":0.1,"momentum":0.8,"nesterov":true,"weight_decay":0.1,"skip_norm_decay":true`},
		{"--optimizer adam --beta1 0.8 --beta2 0.9 --amsgrad --eps 1e-6", `"kind":"adam","lr":0.001,"weight_decay":0.0005,"beta1":0.8,"beta2":0.9,"amsgrad":true,"eps":0.000001`},
		{"--optimizer adam --beta1 0 --beta2 0", `"beta1":5e-324,"beta2":5e-324`},
		{"--optimizer rmsprop --alpha 0", `"alpha":5e-324`},
		{"--schedule onecycle --rise 0", `"start":5e-324`},
		{"--optimizer adamw --lr 0.5", `"kind":"adamw","lr":0.5`},
		{"--optimizer rmsprop --alpha 0.9 --centered --momentum 0", `"kind":"rmsprop","lr":0.001,"weight_decay":0.0005,"alpha":0.9,"centered":true`},
		{"--schedule step --epochs 9 --decay 0.2", `"kind":"step","gamma":0.2,"step_size":3,"warmup":0.25`},
		{"--schedule multistep --milestones 1,2.5", `"kind":"multistep","gamma":0.1,"milestones":[1,2.5]`},
		{"--schedule cosine --min-lr 0.01 --warmup 1", `"kind":"cosine","min_lr":0.01,"warmup":1`},
		{"--schedule onecycle --rise 0.2 --div-factor 10 --final-div 100", `"kind":"onecycle","start":0.2,"div_factor":10,"final_div_factor":100}`},
		{"--schedule constant", `"kind":"constant"`},
		{"--accumulate 4 --clip 1.5 --ema 0.99 --patience 7", `[4,1.5,0.99,7]`},
	} {
		s := parse(t, strings.Fields(c.args)...)
		loss, err := s.loss()
		if err != nil {
			t.Fatal(err)
		}
		spec := s.spec(train.Shape{H: 32, W: 32, C: 3}, 10)
		if _, err := train.New(spec, 1); err != nil {
			t.Errorf("%s: %v", c.args, err)
		}
		text, err := json.Marshal([]any{spec, loss, s.optimizer(), s.schedule(), []any{s.Accumulate, s.Clip, s.EMA, s.Patience}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), c.want) {
			t.Errorf("%s: %s does not have %s", c.args, text, c.want)
		}
		if s.objective() == "" || s.updates() == "" {
			t.Errorf("%s: nothing is said", c.args)
		}
	}
}

// TestLossesTrain trains, measures and exports a model for every loss.
func TestLossesTrain(t *testing.T) {
	t.Parallel()
	root := tiny(t)
	kinds := train.LossKinds()
	if testing.Short() {
		kinds = []string{train.LossArcFace}
	}
	for i, kind := range kinds {
		t.Run("loss="+kind, func(t *testing.T) {
			dir := t.TempDir()
			more := [][]string{
				{"--optimizer", "adam", "--attention", "eca"},
				{"--optimizer", "sgd", "--nesterov", "--rescale", "off", "--stages", "3"},
				{"--optimizer", "rmsprop", "--schedule", "constant", "--model", "cbam-resnet8"},
				{"--optimizer", "adamw", "--schedule", "onecycle", "--model", "resnet8"},
			}[i%4]
			args := slices.Concat(tinyArgs(root, "run", "--loss", kind, "--ema", "0.5", "--clip", "1", "--accumulate", "2", "--dropout", "0.1"), more)
			must(t, dir, append(args, "--lr", "0.01")...)
			must(t, dir, "train", "--resume", "--out", "run") // the settings survive config.json
			must(t, dir, "eval", "--run", "run")
			must(t, dir, "export", "--run", "run", "-o", "model.onnx")
			nodes := string(get(t, dir, "model.onnx"))
			if off := slices.Contains(more, "off"); strings.Contains(nodes, "Sigmoid") == (off || more[len(more)-1] == "resnet8") {
				t.Errorf("%v: attention in the exported model is wrong", more)
			}
		})
	}
}

// TestInitFlag fine-tunes a model from the weights of another run.
func TestInitFlag(t *testing.T) {
	t.Parallel()
	dir, root := t.TempDir(), tiny(t)
	must(t, dir, tinyArgs(root, "first")...)
	from := filepath.Join("first", train.BestFile)
	out, _ := must(t, dir, tinyArgs(root, "second", "--init", from, "--loss", "arcface", "--margin", "0", "--epochs", "1")...)
	if kept := get(t, filepath.Join(dir, "second"), configFile); !strings.Contains(string(kept), `"margin": 5e-324`) {
		t.Errorf("--margin 0 is not kept: %s", kept)
	}
	if !strings.Contains(out, "tensors taken over") {
		t.Errorf("nothing is said of the start: %q", out)
	}
	rejected(t, dir, []string{"--init", "conv1.weight", "shape"}, tinyArgs(root, "third", "--init", from, "--model", "resnet18", "--loss", "ce")...)
	if exists(dir, "third") {
		t.Error("a run that cannot start left its folder")
	}
}
