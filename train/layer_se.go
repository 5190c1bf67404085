package train

import "math"

type seGap struct {
	n int
	s Shape
}

func (o *seGap) Needs() Needs { return Needs{} }
func (o *seGap) Forward(io *IO) {
	hw := o.s.H * o.s.W
	for i := range o.n {
		for c := range o.s.C {
			s := 0.0
			for p := range hw {
				s += float64(io.Src[0][(i*hw+p)*o.s.C+c])
			}
			io.Dst[0][i*o.s.C+c] = float32(s / float64(hw))
		}
	}
}
func (o *seGap) Backward(io *IO) {
	hw := o.s.H * o.s.W
	for i := range o.n {
		for p := range hw {
			for c := range o.s.C {
				io.DSrc[0][(i*hw+p)*o.s.C+c] = io.DDst[0][i*o.s.C+c] / float32(hw)
			}
		}
	}
}

type SE struct {
	fc1, fc2 *Linear
	c, h     int
	rescale  bool
}

func NewSE(fc1, fc2 string, c, hidden int, rescale bool) *SE {
	return &SE{NewLinear(fc1, c, hidden, true), NewLinear(fc2, hidden, c, true), c, hidden, rescale}
}
func (l *SE) Name() string     { return l.fc1.name }
func (l *SE) Params() []*Param { return append(l.fc1.Params(), l.fc2.Params()...) }
func (l *SE) Outputs(in []Shape) ([]Shape, error) {
	if l.rescale {
		return []Shape{in[0], {1, 1, l.c}}, nil
	}
	return []Shape{{1, 1, l.c}}, nil
}
func (l *SE) Plan(n int, in []Shape, t bool) (Op, error) {
	return &seOp{l, n, in[0], make([]float32, n*l.c), make([]float32, n*l.h), make([]float32, n*l.c)}, nil
}

type seOp struct {
	*SE
	n       int
	s       Shape
	z, h, a []float32
}

func (o *seOp) Needs() Needs { return Needs{Src: true} }
func (o *seOp) Forward(io *IO) {
	(&seGap{o.n, o.s}).Forward(&IO{Src: io.Src, Dst: [][]float32{o.z}})
	f1, f2 := &linearOp{o.fc1, o.n}, &linearOp{o.fc2, o.n}
	f1.Forward(&IO{Src: [][]float32{o.z}, Dst: [][]float32{o.h}})
	for i := range o.h {
		o.h[i] = max(0, o.h[i])
	}
	f2.Forward(&IO{Src: [][]float32{o.h}, Dst: [][]float32{o.a}})
	for i, v := range o.a {
		o.a[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
	copy(io.Dst[len(io.Dst)-1], o.a)
	if o.rescale {
		hw := o.s.H * o.s.W
		for i, v := range io.Src[0] {
			io.Dst[0][i] = v * o.a[i/(hw*o.c)*o.c+i%o.c]
		}
	}
}
func (o *seOp) Backward(io *IO) {
	da := make([]float32, len(o.a))
	hw := o.s.H * o.s.W
	if d := io.DDst[len(io.DDst)-1]; d != nil {
		copy(da, d)
	}
	if o.rescale {
		for i, v := range io.Src[0] {
			da[i/(hw*o.c)*o.c+i%o.c] += v * io.DDst[0][i]
		}
	}
	for i := range da {
		da[i] *= o.a[i] * (1 - o.a[i])
	}
	f1, f2 := &linearOp{o.fc1, o.n}, &linearOp{o.fc2, o.n}
	dh, dz := make([]float32, len(o.h)), make([]float32, len(o.z))
	f2.Backward(&IO{Src: [][]float32{o.h}, DDst: [][]float32{da}, DSrc: [][]float32{dh}})
	for i := range dh {
		if !(o.h[i] > 0) {
			dh[i] = 0
		}
	}
	f1.Backward(&IO{Src: [][]float32{o.z}, DDst: [][]float32{dh}, DSrc: [][]float32{dz}})
	for i := range io.DSrc[0] {
		j := i/(hw*o.c)*o.c + i%o.c
		io.DSrc[0][i] = dz[j] / float32(hw)
		if o.rescale {
			io.DSrc[0][i] += io.DDst[0][i] * o.a[j]
		}
	}
}
