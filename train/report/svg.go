package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Sizes in the units of a drawing, which the page shows at about one pixel each.
const (
	fontSize   = 11.0
	lineHeight = 15.0
	tickLength = 4.0
	sampleLine = 22.0 // of the legend
	gap        = 8.0
	// letterWidth is a generous mean width of a letter. The page's font is not
	// known here, so all room for text is an estimate.
	letterWidth = 0.58 * fontSize
)

// chart is a drawing on two linear axes. Series are drawn in their order, then
// labels on top. What has a coordinate that is not a number, or is infinite or
// beyond largestDrawn, is left out.
type chart struct {
	width, height float64
	x, y          axis
	series        []series
	labels        []label
}

// axis has a fixed range and names where they are given; otherwise its range
// follows from the points and its ticks are round numbers.
type axis struct {
	title    string
	from, to float64 // fixed range, unless both are zero
	whole    bool    // ticks on whole numbers only
	names    []tick
}

type tick struct {
	at   float64
	text string
}

type point struct{ x, y float64 }

// series is a set of points of one colour, joined by a line, marked, or both.
type series struct {
	name   string // in the legend, empty for none
	colour string // of CSS
	points []point
	line   float64 // width, 0 for none
	dashed bool
	dot    float64 // radius, 0 for none
	square bool    // marks are squares
	faint  bool    // marks are half transparent
}

// label is a text centred on a point.
type label struct {
	at   point
	text string
}

// largestDrawn bounds coordinates so that differences of two are finite.
const largestDrawn = 1e300

func (p point) drawn() bool {
	return math.Abs(p.x) <= largestDrawn && math.Abs(p.y) <= largestDrawn
}

// svg returns the chart as an element for a page of HTML, where namespaces are
// known and the font comes from the page. Texts are escaped. Equal charts give
// equal text.
func (c *chart) svg() markup {
	xs, ys := c.ranges()
	f := frame{right: c.width - 12, bottom: c.height - lineHeight - tickLength - 4, xs: xs, ys: ys}
	if c.x.title != "" {
		f.bottom -= lineHeight
	}
	legend, legendHeight := c.legend()
	f.top = 8 + legendHeight
	yTicks := c.y.ticks(ys, max(2, int((f.bottom-f.top)/40)))
	for _, t := range yTicks {
		f.left = max(f.left, textWidth(t.text))
	}
	f.left = min(f.left, c.width/2) + tickLength + 6
	if c.y.title != "" {
		f.left += lineHeight
	}
	xTicks := c.x.ticks(xs, max(2, int((f.right-f.left)/50)))

	b := &strings.Builder{}
	fmt.Fprintf(b, "<svg viewBox=\"0 0 %s %s\" font-size=\"%s\" fill=\"%s\" role=\"img\" aria-label=\"%s\">\n",
		number(c.width), number(c.height), number(fontSize), ink, escape(c.y.title+" over "+c.x.title))
	b.WriteString(legend)
	c.writeAxes(b, &f, xTicks, yTicks)
	for i := range c.series {
		c.series[i].write(b, &f)
	}
	for _, l := range c.labels {
		if !l.at.drawn() {
			continue
		}
		x, y := f.place(l.at)
		half := textWidth(l.text) / 2
		x = max(min(x, c.width-half), half) // inside the drawing
		fmt.Fprintf(b, "<text x=\"%s\" y=\"%s\" text-anchor=\"middle\" font-weight=\"600\" fill=\"#000\" stroke=\"#fff\" stroke-width=\"2.5\" paint-order=\"stroke\">%s</text>\n",
			number(x), number(y+0.35*fontSize), escape(l.text))
	}
	b.WriteString("</svg>\n")
	return markup(b.String())
}

// frame maps the ranges to the rectangle between the axes.
type frame struct {
	left, right, top, bottom float64
	xs, ys                   span
}

func (f *frame) place(p point) (x, y float64) {
	return f.left + (f.right-f.left)*f.xs.share(p.x), f.bottom - (f.bottom-f.top)*f.ys.share(p.y)
}

// span is the range of an axis; from < to.
type span struct{ from, to float64 }

func (s span) share(v float64) float64 { return (v - s.from) / (s.to - s.from) }

// ranges returns what the axes show: the fixed range, or that of the points and
// a little room for the marks at its ends.
func (c *chart) ranges() (xs, ys span) {
	xs, ys = span{math.Inf(1), math.Inf(-1)}, span{math.Inf(1), math.Inf(-1)}
	for _, s := range c.series {
		for _, p := range s.points {
			if p.drawn() {
				xs = span{min(xs.from, p.x), max(xs.to, p.x)}
				ys = span{min(ys.from, p.y), max(ys.to, p.y)}
			}
		}
	}
	return c.x.span(xs), c.y.span(ys)
}

func (a *axis) span(s span) span {
	if a.from != 0 || a.to != 0 {
		return span{a.from, a.to}
	}
	if s.from > s.to {
		return span{0, 1}
	}
	// A range that rounding would blur is opened around its middle.
	if !(s.to-s.from > 1e-9*max(math.Abs(s.from), math.Abs(s.to), 1e-280)) {
		room := max(math.Abs(s.to)/10, 1e-280)
		if s.to == 0 || a.whole {
			room = max(room, 1)
		}
		return span{s.from - room, s.to + room}
	}
	room := 0.03 * (s.to - s.from)
	return span{s.from - room, s.to + room}
}

