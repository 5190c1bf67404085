package report

import (
	"fmt"
	"math"

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
	Plot   markup
}

type clusterLine struct {
	Name string
	train.Clustering
	Ratio float64
}

// newClusters returns nil when the evaluation kept no vectors.
func newClusters(r *Run) *clusters {
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
		return nil
	}
	for _, v := range []struct {
		name    string
		vectors []float32
	}{{"Attention vectors", r.Test.AttentionVectors}, {"Features", r.Test.FeatureVectors}} {
		if drawn := newScatter(r, v.name, v.vectors); drawn != nil {
			c.Scatters = append(c.Scatters, *drawn)
		}
	}
	return c
}

// scatterPoints is the most points that the scatter plot has.
const scatterPoints = 500

// newScatter projects the vectors of some test images on their first two
// principal components. It returns nil for vectors without two directions.
func newScatter(r *Run, name string, all []float32) *scatter {
	n := len(r.Test.Labels)
	if n == 0 || len(all) == 0 {
		return nil
	}
	width := len(all) / n
	s := &scatter{Name: name, Points: min(n, scatterPoints)}
	vectors := make([]float64, s.Points*width)
	labels := make([]int32, s.Points)
	for i, from := range pick(n, scatterPoints) {
		labels[i] = r.Test.Labels[from]
		for j := range width {
			v := float64(all[from*width+j])
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil
			}
			vectors[i*width+j] = v
		}
	}
	c, ok := principal(vectors, s.Points, width)
	if !ok {
		return nil
	}
	s.Kept = (c.variance[0] + c.variance[1]) / c.total
	s.Plot = scatterPlot(c.projected, labels, r.Images.Classes())
	return s
}

// scatterPlot draws the points in their class's colour and the name of each class
// at its mean.
func scatterPlot(points []point, labels []int32, classes []string) markup {
	c := chart{width: 440, height: 340, x: axis{title: "first principal component"}, y: axis{title: "second"}}
	byClass := make([]series, len(classes))
	for i, label := range labels {
		byClass[label].points = append(byClass[label].points, points[i])
	}
	for k, name := range classes {
		s := &byClass[k]
		if s.points == nil {
			continue
		}
		s.colour, s.dot = classColour(k, len(classes)), 2.2
		c.series = append(c.series, *s)
		var mean point
		for _, p := range s.points {
			mean.x += p.x / float64(len(s.points))
			mean.y += p.y / float64(len(s.points))
		}
		c.labels = append(c.labels, label{mean, name})
	}
	return c.svg()
}

// classColour spreads n classes around the colour circle, in two lightnesses so
// that neighbours differ.
func classColour(k, n int) string {
	hue := 6 * float64(k) / float64(n)
	value := 0.85 - 0.25*float64(k%2)
	channel := func(offset float64) uint8 {
		h := math.Mod(hue+offset, 6)
		return uint8(255 * value * (1 - 0.8*max(0, min(1, min(h, 4-h)))))
	}
	return fmt.Sprintf("#%02x%02x%02x", channel(5), channel(3), channel(1))
}
