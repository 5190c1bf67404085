package compare

import (
	"path/filepath"

	"github.com/golanes/lanes/internal/atomicfile"
	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/train"
)

// Results are the outcome of a comparison. They depend on the plan and the
// instruction set alone, not on timing or interruptions.
type Results struct {
	Plan Plan      `json:"plan"`
	ISA  string    `json:"isa"`
	Data []DataSet `json:"data"`
	// Cells has the losses of one data set and model in a row.
	Cells []Cell `json:"cells"`
	// Overall averages over all data sets and models, seed by seed; empty for
	// a single combination.
	Overall []Overall `json:"overall,omitempty"`
}

// DataSet says what a data set holds.
type DataSet struct {
	Name    string `json:"name"`
	Classes int    `json:"classes"`
	Train   int    `json:"train"` // images
	Val     int    `json:"val"`
	Test    int    `json:"test"`
}

// Cell is one loss with one model on one data set.
type Cell struct {
	Data   string `json:"data"`
	Model  string `json:"model"`
	Loss   string `json:"loss"`
	Params int    `json:"params"`
	// Setting is the chosen one of those in Tuning.
	Setting Setting   `json:"setting"`
	Tuning  []Attempt `json:"tuning"`
	// What follows is over the tested runs that did not diverge; nil if there
	// is none. Accuracies are fractions.
	Diverged int      `json:"diverged"`
	TestAcc  *Summary `json:"test_acc"`
	ValAcc   *Summary `json:"val_acc"`
	// Difference is TestAcc less that of ce with the same seeds, nil for ce
	// itself and without it.
	Difference  *Difference `json:"difference"`
	Top5        *Summary    `json:"top5"`
	Calibration *Summary    `json:"calibration"`
	// Attention (nil without) and Features are measured on test images.
	Attention *Clusters `json:"attention"`
	Features  *Clusters `json:"features"`

	seeds []uint64 // of TestAcc's values
}

// Attempt is a setting that was tried.
type Attempt struct {
	Setting  Setting `json:"setting"`
	ValAcc   float64 `json:"val_acc"`
	Diverged bool    `json:"diverged,omitempty"`
}

// Clusters summarises train.Clustering; Ratio is Separability / Compactness of
// each run, nil where a compactness is 0.
type Clusters struct {
	Compactness  *Summary `json:"compactness"`
	Separability *Summary `json:"separability"`
	Ratio        *Summary `json:"ratio"`
	Silhouette   *Summary `json:"silhouette"`
}

// Overall is a loss over all data sets and models: each value is the mean of the
// cells' test accuracies with one seed. Seeds with which a run diverged anywhere
// are left out.
type Overall struct {
	Loss       string      `json:"loss"`
	TestAcc    *Summary    `json:"test_acc"`
	Difference *Difference `json:"difference"`

	seeds []uint64
}

func (r *runner) newResults() *Results {
	res := &Results{Plan: *r.plan, ISA: kernels.Info().ISA}
	for _, name := range r.plan.Data {
		set := r.sets[name]
		res.Data = append(res.Data, DataSet{name, len(set.Train.Classes()), set.Train.Len(), set.Val.Len(), set.Test.Len()})
	}
	return res
}

// add appends the cells of one data set and model, from the records of all losses
// in order.
func (res *Results) add(tuned, records []*record) {
	settings, seeds := res.Plan.Settings(), res.Plan.Seeds
	first := len(res.Cells)
	for i := range res.Plan.Losses {
		res.Cells = append(res.Cells, newCell(tuned[i*settings:(i+1)*settings], records[i*seeds:(i+1)*seeds]))
	}
	cells := res.Cells[first:]
	for i := range cells {
		if cells[i].Loss != train.LossCE {
			continue
		}
		base := &cells[i]
		for j := range cells {
			if c := &cells[j]; j != i {
				c.Difference = differ(c.TestAcc, base.TestAcc, c.seeds, base.seeds)
			}
		}
	}
}

func newCell(tuned, records []*record) Cell {
	r := records[0]
	c := Cell{Data: r.Data, Model: r.Model, Loss: r.Loss, Params: r.Params, Setting: r.Setting}
	for _, t := range tuned {
		c.Tuning = append(c.Tuning, Attempt{t.Setting, t.ValAcc, t.Diverged != ""})
	}
	var good []*record
	for _, r := range records {
		if r.Diverged != "" {
			c.Diverged++
			continue
		}
		good = append(good, r)
		c.seeds = append(c.seeds, r.Seed)
	}
	c.TestAcc = summary(good, func(r *record) float64 { return r.Test.Accuracy })
	c.ValAcc = summary(good, func(r *record) float64 { return r.ValAcc })
	c.Top5 = summary(good, func(r *record) float64 { return r.Test.Top5 })
	c.Calibration = summary(good, func(r *record) float64 { return r.Test.Calibration })
	c.Attention = newClusters(good, func(r *record) *train.Clustering { return r.Test.Attention })
	c.Features = newClusters(good, func(r *record) *train.Clustering { return r.Test.Features })
	return c
}

func summary(records []*record, value func(r *record) float64) *Summary {
	var values []float64
	for _, r := range records {
		values = append(values, value(r))
	}
	return Summarize(values)
}

func newClusters(records []*record, of func(r *record) *train.Clustering) *Clusters {
	if len(records) == 0 || of(records[0]) == nil {
		return nil
	}
	c := &Clusters{
		Compactness:  summary(records, func(r *record) float64 { return of(r).Compactness }),
		Separability: summary(records, func(r *record) float64 { return of(r).Separability }),
		Silhouette:   summary(records, func(r *record) float64 { return of(r).Silhouette }),
	}
	for _, v := range c.Compactness.Values {
		if v == 0 {
			return c
		}
	}
	c.Ratio = summary(records, func(r *record) float64 { return of(r).Separability / of(r).Compactness })
	return c
}

// differ compares the values with seeds that both have.
func differ(a, b *Summary, seedsA, seedsB []uint64) *Difference {
	if a == nil || b == nil {
		return nil
	}
	var x, y []float64
	for i, s := range seedsA {
		for j, t := range seedsB {
			if s == t {
				x, y = append(x, a.Values[i]), append(y, b.Values[j])
			}
		}
	}
	return Compare(x, y)
}

// overall fills Overall.
func (res *Results) overall() {
	combinations := len(res.Plan.Data) * len(res.Plan.Models)
	if combinations < 2 {
		return
	}
	base := -1
	for _, loss := range res.Plan.Losses {
		o := Overall{Loss: loss}
		var values []float64
		for i := range res.Plan.Seeds {
			seed := res.Plan.Seed + 1 + uint64(i)
			sum, n := 0.0, 0
			for _, c := range res.Cells {
				for j, s := range c.seeds {
					if c.Loss == loss && s == seed {
						sum += c.TestAcc.Values[j]
						n++
					}
				}
			}
			if n == combinations {
				values = append(values, sum/float64(n))
				o.seeds = append(o.seeds, seed)
			}
		}
		o.TestAcc = Summarize(values)
		if loss == train.LossCE {
			base = len(res.Overall)
		}
		res.Overall = append(res.Overall, o)
	}
	for i := range res.Overall {
		if o := &res.Overall[i]; base >= 0 && i != base {
			b := &res.Overall[base]
			o.Difference = differ(o.TestAcc, b.TestAcc, o.seeds, b.seeds)
		}
	}
}

func (res *Results) write(dir string) error {
	text, err := encode(res)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, ResultsFile), text)
}