// ticks returns at most about n ticks inside s: the axis's names, or multiples of
// one, two or five times a power of ten.
func (a *axis) ticks(s span, n int) []tick {
	if a.names != nil {
		return a.names
	}
	exponent := int(math.Floor(math.Log10((s.to - s.from) / float64(n))))
	if a.whole {
		exponent = max(exponent, 0)
	}
	digit := 1
	for _, digit = range []int{1, 2, 5, 10} {
		if float64(digit)*power(exponent)*float64(n) >= s.to-s.from {
			break
		}
	}
	if digit == 10 {
		digit, exponent = 1, exponent+1
	}
	step := float64(digit) * power(exponent)
	var list []tick
	for k := math.Ceil(s.from / step); k <= math.Floor(s.to/step); k++ {
		list = append(list, tick{k * step, tickText(k*float64(digit), exponent)})
	}
	return list
}

func power(exponent int) float64 { return math.Pow(10, float64(exponent)) }

// tickText writes m * 10^exponent, m whole, without digits that rounding left.
func tickText(m float64, exponent int) string {
	switch {
	case m == 0:
		return "0"
	case exponent < -5 || exponent > 5:
		digits := len(strconv.FormatFloat(math.Abs(m), 'f', 0, 64))
		return strconv.FormatFloat(m*power(exponent), 'g', digits, 64)
	case exponent < 0:
		return strconv.FormatFloat(m*power(exponent), 'f', -exponent, 64)
	}
	return strconv.FormatFloat(m*power(exponent), 'f', 0, 64)
}

func (c *chart) writeAxes(b *strings.Builder, f *frame, xTicks, yTicks []tick) {
	segment := func(x1, y1, x2, y2 float64, colour string) {
		fmt.Fprintf(b, "<path d=\"M%s %sL%s %s\" stroke=\"%s\"/>\n", number(x1), number(y1), number(x2), number(y2), colour)
	}
	for _, t := range yTicks {
		_, y := f.place(point{f.xs.from, t.at})
		segment(f.left, y, f.right, y, rule)
		segment(f.left-tickLength, y, f.left, y, grey)
		fmt.Fprintf(b, "<text x=\"%s\" y=\"%s\" text-anchor=\"end\">%s</text>\n", number(f.left-tickLength-3), number(y+0.35*fontSize), escape(t.text))
	}
	for _, t := range xTicks {
		x, _ := f.place(point{t.at, f.ys.from})
		segment(x, f.bottom, x, f.bottom+tickLength, grey)
		fmt.Fprintf(b, "<text x=\"%s\" y=\"%s\" text-anchor=\"middle\">%s</text>\n", number(x), number(f.bottom+tickLength+fontSize), escape(t.text))
	}
	segment(f.left, f.top, f.left, f.bottom, grey)
	segment(f.left, f.bottom, f.right, f.bottom, grey)
	if c.x.title != "" {
		fmt.Fprintf(b, "<text x=\"%s\" y=\"%s\" text-anchor=\"middle\">%s</text>\n", number((f.left+f.right)/2), number(c.height-5), escape(c.x.title))
	}
	if c.y.title != "" {
		middle := number((f.top + f.bottom) / 2)
		fmt.Fprintf(b, "<text x=\"%s\" y=\"%s\" text-anchor=\"middle\" transform=\"rotate(-90 %s %s)\">%s</text>\n",
			number(fontSize), middle, number(fontSize), middle, escape(c.y.title))
	}
}

func (s *series) write(b *strings.Builder, f *frame) {
	var path strings.Builder
	var marks []point
	command := byte('M')
	for _, p := range s.points {
		if !p.drawn() {
			continue
		}
		x, y := f.place(p)
		path.WriteByte(command)
		path.WriteString(number(x) + " " + number(y))
		marks = append(marks, point{x, y})
		command = 'L'
	}
	if marks == nil {
		return
	}
	if s.line > 0 {
		fmt.Fprintf(b, "<path d=\"%s\" fill=\"none\" %s/>\n", path.String(), s.stroke())
	}
	if s.dot == 0 {
		return
	}
	faint := ""
	if s.faint {
		faint = " opacity=\"0.5\""
	}
	fmt.Fprintf(b, "<g fill=\"%s\"%s>\n", s.colour, faint)
	for _, m := range marks {
		if s.square {
			fmt.Fprintf(b, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"/>\n", number(m.x-s.dot), number(m.y-s.dot), number(2*s.dot), number(2*s.dot))
		} else {
			fmt.Fprintf(b, "<circle cx=\"%s\" cy=\"%s\" r=\"%s\"/>\n", number(m.x), number(m.y), number(s.dot))
		}
	}
	b.WriteString("</g>\n")
}

func (s *series) stroke() string {
	text := fmt.Sprintf("stroke=\"%s\" stroke-width=\"%s\"", s.colour, number(s.line))
	if s.dashed {
		text += " stroke-dasharray=\"4 3\""
	}
	return text
}

// legend writes the names of the series, in rows above the frame where they hide
// nothing, and returns the height they take.
func (c *chart) legend() (text string, height float64) {
	b := &strings.Builder{}
	x, y := gap, 0.0
	for i := range c.series {
		s := &c.series[i]
		if s.name == "" {
			continue
		}
		width := sampleLine + 5 + textWidth(s.name)
		if y == 0 || x+width > c.width {
			x, y = gap, y+lineHeight
		}
		fmt.Fprintf(b, "<path d=\"M%s %sh%s\" %s/><text x=\"%s\" y=\"%s\">%s</text>\n",
			number(x), number(y-4), number(sampleLine), s.stroke(), number(x+sampleLine+5), number(y), escape(s.name))
		x += width + gap
	}
	return b.String(), y
}

func textWidth(s string) float64 { return letterWidth * float64(utf8.RuneCountInString(s)) }

// number writes a length to hundredths.
func number(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0")
	return strings.TrimSuffix(text, ".")
}
