package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/golanes/lanes/train"
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
	Accuracies  template.HTML
	Differences template.HTML // empty without
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
	return train.WriteFile(path, b.Bytes())
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
		if err := p.Overall.draw(); err != nil {
			return err
		}
	}
	for i := range p.Blocks {
		if err := p.Blocks[i].draw(); err != nil {
			return err
		}
	}
	for _, loss := range r.Plan.Losses {
		var list []string
		for _, s := range r.Plan.Grid[loss] {
			list = append(list, s.String())
		}
		p.Grid = append(p.Grid, gridLine{loss, strings.Join(list, "; ")})
	}
	t, err := template.New("comparison").Funcs(template.FuncMap{
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
		"change": change, "verdict": verdict,
		"last": func(seed uint64, n int) uint64 { return seed + uint64(n) },
		"next": func(seed uint64) uint64 { return seed + 1 },
	}).Parse(comparisonText)
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

// change writes a difference in percentage points and its interval.
func change(d *compare.Difference) string {
	switch {
	case d == nil:
		return ""
	case d.Low == nil:
		return fmt.Sprintf("%+.2f", 100*d.Mean)
	}
	return fmt.Sprintf("%+.2f [%+.2f, %+.2f]", 100*d.Mean, 100**d.Low, 100**d.High)
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
func (b *block) draw() error {
	accuracies, differences := newPlot(), newPlot()
	accuracies.X.Label.Text = "test accuracy, %"
	differences.X.Label.Text = "difference from ce, percentage points"
	var ticks []plot.Tick
	compared := false
	n := len(b.Rows)
	for i, r := range b.Rows {
		y := float64(n - 1 - i)
		ticks = append(ticks, plot.Tick{Value: y, Label: r.Loss})
		if err := drawAccuracy(accuracies, r.Accuracy, y); err != nil {
			return err
		}
		if r.Difference != nil {
			compared = true
			if err := drawDifference(differences, r.Difference, y); err != nil {
				return err
			}
		}
	}
	zero, err := plotter.NewLine(plotter.XYs{{X: 0, Y: -0.5}, {X: 0, Y: float64(n) - 0.5}})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	zero.LineStyle = draw.LineStyle{Color: grey, Width: vg.Points(1), Dashes: []vg.Length{vg.Points(3), vg.Points(3)}}
	differences.Add(zero)
	height := float64(60 + 24*n)
	for _, p := range []*plot.Plot{accuracies, differences} {
		p.Y.Tick.Marker = plot.ConstantTicks(ticks)
		p.Y.Min, p.Y.Max = -0.5, float64(n)-0.5
		room := 0.04*(p.X.Max-p.X.Min) + 0.01 // for the glyphs at the ends
		p.X.Min, p.X.Max = p.X.Min-room, p.X.Max+room
	}
	if b.Accuracies, err = svg(accuracies, 400, height); err != nil || !compared {
		return err
	}
	b.Differences, err = svg(differences, 400, height)
	return err
}

// drawAccuracy draws a dot for each seed and a bar of a standard deviation to
// each side of the mean.
func drawAccuracy(p *plot.Plot, s *compare.Summary, y float64) error {
	if s == nil {
		return nil
	}
	var seeds plotter.XYs
	for _, v := range s.Values {
		seeds = append(seeds, plotter.XY{X: 100 * v, Y: y})
	}
	dots, err := plotter.NewScatter(seeds)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	dots.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{blue.R / 2, blue.G / 2, blue.B / 2, 128}, Radius: vg.Points(3), Shape: draw.CircleGlyph{}}
	p.Add(dots)
	sd := 0.0
	if s.SD != nil {
		sd = *s.SD
	}
	return drawInterval(p, 100*s.Mean, 100*(s.Mean-sd), 100*(s.Mean+sd), y, blue)
}

func drawDifference(p *plot.Plot, d *compare.Difference, y float64) error {
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
	return drawInterval(p, 100*d.Mean, 100*low, 100*high, y, colour)
}

// drawInterval draws a mean as a box and a line from low to high.
func drawInterval(p *plot.Plot, mean, low, high, y float64, colour color.Color) error {
	bar, err := plotter.NewLine(plotter.XYs{{X: low, Y: y}, {X: high, Y: y}})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	bar.LineStyle = draw.LineStyle{Color: colour, Width: vg.Points(1.6)}
	centre, err := plotter.NewScatter(plotter.XYs{{X: mean, Y: y}})
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	centre.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: vg.Points(3), Shape: draw.BoxGlyph{}}
	p.Add(bar, centre)
	return nil
}
