package report

// calibrationBins divide the confidences, as in train.Evaluation.Calibration.
const calibrationBins = 15

// calibration draws how often predictions of a confidence are right, for the
// bins that have any; empty without a confidence that is a number.
func calibration(r *Run) markup {
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
	shown := series{name: "test images", colour: blue, line: valueLine, dot: 2.7}
	for b, n := range count {
		if n > 0 {
			shown.points = append(shown.points, point{100 * sure[b] / n, 100 * right[b] / n})
		}
	}
	if shown.points == nil {
		return ""
	}
	ideal := series{name: "well calibrated", colour: grey, line: guideLine, dashed: true, points: []point{{0, 0}, {100, 100}}}
	c := chart{width: 400, height: 300, series: []series{ideal, shown},
		x: axis{title: "confidence, %", to: 100}, y: axis{title: "right, %", to: 100}}
	return c.svg()
}
