package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/template"
	"time"

	"github.com/golanes/lanes/internal/atomicfile"
	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// Run is what a report shows.
type Run struct {
	// Title heads the page.
	Title string
	// Settings are listed in their order.
	Settings []Setting
	// Epochs are the run's metrics; BestEpoch counts from 1.
	Epochs    []train.EpochMetrics
	BestEpoch int
	// ImagesPerSecond and Seconds are the rate and time of training; Seconds may
	// be zero.
	ImagesPerSecond, Seconds float64
	// PlanBytes is the memory of activations, gradients, parameters and
	// optimizer state, ProcessBytes all that the program took; zero if unknown.
	PlanBytes, ProcessBytes int64
	// Layers is the time each layer took.
	Layers []train.LayerTime
	// Test evaluates the best epoch's weights on the images of Images. Val may be
	// nil.
	Val, Test *train.Evaluation
	Images    data.Source
}

// Setting is one line of the list of settings.
type Setting struct{ Name, Value string }

//go:embed page.html
var pageText string

// page is what the template reads.
type page struct {
	*Run
	Loss, Accuracy markup
	Groups         *clusters
	Steps          *stepTime
	Reliability    markup
	ManyClasses    bool
	Matrix         *matrix
	Confusions     []*confusion
	Mistakes       []sample
	Samples        []sample
	PerClass       []*classLine
}

// Write renders the report.
func Write(w io.Writer, r *Run) error {
	switch {
	case r.Test == nil || r.Images == nil:
		return errors.New("report: no evaluation on test images")
	case len(r.Test.Labels) != r.Images.Len() || len(r.Test.Predicted) != r.Images.Len() || len(r.Test.Confidence) != r.Images.Len():
		return fmt.Errorf("report: the evaluation is of %d images, the source has %d", len(r.Test.Labels), r.Images.Len())
	case len(r.Test.Confusion) < len(r.Images.Classes()) || len(r.Test.PerClass) < len(r.Images.Classes()):
		return fmt.Errorf("report: the evaluation knows %d classes, the source has %d", len(r.Test.Confusion), len(r.Images.Classes()))
	}
	p := page{Run: r, Matrix: newMatrix(r), Confusions: confusions(r), PerClass: perClass(r), Steps: newStepTime(r),
		ManyClasses: len(r.Images.Classes()) >= train.Top5Classes}
	p.Loss, p.Accuracy = curves(r.Epochs)
	p.Reliability, p.Groups = calibration(r), newClusters(r)
	var err error
	if p.Mistakes, p.Samples, err = samples(r); err != nil {
		return err
	}
	// Parsed here, not in a variable: a program that writes no report pays nothing.
	t, err := newPage("report", pageText, template.FuncMap{
		"percent": percent, "duration": duration, "megabytes": megabytes,
		"percentOf": func(share float32) float64 { return 100 * float64(share) },
	})
	if err != nil {
		return err
	}
	return t.Execute(w, &p)
}

// WriteFile renders the report to a file, atomically.
func WriteFile(path string, r *Run) error {
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		return err
	}
	return atomicfile.Write(path, b.Bytes())
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second / 10).String()
}

// confusion is one kind of mistake.
type confusion struct {
	Class, Predicted string
	Count            int
	Share            float64 // of the class's images
}

// confusions lists the most frequent mistakes.
func confusions(r *Run) []*confusion {
	const most = 10
	classes := r.Images.Classes()
	var list []*confusion
	for y := range classes {
		total := sum(r.Test.Confusion[y])
		for p := range classes {
			if n := r.Test.Confusion[y][p]; p != y && n > 0 {
				list = append(list, &confusion{classes[y], classes[p], n, float64(n) / float64(total)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *confusion) int { return b.Count - a.Count })
	return list[:min(most, len(list))]
}

func sum(counts []int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// matrix is the confusion matrix, a row for each class.
type matrix struct {
	Classes []string
	Rows    []matrixRow
	Small   bool // too many classes to write the counts
}

type matrixRow struct {
	Class string
	Cells []cell
}

type cell struct {
	Count int
	Style markup
	Title string
}

// largestWritten is the most classes whose counts fit into the cells.
const largestWritten = 20

func newMatrix(r *Run) *matrix {
	m := &matrix{Classes: r.Images.Classes()}
	m.Small = len(m.Classes) > largestWritten
	for y, class := range m.Classes {
		row := matrixRow{Class: class}
		total := sum(r.Test.Confusion[y])
		for p, predicted := range m.Classes {
			n := r.Test.Confusion[y][p]
			share := float64(n) / float64(max(total, 1))
			row.Cells = append(row.Cells, cell{n, shade(share, p == y),
				fmt.Sprintf("%s predicted as %s: %d of %d", class, predicted, n, total)})
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// shade colours a cell by its share of the row: right answers green, mistakes
// red, and mistakes six times as strong, for they are rare.
func shade(share float64, right bool) markup {
	if share == 0 {
		return ""
	}
	hue, strength := 150, share
	if !right {
		hue, strength = 8, min(1, 0.1+6*share)
	}
	text := "inherit"
	if strength > 0.6 {
		text = "#fff"
	}
	return markup(fmt.Sprintf("background:hsl(%d 62%% %d%%);color:%s", hue, int(97-58*strength), text))
}

// classLine is one class in the table of classes.
type classLine struct {
	Class    string
	Images   int
	Accuracy float64
}

// perClass lists the classes, the worst first.
func perClass(r *Run) []*classLine {
	var list []*classLine
	for y, class := range r.Images.Classes() {
		list = append(list, &classLine{class, sum(r.Test.Confusion[y]), r.Test.PerClass[y]})
	}
	slices.SortStableFunc(list, func(a, b *classLine) int {
		switch {
		case a.Accuracy < b.Accuracy:
			return -1
		case a.Accuracy > b.Accuracy:
			return 1
		}
		return 0
	})
	return list
}
