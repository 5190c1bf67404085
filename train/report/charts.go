package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/golanes/lanes/train"
)

// The colours of lines and text, told apart by people who see no red or green
// too (Okabe and Ito 2008).
var (
	blue   = color.RGBA{0x00, 0x72, 0xb2, 255}
	orange = color.RGBA{0xd5, 0x5e, 0x00, 255}
	grey   = color.RGBA{0x88, 0x8c, 0x94, 255}
	ink    = color.RGBA{0x3c, 0x42, 0x4d, 255}
	rule   = color.RGBA{0xe3, 0xe6, 0xea, 255}
)

// line is one line of a chart: a value for each epoch.
type line struct {
	name   string
	colour color.Color
	dashed bool
	value  func(m train.EpochMetrics) float64
}

// curves draws the charts of loss and accuracy over the epochs.
func curves(epochs []train.EpochMetrics) (loss, accuracy template.HTML, err error) {
	losses := []line{
		{"total, training", blue, false, func(m train.EpochMetrics) float64 { return m.Loss }},
		{"cross entropy, training", blue, true, func(m train.EpochMetrics) float64 { return m.CE }},
		{"second term, training", grey, true, func(m train.EpochMetrics) float64 { return m.CC }},
		{"cross entropy, validation", orange, false, func(m train.EpochMetrics) float64 { return m.ValLoss }},
	}
	accuracies := []line{
		{"training", blue, false, func(m train.EpochMetrics) float64 { return 100 * m.TrainAcc }},
		{"validation", orange, false, func(m train.EpochMetrics) float64 { return 100 * m.ValAcc }},
	}
	if loss, err = chart("loss", epochs, losses); err != nil {
		return "", "", err
	}
	accuracy, err = chart("accuracy, %", epochs, accuracies)
	return loss, accuracy, err
}

// chart draws the lines that have a value other than zero anywhere.
func chart(label string, epochs []train.EpochMetrics, lines []line) (template.HTML, error) {
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "epoch", label
	p.X.Tick.Marker = plot.TickerFunc(wholeTicks)
	p.Legend.Top = label == "loss"
	for _, l := range lines {
		points := make(plotter.XYs, 0, len(epochs))
		shown := false
		for _, m := range epochs {
			if v := l.value(m); !math.IsNaN(v) && !math.IsInf(v, 0) {
				points = append(points, plotter.XY{X: float64(m.Epoch), Y: v})
				shown = shown || v != 0
			}
		}
		if !shown {
			continue
		}
		drawn, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return "", fmt.Errorf("report: chart of %s: %w", label, err)
		}
		drawn.LineStyle = draw.LineStyle{Color: l.colour, Width: vg.Points(1.6)}
		if l.dashed {
			drawn.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: l.colour, Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
		p.Add(drawn, dots)
		p.Legend.Add(l.name, drawn)
	}
	return svg(p, 400, 250)
}

// wholeTicks marks whole numbers, about eight of them.
func wholeTicks(lo, hi float64) []plot.Tick {
	step := max(1, math.Ceil((hi-lo)/8))
	var ticks []plot.Tick
	for v := math.Ceil(lo); v <= hi; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.0f", v)})
	}
	return ticks
}

// newPlot returns an empty plot in the page's style.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	face := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 10}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font, axis.Label.TextStyle.Color = face, ink
		axis.Tick.Label.Font, axis.Tick.Label.Color = face, ink
		axis.Tick.Color, axis.LineStyle.Color = grey, grey
		axis.Label.Padding, axis.Padding = vg.Points(4), vg.Points(4)
	}
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = face, ink
	p.Legend.Padding = vg.Points(2)
	p.Legend.ThumbnailWidth = vg.Points(22)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Transparent, rule
	p.Add(grid)
	return p
}

// svg draws a plot of the given size in points as an SVG element for a page of
// HTML, where namespaces are known and fonts come from the page.
func svg(p *plot.Plot, width, height float64) (template.HTML, error) {
	canvas := vgsvg.New(vg.Length(width), vg.Length(height))
	p.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	text := b.String()
	start, body := strings.Index(text, "<svg"), strings.Index(text, "<g")
	if start < 0 || body < 0 {
		return "", fmt.Errorf("report: no SVG element in the drawing")
	}
	open := fmt.Sprintf("<svg viewBox=\"0 0 %g %g\" role=\"img\">\n", width, height)
	text = open + strings.ReplaceAll(text[body:], "Liberation Sans", "Liberation Sans,Arial,Helvetica,sans-serif")
	return template.HTML(text), nil
}
