package train

import (
	"math"
	"testing"
)

// TestCalibration: two images in one of the 15 bins, sure by 0.62 and 0.66 and one of
// them right, one in another, and one of which the model is certain.
func TestCalibration(t *testing.T) {
	ev := &Evaluation{Images: 4, PerClass: make([]float64, 2), Confusion: [][]int{{2, 1}, {0, 1}},
		Labels: []int32{0, 0, 0, 1}, Predicted: []int32{0, 1, 0, 1}, Confidence: []float32{0.62, 0.66, 0.2, 1}}
	ev.finish()
	want := (math.Abs(1-(0.62+0.66)) + 0.8 + 0) / 4
	if math.Abs(ev.Calibration-want) > 1e-7 { // confidences are float32
		t.Errorf("calibration error %v, want %v", ev.Calibration, want)
	}
	if ev.PerClass[0] != 2.0/3 || ev.PerClass[1] != 1 {
		t.Errorf("accuracy by class %v", ev.PerClass)
	}
}
