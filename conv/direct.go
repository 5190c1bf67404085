package conv

// The Direct algorithm: the definition of the operator as plain loops. Sums are
// in float64 and rounded once, so it doubles as the oracle of the others.

// directForward computes one output element after another.
func (p *Plan) directForward(dst, src, w, bias, residual []float32) {
	s := &p.shape
	oh, ow, cg, kg := p.oh, p.ow, s.groupC(), s.groupK()
	i := 0
	for n := range s.N {
		for y := range oh {
			for x := range ow {
				for k := range s.K {
					sum := 0.0
					for r := range s.R {
						h := y*s.StrideH - s.PadTop + r*s.DilationH
						if h < 0 || h >= s.H {
							continue
						}
						for q := range s.S {
							v := x*s.StrideW - s.PadLeft + q*s.DilationW
							if v < 0 || v >= s.W {
								continue
							}
							pixel := src[((n*s.H+h)*s.W+v)*s.C+k/kg*cg:]
							for c := range cg {
								sum += float64(pixel[c]) * float64(w[((k*cg+c)*s.R+r)*s.S+q])
							}
						}
					}
					if bias != nil {
						sum += float64(bias[k])
					}
					v := float32(sum)
					if residual != nil {
						v += residual[i]
					}
					dst[i] = v
					i++
				}
			}
		}
	}
}

// directBackwardData gathers, for each element of src, the outputs it went to.
func (p *Plan) directBackwardData(dsrc, ddst, w []float32) {
	s := &p.shape
	oh, ow, cg, kg := p.oh, p.ow, s.groupC(), s.groupK()
	i := 0
	for n := range s.N {
		for h := range s.H {
			for v := range s.W {
				for c := range s.C {
					g := c / cg
					sum := 0.0
					for r := range s.R {
						y := h + s.PadTop - r*s.DilationH
						if y < 0 || y%s.StrideH != 0 || y/s.StrideH >= oh {
							continue
						}
						for q := range s.S {
							x := v + s.PadLeft - q*s.DilationW
							if x < 0 || x%s.StrideW != 0 || x/s.StrideW >= ow {
								continue
							}
							pixel := ddst[((n*oh+y/s.StrideH)*ow+x/s.StrideW)*s.K+g*kg:]
							for k := range kg {
								sum += float64(pixel[k]) * float64(w[(((g*kg+k)*cg+c%cg)*s.R+r)*s.S+q])
							}
						}
					}
					dsrc[i] = float32(sum)
					i++
				}
			}
		}
	}
}

// directBackwardWeights sums over batch and pixels for each weight.
func (p *Plan) directBackwardWeights(dw, db, src, ddst []float32) {
	s := &p.shape
	oh, ow, cg, kg := p.oh, p.ow, s.groupC(), s.groupK()
	i := 0
	for k := range s.K {
		for c := range cg {
			for r := range s.R {
				for q := range s.S {
					sum := 0.0
					for n := range s.N {
						for y := range oh {
							h := y*s.StrideH - s.PadTop + r*s.DilationH
							if h < 0 || h >= s.H {
								continue
							}
							for x := range ow {
								v := x*s.StrideW - s.PadLeft + q*s.DilationW
								if v < 0 || v >= s.W {
									continue
								}
								sum += float64(src[((n*s.H+h)*s.W+v)*s.C+k/kg*cg+c]) * float64(ddst[((n*oh+y)*ow+x)*s.K+k])
							}
						}
					}
					dw[i] += float32(sum)
					i++
				}
			}
		}
	}
	if db == nil {
		return
	}
	for k := range s.K {
		sum := 0.0
		for i := k; i < len(ddst); i += s.K {
			sum += float64(ddst[i])
		}
		db[k] += float32(sum)
	}
}
