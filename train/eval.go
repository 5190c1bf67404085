package train

import (
	"fmt"
	"math"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train/data"
)

// EvalOptions say how to evaluate a model.
type EvalOptions struct {
	// Batch is the number of images at a time; 0 stands for 256. It does not
	// change the result of an image.
	Batch int
	// Mean and Std normalise the images as in training.
	Mean, Std []float32
	// Vectors keeps every image's features and attention vector and measures
	// how they cluster.
	Vectors bool
}

// Evaluation is what a model does on a set of images. All images count.
type Evaluation struct {
	Images int `json:"images"`
	// Loss is the mean cross entropy, Accuracy the share of images whose
	// highest score is their class (the first of equal scores counts; a NaN
	// score is wrong), Top5 the share with their class among the five
	// highest.
	Loss     float64 `json:"loss"`
	Accuracy float64 `json:"accuracy"`
	Top5     float64 `json:"top5"`
	// Calibration is the expected calibration error over 15 equal bins of
	// the highest probability (Guo et al., 2017).
	Calibration float64 `json:"calibration"`
	// PerClass is the accuracy on each class; NaN-free: 0 without images.
	PerClass []float64 `json:"per_class"`
	// Confusion[y][p] counts images of class y predicted as p.
	Confusion [][]int `json:"confusion"`
	// Attention and Features measure how the vectors cluster; nil unless
	// asked for, Attention also for a model without attention.
	Attention *Clustering `json:"attention,omitempty"`
	Features  *Clustering `json:"features,omitempty"`

	// Labels, Predicted and Confidence (the highest probability) have one
	// entry per image, in the order of the source.
	Labels     []int32   `json:"-"`
	Predicted  []int32   `json:"-"`
	Confidence []float32 `json:"-"`
	// FeatureVectors is Images x Model.Features, AttentionVectors Images x
	// the length of the main attention vector; nil unless asked for.
	FeatureVectors   []float32 `json:"-"`
	AttentionVectors []float32 `json:"-"`
}

// Top5Classes is the number of classes from which [Evaluation.Top5] means something.
const Top5Classes = 20

// Clustering measures how vectors gather by class (CC-Loss's finding).
type Clustering struct {
	// Compactness is the mean distance of a vector to its class's mean,
	// Separability the mean distance between class means.
	Compactness  float64 `json:"compactness"`
	Separability float64 `json:"separability"`
	// Silhouette is the mean silhouette coefficient of a fixed subsample.
	Silhouette float64 `json:"silhouette"`
}

// Evaluate runs a model on all images of src.
func Evaluate(m *Model, src data.Source, opt EvalOptions) (*Evaluation, error) {
	e, err := newEvaluator(m, src, opt)
	if err != nil {
		return nil, err
	}
	defer e.close()
	if e.batch.Size() > 0 {
		e.bind(kernels.AlignedFloats(e.arenaSize()))
	}
	return e.run(opt.Vectors)
}

// evaluator runs a model over a source, again and again. Its two plans are for a
// full batch and for the rest.
type evaluator struct {
	model       *Model
	loader      *data.Loader
	batch, rest *Plan
	prob        []float32
}

const defaultEvalBatch = 256

func newEvaluator(m *Model, src data.Source, opt EvalOptions) (*evaluator, error) {
	if err := checkSource(m, src); err != nil {
		return nil, err
	}
	if opt.Batch <= 0 {
		opt.Batch = defaultEvalBatch
	}
	n := min(opt.Batch, src.Len())
	e := &evaluator{model: m}
	var err error
	if e.batch, err = m.NewPlan(PlanOptions{Batch: n}); err != nil {
		return nil, err
	}
	if r := src.Len() % n; r > 0 {
		if e.rest, err = m.NewPlan(PlanOptions{Batch: r}); err != nil {
			return nil, err
		}
	}
	e.loader, err = data.NewLoader(src, data.LoaderOptions{Batch: n, Mean: opt.Mean, Std: opt.Std})
	if err != nil {
		return nil, err
	}
	e.prob = make([]float32, n*m.Classes())
	return e, nil
}

func (e *evaluator) close() { e.loader.Close() }

func (e *evaluator) arenaSize() int {
	if e.rest == nil {
		return e.batch.Size()
	}
	return max(e.batch.Size(), e.rest.Size())
}

func (e *evaluator) bind(arena []float32) {
	e.batch.Bind(arena)
	if e.rest != nil {
		e.rest.Bind(arena)
	}
}

