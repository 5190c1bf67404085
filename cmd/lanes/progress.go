package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/golanes/lanes/train"
)

// progress tells how a run gets on: with a bar on a terminal, with lines
// elsewhere.
type progress struct {
	lines io.Writer
	bar   *progressbar.ProgressBar // nil without a terminal
	batch int
	next  time.Time // of the next line within an epoch
	loss  string    // name of the second term; empty without
}

// lineEvery is the time between two lines within an epoch.
const lineEvery = 15 * time.Second

// newProgress prints lines to lines. The bar, if errors is a terminal, goes there.
func newProgress(lines, errors io.Writer, s *Settings) *progress {
	p := &progress{lines: lines, batch: s.Batch, next: time.Now().Add(lineEvery)}
	switch s.Loss {
	case train.LossCC, train.LossCenter, train.LossSupCon, train.LossTriplet:
		p.loss = s.Loss
	}
	if f, ok := errors.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(1, progressbar.OptionSetWriter(errors),
			progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("images"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetRenderBlankState(true))
	}
	return p
}

// step is called after every update.
func (p *progress) step(s train.StepInfo) {
	if p.bar != nil {
		p.bar.ChangeMax(s.Epochs * s.Steps * p.batch)
		p.bar.Describe(fmt.Sprintf("epoch %d/%d, loss %.4f", s.Epoch, s.Epochs, s.Loss.Total))
		_ = p.bar.Set(((s.Epoch-1)*s.Steps + s.Step) * p.batch) // fails only beyond the maximum
		return
	}
	if now := time.Now(); now.After(p.next) && s.Step < s.Steps {
		p.next = now.Add(lineEvery)
		left := float64(s.Epochs*s.Steps-(s.Epoch-1)*s.Steps-s.Step) * float64(p.batch) / s.ImagesPerSecond
		fmt.Fprintf(p.lines, "epoch %d/%d  %3d %%  loss %.4f  %.0f images/s  %s left\n", s.Epoch, s.Epochs, 100*s.Step/s.Steps,
			s.Loss.Total, s.ImagesPerSecond, time.Duration(left*float64(time.Second)).Round(time.Second))
	}
}

// epoch is called after every epoch.
func (p *progress) epoch(m train.EpochMetrics, epochs int) {
	p.clear()
	loss := fmt.Sprintf("loss %.4f", m.Loss)
	if p.loss != "" {
		loss += fmt.Sprintf(" (ce %.4f, %s %.4f)", m.CE, p.loss, m.CC)
	}
	best := ""
	if m.Best {
		best = "  best"
	}
	fmt.Fprintf(p.lines, "epoch %d/%d  %s  train %.2f %%  val %.2f %%  %.0f images/s  %.1f s%s\n",
		m.Epoch, epochs, loss, 100*m.TrainAcc, 100*m.ValAcc, m.ImagesPS, m.Seconds, best)
	p.next = time.Now().Add(lineEvery)
}

// clear removes the bar from the screen until the next step draws it again.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear() // a terminal that went away shows nothing anyway
	}
}
