package data

// rgb is a colour, or a difference of two.
type rgb [3]int

func (c rgb) luminance() int { return (77*c[0] + 150*c[1] + 29*c[2]) >> 8 }

// lattice is the most cells a texture has along a side.
const lattice = 8

// texture blends two colours by value noise: random weights at the corners of a
// grid, interpolated between, with stripes over it.
type texture struct {
	from, to rgb
	cell     int // pixels along the side of a cell
	weight   [lattice + 1][lattice + 1]int

	stripes    int // weight of the stripes, 0 for none
	sx, sy, s0 int // phase of a pixel's stripe, in 1/256 of a period
}

// at returns the colour of pixel (x, y).
func (t *texture) at(x, y int) rgb {
	cx, cy := x/t.cell, y/t.cell
	fx, fy := x%t.cell, y%t.cell
	top := t.weight[cy][cx]*(t.cell-fx) + t.weight[cy][cx+1]*fx
	bottom := t.weight[cy+1][cx]*(t.cell-fx) + t.weight[cy+1][cx+1]*fx
	w := (top*(t.cell-fy) + bottom*fy) / (t.cell * t.cell)
	if t.stripes > 0 {
		phase := (t.s0 + t.sx*x + t.sy*y) & 255
		wave := min(phase, 256-phase) * 2 // a triangle, 0..256
		w += (wave - w) * t.stripes >> 8
	}
	var c rgb
	for k := range c {
		c[k] = (t.from[k]*(256-w) + t.to[k]*w) >> 8
	}
	return c
}

// minContrast is the least difference in luminance between letter and ground.
const minContrast = 48

// darkLetters is the share of letters that are darker than their ground, 1 in 4.
// With as many dark as light ones the mean image of a class is nearly flat, and
// training begins with a long standstill.
const darkLetters = 4

// colour draws the two textures of an image.
func (p *pen) colour() {
	p.weigh(&p.background)
	p.weigh(&p.foreground)
	p.foreground.stripes = 0
	dark := p.random.IntN(darkLetters) == 0
	// About one draw in ten passes; after two hundred, black and white do.
	for range 200 {
		p.background.from, p.background.to = p.paint(), p.paint()
		p.foreground.from = p.paint()
		p.foreground.to = p.near(p.foreground.from)
		if p.legible(dark) {
			return
		}
	}
	p.background.from, p.background.to = rgb{}, rgb{}
	p.foreground.from, p.foreground.to = rgb{255, 255, 255}, rgb{255, 255, 255}
	if dark {
		p.background, p.foreground = p.foreground, p.background
	}
}

// legible reports whether the letter is everywhere darker, or everywhere lighter,
// than the ground, by minContrast.
func (p *pen) legible(dark bool) bool {
	b0, b1 := p.background.from.luminance(), p.background.to.luminance()
	f0, f1 := p.foreground.from.luminance(), p.foreground.to.luminance()
	if dark {
		return max(f0, f1)+minContrast <= min(b0, b1)
	}
	return min(f0, f1) >= max(b0, b1)+minContrast
}

func (p *pen) paint() rgb {
	bits := p.random.Uint32()
	return rgb{int(bits & 255), int(bits >> 8 & 255), int(bits >> 16 & 255)}
}

func (p *pen) near(c rgb) rgb {
	for k := range c {
		c[k] = max(0, min(255, c[k]+p.random.IntN(97)-48))
	}
	return c
}

// weigh draws the pattern of a texture.
func (p *pen) weigh(t *texture) {
	cells := 1 << p.random.IntN(4)
	t.cell = glyphSide / cells
	for y := range cells + 1 {
		for x := range cells + 1 {
			t.weight[y][x] = p.random.IntN(257)
		}
	}
	t.stripes = 0
	if p.random.IntN(3) == 0 {
		t.stripes = 64 + p.random.IntN(128)
		t.sx, t.sy, t.s0 = p.random.IntN(65)-32, p.random.IntN(65)-32, p.random.IntN(256)
	}
}
