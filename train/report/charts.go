package report

import (
	"math"

	"github.com/golanes/lanes/train"
)

// The colours of lines and text, told apart by people who see no red or green
// too (Okabe and Ito 2008).
const (
	blue   = "#0072b2"
	orange = "#d55e00"
	grey   = "#888c94"
	ink    = "#3c424d"
	rule   = "#e3e6ea"
)

// Widths of lines that carry values and of those that only guide the eye.
const (
	valueLine = 1.8
	guideLine = 1.0
)

// line is one line of a chart: a value for each epoch.
type line struct {
	name   string
	colour string
	dashed bool
	value  func(m train.EpochMetrics) float64
}

// curves draws the charts of loss and accuracy over the epochs.
func curves(epochs []train.EpochMetrics) (loss, accuracy markup) {
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
	return curve("loss", epochs, losses), curve("accuracy, %", epochs, accuracies)
}

// curve draws the lines that have a value other than zero anywhere. Values that
// are not finite are left out.
func curve(title string, epochs []train.EpochMetrics, lines []line) markup {
	c := chart{width: 400, height: 270, x: axis{title: "epoch", whole: true}, y: axis{title: title}}
	for _, l := range lines {
		s := series{name: l.name, colour: l.colour, dashed: l.dashed, line: valueLine, dot: 2.2}
		shown := false
		for _, m := range epochs {
			if v := l.value(m); !math.IsNaN(v) && !math.IsInf(v, 0) {
				s.points = append(s.points, point{float64(m.Epoch), v})
				shown = shown || v != 0
			}
		}
		if shown {
			c.series = append(c.series, s)
		}
	}
	return c.svg()
}
