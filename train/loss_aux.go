package train

import (
	"math"

	"github.com/golanes/lanes/ccloss"
	"github.com/golanes/lanes/kernels"
)

// ccLoss is the mean channel-correlation loss of the attention vectors of one or
// several stages.
type ccLoss struct{ plans []*ccloss.Plan }

func newCCLoss(opt ccloss.Options, m *Model, stages []Value, n int) (*ccLoss, error) {
	l := &ccLoss{}
	for _, v := range stages {
		p, err := ccloss.New(opt, n, m.graph.Shape(v).C)
		if err != nil {
			return nil, err
		}
		l.plans = append(l.plans, p)
	}
	return l, nil
}

func (l *ccLoss) params() []*Param { return nil }

func (l *ccLoss) compute(io *lossIO, weight float64) float64 {
	total, share := 0.0, 1/float64(len(l.plans))
	for i, p := range l.plans {
		total += p.Forward(io.attentions[i], io.labels).Loss * share
		if io.dAttentions[i] != nil {
			p.Backward(io.dAttentions[i], float32(weight*share))
		}
	}
	return total
}

// centerLoss is the squared distance of the features f_i to a learned centre of
// their class (Wen et al., 2016):
//
//	L = 1/(2n) sum_i ||f_i - c_y||^2
//
// The gradient of the centres is not scaled by the weight of the term, so that
// they follow the features however small that is.
type centerLoss struct {
	n, f    int
	centers *Param
}

func newCenterLoss(n, classes, f int) *centerLoss {
	p := newParam("loss.centers", initNormal(1), classes, f)
	p.Norm = true
	return &centerLoss{n, f, p}
}

func (l *centerLoss) params() []*Param { return []*Param{l.centers} }

func (l *centerLoss) compute(io *lossIO, weight float64) float64 {
	clear(l.centers.Grad)
	sum, inv := 0.0, float32(1/float64(l.n))
	for i, y := range io.labels {
		x := io.features[i*l.f : (i+1)*l.f]
		c := l.centers.Value[int(y)*l.f : int(y+1)*l.f]
		dc := l.centers.Grad[int(y)*l.f : int(y+1)*l.f]
		for j, v := range x {
			d := v - c[j]
			sum += float64(d) * float64(d)
			dc[j] -= d * inv
			if io.dFeatures != nil {
				io.dFeatures[i*l.f+j] = float32(weight) * d * inv
			}
		}
	}
	return sum / (2 * float64(l.n))
}

// pairTerm is what supcon and triplet share: unit features u_i and the matrix of
// their cosines s_ij.
type pairTerm struct {
	n, f      int
	unit, inv []float32 // n x f; n
	sim       []float32 // n x n
	dsim      []float32 // n x n: dL/ds_ij
	dunit     []float32 // n x f
}

func newPairTerm(n, f int) pairTerm {
	return pairTerm{n: n, f: f, unit: make([]float32, n*f), inv: make([]float32, n),
		sim: make([]float32, n*n), dsim: make([]float32, n*n), dunit: make([]float32, n*f)}
}

func (t *pairTerm) params() []*Param { return nil }

func (t *pairTerm) forward(features []float32) {
	normaliseRows(t.unit, t.inv, features, t.f)
	kernels.Gemm(false, true, t.n, t.n, t.f, 1, t.unit, t.f, t.unit, t.f, 0, t.sim, t.n)
	clear(t.dsim)
}

// backward writes dFeatures from dsim: du = (dS + dS^T) u, times weight.
func (t *pairTerm) backward(dFeatures []float32, weight float64) {
	if dFeatures == nil {
		return
	}
	kernels.Gemm(false, false, t.n, t.f, t.n, float32(weight), t.dsim, t.n, t.unit, t.f, 0, t.dunit, t.f)
	kernels.Gemm(true, false, t.n, t.f, t.n, float32(weight), t.dsim, t.n, t.unit, t.f, 1, t.dunit, t.f)
	normaliseRowsBackward(dFeatures, t.dunit, t.unit, t.inv, t.f)
}

