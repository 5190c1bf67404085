package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/golanes/lanes/internal/atomicfile"
	"github.com/golanes/lanes/train/compare"
)

//go:embed comparison.html
var comparisonText string

// comparisonPage is what the template reads.
type comparisonPage struct {
	*compare.Results
	Blocks  []block
	Overall *block
	Grid    []gridLine
}

// block is the losses of one data set and model, or of all together.
type block struct {
	Title       string
	Params      int
	Rows        []row
	Accuracies  markup
	Differences markup // empty without
}

type row struct {
	Loss       string
	Setting    string
	Diverged   int
	Accuracy   *compare.Summary
	Difference *compare.Difference
	Cell       *compare.Cell // nil for all together
}

// gridLine is the settings tried for a loss.
type gridLine struct {
	Loss, Settings string
}

// WriteComparison renders a comparison to a file, atomically.
func WriteComparison(path string, r *compare.Results) error {
	var b bytes.Buffer
	if err := renderComparison(&b, r); err != nil {
		return err
	}
	return atomicfile.Write(path, b.Bytes())
}

func renderComparison(w io.Writer, r *compare.Results) error {
	p := comparisonPage{Results: r}
	for i := range r.Cells {
		c := &r.Cells[i]
		if i == 0 || c.Data != r.Cells[i-1].Data || c.Model != r.Cells[i-1].Model {
			p.Blocks = append(p.Blocks, block{Title: c.Data + ", " + c.Model, Params: c.Params})
		}
		last := &p.Blocks[len(p.Blocks)-1]
		last.Rows = append(last.Rows, row{c.Loss, c.Setting.String(), c.Diverged, c.TestAcc, c.Difference, c})
	}
	if r.Overall != nil {
		p.Overall = &block{Title: "All data sets and models"}
		for _, o := range r.Overall {
			p.Overall.Rows = append(p.Overall.Rows, row{Loss: o.Loss, Accuracy: o.TestAcc, Difference: o.Difference})
		}
		p.Overall.draw()
	}
	for i := range p.Blocks {
		p.Blocks[i].draw()
	}
	for _, loss := range r.Plan.Losses {
		var list []string
		for _, s := range r.Plan.Grid[loss] {
			list = append(list, s.String())
		}
		p.Grid = append(p.Grid, gridLine{loss, strings.Join(list, "; ")})
	}
	t, err := newPage("comparison", comparisonText, template.FuncMap{
		"percent": func(s *compare.Summary) string { return spread(s, 100, "%.2f") },
		"spread":  func(s *compare.Summary) string { return spread(s, 1, "%.2f") },
		"mean": func(s *compare.Summary) string {
			if s == nil {
				return ""
			}
			return fmt.Sprintf("%.3g", s.Mean)
		},
		"epochs": func(n int) string {
			if n == 1 {
				return "1 epoch"
			}
			return fmt.Sprintf("%d epochs", n)
		},
		"change": (*compare.Difference).String, "verdict": verdict,
		"last": func(seed uint64, n int) uint64 { return seed + uint64(n) },
		"next": func(seed uint64) uint64 { return seed + 1 },
	})
	if err != nil {
		return err
	}
	return t.Execute(w, &p)
}

// spread writes a mean and its standard deviation.
func spread(s *compare.Summary, scale float64, format string) string {
	switch {
	case s == nil:
		return ""
	case s.SD == nil:
		return fmt.Sprintf(format, scale*s.Mean)
	}
	return fmt.Sprintf(format+" ± "+format, scale*s.Mean, scale**s.SD)
}

// verdict is the style class of a difference.
func verdict(d *compare.Difference) string {
	switch {
	case d == nil:
		return ""
	case d.Better():
		return "better"
	case d.Worse():
		return "worse"
	}
	return ""
}

// draw makes the charts: a line for each loss, the first on top.
func (b *block) draw() {
	n := len(b.Rows)
	y := axis{from: -0.5, to: float64(n) - 0.5}
	for i, r := range b.Rows {
		y.names = append(y.names, tick{float64(n - 1 - i), r.Loss})
	}
	height := float64(60 + 24*n)
	accuracies := chart{width: 400, height: height, x: axis{title: "test accuracy, %"}, y: y}
	differences := chart{width: 400, height: height, x: axis{title: "difference from ce, percentage points"}, y: y,
		series: []series{{colour: grey, line: guideLine, dashed: true, points: []point{{0, y.from}, {0, y.to}}}}}
	compared := false
	for i, r := range b.Rows {
		at := y.names[i].at
		if r.Accuracy != nil {
			accuracies.series = append(accuracies.series, accuracySeries(r.Accuracy, at)...)
		}
		if r.Difference != nil {
			compared = true
			differences.series = append(differences.series, differenceSeries(r.Difference, at)...)
		}
	}
	b.Accuracies = accuracies.svg()
	if compared {
		b.Differences = differences.svg()
	}
}

// accuracySeries is a dot for each seed and a bar of a standard deviation to
// each side of the mean.
func accuracySeries(s *compare.Summary, y float64) []series {
	seeds := series{colour: blue, dot: 3, faint: true}
	for _, v := range s.Values {
		seeds.points = append(seeds.points, point{100 * v, y})
	}
	sd := 0.0
	if s.SD != nil {
		sd = *s.SD
	}
	return append([]series{seeds}, interval(100*s.Mean, 100*(s.Mean-sd), 100*(s.Mean+sd), y, blue)...)
}

func differenceSeries(d *compare.Difference, y float64) []series {
	colour := ink
	switch {
	case d.Better():
		colour = blue
	case d.Worse():
		colour = orange
	}
	low, high := d.Mean, d.Mean
	if d.Low != nil {
		low, high = *d.Low, *d.High
	}
	return interval(100*d.Mean, 100*low, 100*high, y, colour)
}

// interval is a mean as a box and a line from low to high.
func interval(mean, low, high, y float64, colour string) []series {
	return []series{
		{colour: colour, line: valueLine, points: []point{{low, y}, {high, y}}},
		{colour: colour, dot: 3, square: true, points: []point{{mean, y}}},
	}
}