func (e *evaluator) run(vectors bool) (*Evaluation, error) {
	n, k := e.loader.Source().Len(), e.model.Classes()
	ev := &Evaluation{Images: n, PerClass: make([]float64, k), Confusion: make([][]int, k),
		Labels: make([]int32, 0, n), Predicted: make([]int32, 0, n), Confidence: make([]float32, 0, n)}
	for y := range ev.Confusion {
		ev.Confusion[y] = make([]int, k)
	}
	for _, p := range []*Plan{e.batch, e.rest} {
		if p != nil {
			p.skipAside(!vectors)
		}
	}
	e.loader.Start(0)
	for {
		b, err := e.loader.Next()
		if err != nil {
			return nil, err
		}
		if b == nil {
			break
		}
		p := e.batch
		if len(b.Labels) != p.Batch() {
			p = e.rest
		}
		p.Forward(b.X, 0)
		e.score(ev, p, b.Labels)
		if vectors {
			ev.FeatureVectors = append(ev.FeatureVectors, p.Output(e.model.graph.features)...)
			if a := e.model.graph.attentions; len(a) > 0 {
				ev.AttentionVectors = append(ev.AttentionVectors, p.Output(a[len(a)-1])...)
			}
		}
	}
	if len(ev.Labels) != n {
		return nil, fmt.Errorf("train: the loader gave %d of %d images", len(ev.Labels), n)
	}
	ev.finish()
	if vectors {
		ev.Features = cluster(ev.FeatureVectors, ev.Labels)
	}
	if ev.AttentionVectors != nil {
		ev.Attention = cluster(ev.AttentionVectors, ev.Labels)
	}
	return ev, nil
}

// score adds one batch to the counts; Loss, Accuracy and Top5 are sums until
// finish.
func (e *evaluator) score(ev *Evaluation, p *Plan, labels []int32) {
	k := e.model.Classes()
	logits := p.Output(e.model.graph.logits)
	logp := e.prob[:len(labels)*k]
	kernels.LogSoftmax(logp, logits, len(labels), k)
	for i, y := range labels {
		z, lp := logits[i*k:(i+1)*k], logp[i*k:(i+1)*k]
		best := argMax(z)
		ev.Labels = append(ev.Labels, y)
		ev.Predicted = append(ev.Predicted, int32(best))
		ev.Confidence = append(ev.Confidence, float32(math.Exp(float64(lp[best]))))
		ev.Loss -= float64(lp[y])
		ev.Confusion[y][best]++
		rank := 0
		for j, v := range z {
			if v > z[y] || v == z[y] && j < int(y) || v != v {
				rank++
			}
		}
		if z[y] != z[y] {
			continue
		}
		if rank == 0 {
			ev.Accuracy++
		}
		if rank < 5 {
			ev.Top5++
		}
	}
}

// argMax is the index of the first of the largest elements; NaN is no largest.
func argMax(x []float32) int {
	best := 0
	for j, v := range x {
		if v > x[best] || x[best] != x[best] && v == v {
			best = j
		}
	}
	return best
}

func (ev *Evaluation) finish() {
	n := float64(ev.Images)
	ev.Loss /= n
	ev.Accuracy /= n
	ev.Top5 /= n
	for y, row := range ev.Confusion {
		total := 0
		for _, c := range row {
			total += c
		}
		ev.PerClass[y] = float64(row[y]) / float64(max(total, 1))
	}
	const bins = 15
	var count, right, sure [bins]float64
	for i, c := range ev.Confidence {
		b := max(0, min(bins-1, int(float64(c)*bins)))
		count[b]++
		sure[b] += float64(c)
		if ev.Predicted[i] == ev.Labels[i] {
			right[b]++
		}
	}
	for b := range bins {
		if count[b] > 0 {
			ev.Calibration += math.Abs(right[b]-sure[b]) / n
		}
	}
}

// maxSilhouette is the number of samples of the silhouette, whose cost grows
// with its square.
const maxSilhouette = 1000

func cluster(vectors []float32, labels []int32) *Clustering {
	c := len(vectors) / max(len(labels), 1)
	return &Clustering{
		Compactness:  ccloss.Compactness(vectors, labels, c),
		Separability: ccloss.Separability(vectors, labels, c),
		Silhouette:   ccloss.Silhouette(vectors, labels, c, maxSilhouette),
	}
}
