package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golanes/lanes/train/compare"
)

// compared returns invented results: two data sets, ce, one loss that is better
// with confidence, one that is worse, and one that diverged.
func compared(seeds int) *compare.Results {
	losses := []string{"ce", "cc", "focal", "center"}
	grid := map[string][]compare.Setting{}
	for _, l := range losses {
		grid[l] = compare.Grid()[l]
	}
	r := &compare.Results{ISA: "avx2", Plan: compare.Plan{Data: []string{"a<b", "c"}, Models: []string{"se-resnet8"}, Losses: losses,
		Width: 0.5, Grid: grid, Seed: 40, Seeds: seeds, Epochs: 6, TuneEpochs: 1, Batch: 64, LR: 0.05, Limit: 1000}}
	values := func(mean float64) []float64 {
		v := make([]float64, seeds)
		for i := range v {
			v[i] = mean + 0.001*float64(i*i%3)
		}
		return v
	}
	base := values(0.9)
	for _, name := range r.Plan.Data {
		r.Data = append(r.Data, compare.DataSet{Name: name, Classes: 10, Train: 900, Val: 100, Test: 334})
		for i, loss := range losses {
			c := compare.Cell{Data: name, Model: "se-resnet8", Loss: loss, Params: 4321, Setting: grid[loss][1]}
			if loss == "center" {
				c.Diverged = seeds
				r.Cells = append(r.Cells, c)
				continue
			}
			v := values([]float64{0.9, 0.95, 0.85}[i])
			v[0] += 0.0001
			c.TestAcc, c.ValAcc, c.Calibration = compare.Summarize(v), compare.Summarize(v), compare.Summarize(v)
			c.Features = &compare.Clusters{Compactness: c.TestAcc, Separability: c.TestAcc, Silhouette: c.TestAcc}
			if i > 0 {
				c.Difference = compare.Compare(v, base)
				c.Attention = c.Features
			}
			r.Cells = append(r.Cells, c)
		}
	}
	r.Overall = []compare.Overall{{Loss: "ce", TestAcc: compare.Summarize(base)}, {Loss: "cc", TestAcc: compare.Summarize(base), Difference: r.Cells[1].Difference}, {Loss: "center"}}
	return r
}

func TestComparison(t *testing.T) {
	for seeds := 1; seeds <= 4; seeds++ {
		path := filepath.Join(t.TempDir(), "report.html")
		if err := WriteComparison(path, compared(seeds)); err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(page)
		if found := outside.FindString(text); found != "" {
			t.Errorf("the page reaches outside: %q", found)
		}
		want := []string{"a&lt;b, se-resnet8", "4321 weights", "for 1 epoch with seed 40", "for 6 epochs", "41 to 4", "squared difference, lambda 0.3", "diverged)"}
		if seeds > 1 {
			want = append(want, `better">+5.0`, `worse">-5.0`, "±")
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%d seeds: the page does not have %q", seeds, w)
			}
		}
		if n := strings.Count(text, "<svg"); n != 6 || !strings.HasSuffix(text, "</html>\n") || strings.Contains(text, "ZgotmplZ") {
			t.Errorf("%d drawings, want 6, or the page is damaged", n)
		}
		var again bytes.Buffer
		if err := renderComparison(&again, compared(seeds)); err != nil || again.String() != text {
			t.Errorf("the same results gave two pages, %v", err)
		}
	}
}

// TestComparisonWithoutBase has no loss to differ from, and one combination.
func TestComparisonWithoutBase(t *testing.T) {
	r := compared(3)
	r.Cells, r.Overall = r.Cells[1:4], nil
	for i := range r.Cells {
		r.Cells[i].Difference = nil
	}
	var b bytes.Buffer
	if err := renderComparison(&b, r); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "<svg"); n != 1 {
		t.Errorf("%d drawings, want 1", n)
	}
}
