package report

import (
	"fmt"
	"html/template"
	"image/color"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/golanes/lanes/train"
)

// clusters shows how the vectors of the test images gather by class.
type clusters struct {
	Lines    []clusterLine
	Scatters []scatter
}

// scatter is a drawing of vectors on their first two principal components.
type scatter struct {
	Name   string
	Points int
	Kept   float64 // share of the variance that the two axes show
	Plot   template.HTML
}

type clusterLine struct {
	Name string
	train.Clustering
	Ratio float64
}

// newClusters returns nil when the evaluation kept no vectors.
func newClusters(r *Run) (*clusters, error) {
	c := &clusters{}
	for _, l := range []struct {
		name string
		c    *train.Clustering
	}{{"attention vectors", r.Test.Attention}, {"features", r.Test.Features}} {
		if l.c != nil {
			ratio := 0.0
			if l.c.Compactness > 0 {
				ratio = l.c.Separability / l.c.Compactness
			}
			c.Lines = append(c.Lines, clusterLine{l.name, *l.c, ratio})
		}
	}
	if c.Lines == nil {
		return nil, nil
	}
	for _, v := range []struct {
		name    string
		vectors []float32
	}{{"Attention vectors", r.Test.AttentionVectors}, {"Features", r.Test.FeatureVectors}} {
		drawn, err := newScatter(r, v.name, v.vectors)
		if err != nil {
			return nil, err
		}
		if drawn != nil {
			c.Scatters = append(c.Scatters, *drawn)
		}
	}
	return c, nil
}

// scatterPoints is the most points that the scatter plot has.
const scatterPoints = 500

// newScatter projects the vectors of some test images on their first two
// principal components. It returns nil for vectors without two directions.
func newScatter(r *Run, name string, all []float32) (*scatter, error) {
	n := len(r.Test.Labels)
	if n < 3 || len(all) == 0 {
		return nil, nil
	}
	width := len(all) / n
	s := &scatter{Name: name, Points: min(n, scatterPoints)}
	vectors := mat.NewDense(s.Points, max(width, 1), nil)
	labels := make([]int32, s.Points)
	for i, from := range pick(n, scatterPoints) {
		labels[i] = r.Test.Labels[from]
		for j := range width {
			v := float64(all[from*width+j])
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, nil
			}
			vectors.Set(i, j, v)
		}
	}
	var pc stat.PC
	if width < 2 || !pc.PrincipalComponents(vectors, nil) {
		return nil, nil
	}
	variance := pc.VarsTo(nil)
	total := 0.0
	for _, v := range variance {
		total += v
	}
	if len(variance) < 2 || !(variance[1] > 0) {
		return nil, nil
	}
	s.Kept = (variance[0] + variance[1]) / total
	var axes mat.Dense
	pc.VectorsTo(&axes)
	var projected mat.Dense
	projected.Mul(vectors, axes.Slice(0, width, 0, 2))
	var err error
	s.Plot, err = scatterPlot(&projected, labels, r.Images.Classes())
	return s, err
}

// scatterPlot draws the points in their class's colour and the name of each class
// at its mean.
func scatterPlot(points *mat.Dense, labels []int32, classes []string) (template.HTML, error) {
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "first principal component", "second"
	xy := make(plotter.XYs, len(labels))
	means := make(plotter.XYs, len(classes))
	counts := make([]float64, len(classes))
	for i, label := range labels {
		xy[i] = plotter.XY{X: points.At(i, 0), Y: points.At(i, 1)}
		means[label].X += xy[i].X
		means[label].Y += xy[i].Y
		counts[label]++
	}
	dots, err := plotter.NewScatter(xy)
	if err != nil {
		return "", fmt.Errorf("report: scatter plot: %w", err)
	}
	dots.GlyphStyleFunc = func(i int) draw.GlyphStyle {
		return draw.GlyphStyle{Color: classColour(int(labels[i]), len(classes)), Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
	}
	p.Add(dots)
	names := plotter.XYLabels{}
	for k, name := range classes {
		if counts[k] > 0 {
			names.XYs = append(names.XYs, plotter.XY{X: means[k].X / counts[k], Y: means[k].Y / counts[k]})
			names.Labels = append(names.Labels, name)
		}
	}
	written, err := plotter.NewLabels(names)
	if err != nil {
		return "", fmt.Errorf("report: scatter plot: %w", err)
	}
	for i := range written.TextStyle {
		written.TextStyle[i] = text.Style{Color: color.Black, XAlign: draw.XCenter, YAlign: draw.YCenter, Handler: p.TextHandler,
			Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: 2, Size: 11}}
	}
	p.Add(written)
	return svg(p, 560, 420)
}

// classColour spreads n classes around the colour circle, in two lightnesses so
// that neighbours differ.
func classColour(k, n int) color.Color {
	hue := 6 * float64(k) / float64(n)
	value := 0.85 - 0.25*float64(k%2)
	channel := func(offset float64) uint8 {
		h := math.Mod(hue+offset, 6)
		return uint8(255 * value * (1 - 0.8*max(0, min(1, min(h, 4-h)))))
	}
	return color.RGBA{channel(5), channel(3), channel(1), 255}
}
