package report

import (
	"fmt"
	"html/template"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// calibrationBins divide the confidences, as in train.Evaluation.Calibration.
const calibrationBins = 15

// calibration draws how often predictions of a confidence are right, for the
// bins that have any; empty without a confidence that is a number.
func calibration(r *Run) (template.HTML, error) {
	var count, right, sure [calibrationBins]float64
	for i, v := range r.Test.Confidence {
		c := float64(v)
		if !(c >= 0 && c <= 1) {
			continue
		}
		b := min(calibrationBins-1, int(c*calibrationBins))
		count[b]++
		sure[b] += c
		if r.Test.Predicted[i] == r.Test.Labels[i] {
			right[b]++
		}
	}
	var points plotter.XYs
	for b, n := range count {
		if n > 0 {
			points = append(points, plotter.XY{X: 100 * sure[b] / n, Y: 100 * right[b] / n})
		}
	}
	if points == nil {
		return "", nil
	}
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "confidence, %", "right, %"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 100, 0, 100
	ideal, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 0}, {X: 100, Y: 100}})
	if err != nil {
		return "", fmt.Errorf("report: chart of calibration: %w", err)
	}
	ideal.LineStyle = draw.LineStyle{Color: grey, Width: vg.Points(1), Dashes: []vg.Length{vg.Points(4), vg.Points(3)}}
	drawn, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return "", fmt.Errorf("report: chart of calibration: %w", err)
	}
	drawn.LineStyle = draw.LineStyle{Color: blue, Width: vg.Points(1.6)}
	dots.GlyphStyle = draw.GlyphStyle{Color: blue, Radius: vg.Points(2.5), Shape: draw.CircleGlyph{}}
	p.Add(ideal, drawn, dots)
	p.Legend.Add("test images", drawn)
	p.Legend.Add("well calibrated", ideal)
	p.Legend.Top, p.Legend.Left = true, true
	return svg(p, 400, 300)
}
