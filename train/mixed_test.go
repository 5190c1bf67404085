package train

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels/kerneltest"
	"github.com/golanes/lanes/train/data"
)

// TestMixedLabels: loss and gradient of samples of two classes are the weighted
// means of those of each class, for every kind of classification term.
func TestMixedLabels(t *testing.T) {
	const n, k, seed = 7, 5, 11
	rng := rand.New(rand.NewPCG(seed, 2))
	logits := make([]float32, n*k)
	for i := range logits {
		logits[i] = 2*rng.Float32() - 1 // cosines, for those that want them
	}
	labels, other, weight := make([]int32, n), make([]int32, n), make([]float32, n)
	for i := range n {
		labels[i], other[i], weight[i] = rng.Int32N(k), rng.Int32N(k), 0.5+rng.Float32()/2
	}
	weight[0], other[1] = 1, labels[1]
	for _, cfg := range []LossConfig{{Kind: LossCE, LabelSmoothing: 0.1}, {Kind: LossFocal, Gamma: 2}, {Kind: LossArcFace}, {Kind: LossCosFace}} {
		cfg, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		run := func(rows int, labels, other []int32, weight []float32, logits []float32) (float64, []float32) {
			io := &lossIO{logits: logits, labels: labels, other: other, weight: weight, dLogits: nanSlice(rows * k)}
			return newCrossEntropy(cfg, rows, k).compute(io), io.dLogits
		}
		loss, d := run(n, labels, other, weight, logits)
		wantLoss, want := 0.0, make([]float32, n*k)
		for i := range n {
			row := logits[i*k : (i+1)*k]
			l1, d1 := run(1, labels[i:i+1], nil, nil, row)
			l2, d2 := run(1, other[i:i+1], nil, nil, row)
			w := float64(weight[i])
			wantLoss += (w*l1 + (1-w)*l2) / n
			for j := range k {
				want[i*k+j] = float32((w*float64(d1[j]) + (1-w)*float64(d2[j])) / n)
			}
		}
		// Two float32 roundings of each product and one of the sum.
		kerneltest.Close(t, cfg.Kind+" loss", []float32{float32(loss)}, []float32{float32(wantLoss)}, 1e-6, 1e-6)
		kerneltest.Close(t, cfg.Kind+" gradient", d, want, 1e-6, 1e-6)
		if evaluated := newCrossEntropy(cfg, n, k).compute(&lossIO{logits: logits, labels: labels, other: other, weight: weight}); evaluated != loss {
			t.Errorf("%s: loss %v without gradients, %v with", cfg.Kind, evaluated, loss)
		}
	}
}

// TestResumeWithEverySampler stops runs within an epoch and between two and
// compares the end with that of an unbroken run, bit for bit. The images are varied
// in every way.
func TestResumeWithEverySampler(t *testing.T) {
	for _, sampler := range []data.Sampler{{}, {Kind: data.SamplerBalanced}, {Kind: data.SamplerPxK, PerClass: 8}} {
		t.Run("sampler="+sampler.Kind, func(t *testing.T) {
			config := func(dir string) Config {
				c := stripeConfig(t)
				c.Dir, c.Epochs, c.Sampler = dir, 2, sampler
				c.Data.Augment = data.Augment{Pad: 1, Flip: true, ResizedCrop: 0.5, Jitter: 0.2, Cutout: 0.3, Mixup: 0.4, RandOps: 1, RandMagnitude: 5}
				return c
			}
			whole := config(t.TempDir())
			mustFit(t, whole)
			parts := t.TempDir()
			for _, stop := range []int{2, 6, 9, 0} {
				c := config(parts)
				c.Resume = true
				ctx, cancel := context.WithCancel(context.Background())
				c.OnStep = func(s StepInfo) {
					if (s.Epoch-1)*s.Steps+s.Step == stop {
						cancel()
					}
				}
				if _, err := Fit(ctx, c); err != nil {
					t.Fatal(err)
				}
				cancel()
			}
			sameWeights(t, weights(t, parts), weights(t, whole.Dir))
			c := config(parts)
			c.Resume, c.Data.Augment.Jitter = true, 0.3
			if _, err := Fit(context.Background(), c); err == nil {
				t.Error("resumed with another augmentation")
			}
		})
	}
}

// TestFitWithPxK: every batch of a run has the classes that the loss needs.
func TestFitWithPxK(t *testing.T) {
	l, err := data.NewLoader(stripes(t, 100, 1), data.LoaderOptions{Batch: 12, Sampler: data.Sampler{Kind: data.SamplerPxK, PerClass: 4}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Start(0)
	for range l.Batches() {
		b, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.Sorted(slices.Values(b.Labels))
		if fmt.Sprint(sorted) != "[0 0 0 0 1 1 1 1 2 2 2 2]" {
			t.Errorf("labels %v", sorted)
		}
	}
	c := stripeConfig(t)
	c.Epochs, c.Loss, c.Batch, c.Sampler = 1, LossConfig{Kind: LossTriplet, Lambda: 0.1}, 12, data.Sampler{Kind: data.SamplerPxK, PerClass: 4}
	if r := mustFit(t, c); !(r.Epochs[0].CC > 0) {
		t.Errorf("the triplet loss was %v", r.Epochs[0].CC)
	}
	c.Batch = 10
	if _, err := Fit(context.Background(), c); err == nil {
		t.Error("batches of 10 with 4 of each class")
	}
}