// supCon is the supervised contrastive loss of unit features at temperature t
// (Khosla et al., 2020, the form with the sum outside the logarithm):
//
//	L = -1/m sum_i 1/|P(i)| sum_{p in P(i)} log( exp(s_ip/t) / sum_{a != i} exp(s_ia/t) )
//
// over the m samples i that have another sample of their class, P(i), in the
// batch; 0 without any.
type supCon struct {
	pairTerm
	temperature float64
}

func newSupCon(n, f int, temperature float64) *supCon {
	return &supCon{newPairTerm(n, f), temperature}
}

func (l *supCon) compute(io *lossIO, weight float64) float64 {
	l.forward(io.features)
	total, anchors := 0.0, 0
	for i := range l.n {
		if loss, ok := l.anchor(i, io.labels); ok {
			total += loss
			anchors++
		}
	}
	if anchors > 0 {
		total /= float64(anchors)
		kernels.Scale(float32(1/float64(anchors)), l.dsim)
	}
	l.backward(io.dFeatures, weight)
	return total
}

// anchor returns the loss of sample i and writes row i of dsim: with q the
// softmax over a != i, dL/ds_ij = (q_j - 1[j in P(i)]/|P(i)|) / t.
func (l *supCon) anchor(i int, labels []int32) (float64, bool) {
	s, d := l.sim[i*l.n:(i+1)*l.n], l.dsim[i*l.n:(i+1)*l.n]
	top, positives, along := math.Inf(-1), 0, 0.0
	for j, v := range s {
		if j == i {
			continue
		}
		top = math.Max(top, float64(v)/l.temperature)
		if labels[j] == labels[i] {
			positives++
			along += float64(v) / l.temperature
		}
	}
	if positives == 0 {
		return 0, false
	}
	sum := 0.0
	for j, v := range s {
		if j != i {
			sum += math.Exp(float64(v)/l.temperature - top)
		}
	}
	log := top + math.Log(sum)
	share := 1 / float64(positives)
	for j, v := range s {
		if j == i {
			continue
		}
		q := math.Exp(float64(v)/l.temperature - log)
		if labels[j] == labels[i] {
			q -= share
		}
		d[j] = float32(q / l.temperature)
	}
	return log - along*share, true
}

// triplet is the batch-hard triplet loss (Hermans et al., 2017) of unit
// features: the farthest sample of the same class must be nearer than the
// nearest of another by a margin,
//
//	L = 1/m sum_i max(0, max_p d_ip - min_q d_iq + margin),  d_ij^2 = 2 - 2 s_ij
//
// over the m samples that have both; 0 without any. Of equally far samples the
// first counts. The slope of d at 0 is taken as 0.
type triplet struct {
	pairTerm
	margin float64
}

func newTriplet(n, f int, margin float64) *triplet { return &triplet{newPairTerm(n, f), margin} }

func (l *triplet) compute(io *lossIO, weight float64) float64 {
	l.forward(io.features)
	total, anchors := 0.0, 0
	for i := range l.n {
		s := l.sim[i*l.n : (i+1)*l.n]
		far, near := -1, -1
		for j, v := range s {
			switch {
			case j == i:
			case io.labels[j] == io.labels[i]:
				if far < 0 || v < s[far] || v != v {
					far = j
				}
			case near < 0 || v > s[near] || v != v:
				near = j
			}
		}
		if far < 0 || near < 0 {
			continue
		}
		anchors++
		dp, dn := chord(s[far]), chord(s[near])
		hinge := dp - dn + l.margin
		if hinge <= 0 {
			continue
		}
		total += hinge
		// d(d_ij)/d(s_ij) = -1/d_ij.
		if dp > 0 {
			l.dsim[i*l.n+far] -= float32(1 / dp)
		}
		if dn > 0 {
			l.dsim[i*l.n+near] += float32(1 / dn)
		}
	}
	if anchors > 0 {
		total /= float64(anchors)
		kernels.Scale(float32(1/float64(anchors)), l.dsim)
	}
	l.backward(io.dFeatures, weight)
	return total
}

// chord is the distance of two unit vectors of cosine s.
func chord(s float32) float64 { return math.Sqrt(math.Max(0, 2-2*float64(s))) }
