package bench

import (
	"fmt"
	"math/rand/v2"

	"github.com/golanes/lanes/ccloss"
)

// The suite ccloss: distances of attention vectors and the losses made of them.

// lossCase is a batch of n vectors of c channels in k classes.
type lossCase struct{ n, c, k int }

func (s lossCase) String() string { return fmt.Sprintf("n=%d/c=%d", s.n, s.c) }

func (s lossCase) batch() (a []float32, labels []int32) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, labels = make([]float32, s.n*s.c), make([]int32, s.n)
	for i := range a {
		a[i] = rng.Float32()
	}
	for i := range labels {
		labels[i] = int32(rng.IntN(s.k))
	}
	return a, labels
}

// gram is the cost of the product of the batch with its transpose, which is
// what the rates of cases over pairs are counted in, however a case gets there.
func (s lossCase) gram() float64 { return 2 * float64(s.n) * float64(s.n) * float64(s.c) }

// torchPairs makes the batch in PyTorch; x2 is a column of squared norms.
func (s lossCase) torchPairs() []string {
	return []string{fmt.Sprintf("x = torch.rand(%d, %d)", s.n, s.c)}
}

// Work in PyTorch: the usual formula with one matrix product, and the distance
// function without it.
const (
	torchGram   = "n = (x*x).sum(1)\nd = torch.addmm(n[:, None] + n[None, :], x, x.T, alpha=-2)"
	torchDirect = "d = torch.cdist(x, x, compute_mode='donot_use_mm_for_euclid_dist')"
)

// directLimit is the most gram work given to PyTorch's direct form, which takes
// some 200 ms for it.
const directLimit = 1e9

// lossCases are, in this order: all pair sums without a matrix, the matrix, whole
// steps by pairs, and steps by class statistics from small to large batches.
func lossCases() []benchCase {
	var cases []benchCase
	for _, c := range []int{64, 512} {
		for _, n := range []int{128, 256, 512, 2048, 8192} {
			s := lossCase{n, c, 100}
			cases = append(cases, pairsCase("pairs", s, &torchCase{s.torchPairs(), torchGram}))
			if s.gram() <= directLimit {
				cases = append(cases, pairsCase("direct", s, &torchCase{s.torchPairs(), torchDirect}))
			}
		}
	}
	for _, s := range []lossCase{{128, 64, 100}, {2048, 64, 100}, {2048, 512, 100}} {
		cases = append(cases, matrixCase(s))
	}
	for _, opt := range []ccloss.Options{
		{Metric: ccloss.Euclidean, Form: ccloss.Ratio},
		{Metric: ccloss.Euclidean, Form: ccloss.Margin},
		{Metric: ccloss.SquaredEuclidean, Form: ccloss.Margin},
	} {
		for _, s := range []lossCase{{128, 64, 10}, {2048, 64, 100}, {2048, 512, 100}} {
			c := stepCase(opt, s)
			c.flops, c.torch = s.gram(), torchStep(opt, s)
			cases = append(cases, c)
		}
	}
	for _, s := range []lossCase{{64, 64, 10}, {128, 64, 10}, {1024, 64, 10}, {8192, 64, 10}, {65536, 64, 10}, {2048, 512, 100}, {8192, 512, 1000}} {
		c := stepCase(ccloss.Options{}, s)
		// The batch is read forward, read backward, and the gradient written.
		c.bytes, c.workingSet = 12*float64(s.n)*float64(s.c), 12*s.n*s.c
		if s.gram() > 1e8 && s.c > 64 {
			c.torch = torchStep(ccloss.Options{}, s)
		}
		cases = append(cases, c)
	}
	return cases
}

// pairsCase sums the distances of all pairs by kind; nothing of size n x n is
// stored. The rivals only make the matrix.
func pairsCase(class string, s lossCase, torch *torchCase) benchCase {
	return benchCase{
		name: fmt.Sprintf("%s/%s", class, s), flops: s.gram(), torch: torch,
		setup: func() func() {
			a, labels := s.batch()
			plan := must(ccloss.New(ccloss.Options{Metric: ccloss.Euclidean}, s.n, s.c))
			return func() { plan.Forward(a, labels) }
		},
	}
}

func matrixCase(s lossCase) benchCase {
	return benchCase{
		name: fmt.Sprintf("matrix/%s", s), flops: s.gram(), torch: &torchCase{s.torchPairs(), torchGram},
		setup: func() func() {
			a, _ := s.batch()
			dst := make([]float32, s.n*s.n)
			return func() { ccloss.Distances(dst, a, s.n, s.c, ccloss.SquaredEuclidean) }
		},
	}
}

// stepCase is forward and backward.
func stepCase(opt ccloss.Options, s lossCase) benchCase {
	return benchCase{
		name: fmt.Sprintf("step/%s-%s/%s/k=%d", opt.Metric, opt.Form, s, s.k),
		setup: func() func() {
			a, labels := s.batch()
			da := make([]float32, len(a))
			plan := must(ccloss.New(opt, s.n, s.c))
			return func() {
				plan.Forward(a, labels)
				plan.Backward(da, 1)
			}
		},
	}
}

// torchStep is the step by autograd over the matrix of distances.
func torchStep(opt ccloss.Options, s lossCase) *torchCase {
	setup := fmt.Sprintf(`x = torch.rand(%d, %d).requires_grad_()
y = torch.randint(%d, (%d,))
same = (y[:, None] == y[None, :]).float() - torch.eye(%d)
diff = (y[:, None] != y[None, :]).float()
P, Q, m = same.sum(), diff.sum(), 0.5*%d**0.5`, s.n, s.c, s.k, s.n, s.n, s.c)
	run := torchGram
	if opt.Metric == ccloss.Euclidean {
		run = "d = torch.cdist(x, x)"
	}
	run += "\nw = (d*same).sum()/P\n"
	switch {
	case opt.Form == ccloss.Ratio:
		run += "l = w/((d*diff).sum()/Q + 1e-6)"
	case opt.Metric == ccloss.Euclidean:
		run += "l = w + (torch.relu(m - d)**2*diff).sum()/Q"
	default:
		run += "l = w + (torch.relu(m - torch.sqrt(torch.clamp(d, min=1e-12)))**2*diff).sum()/Q"
	}
	return &torchCase{[]string{setup}, run + "\nx.grad = None\nl.backward()"}
}
