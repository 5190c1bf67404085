package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/golanes/lanes/train"
)

// A bar is the last line of a terminal, drawn again as work gets on. The methods of
// a nil bar do nothing.
type bar struct {
	screen  io.Writer
	columns int       // of the screen
	drawn   int       // columns
	next    time.Time // before which it is not drawn again
}

const (
	barWidth = 24
	barEvery = 100 * time.Millisecond
)

// newBar returns the bar of w, or nil if that is no terminal.
func newBar(w io.Writer) *bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	b := &bar{screen: w, columns: 80}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		b.columns = columns
	}
	return b
}

// due tells whether set would draw the bar.
func (b *bar) due() bool { return b != nil && !time.Now().Before(b.next) }

// set draws the bar with done of total filled and text behind it, which is cut off
// where the screen ends.
func (b *bar) set(done, total int64, text string) {
	if !b.due() {
		return
	}
	b.next = time.Now().Add(barEvery)
	full := int(barWidth * min(max(done, 0), total) / max(total, 1))
	line := []rune(fmt.Sprintf("[%-*s] %s", barWidth, strings.Repeat("#", full), text))
	line = line[:min(len(line), b.columns-1)]
	fmt.Fprintf(b.screen, "\r%-*s", b.drawn, string(line))
	b.drawn = len(line)
}

// clear removes the bar from the screen until it is drawn again.
func (b *bar) clear() {
	if b != nil {
		fmt.Fprintf(b.screen, "\r%*s\r", b.drawn, "")
		b.drawn, b.next = 0, time.Time{}
	}
}

// progress tells how a run gets on: with a bar on a terminal, with lines
// elsewhere.
type progress struct {
	lines io.Writer
	bar   *bar
	batch int
	next  time.Time // of the next line within an epoch
	loss  string    // name of the second term; empty without
}

// lineEvery is the time between two lines within an epoch.
const lineEvery = 15 * time.Second

// newProgress prints lines to lines. The bar, if errors is a terminal, goes there.
func newProgress(lines, errors io.Writer, s *Settings) *progress {
	p := &progress{lines: lines, bar: newBar(errors), batch: s.Batch, next: time.Now().Add(lineEvery)}
	switch s.Loss {
	case train.LossCC, train.LossCenter, train.LossSupCon, train.LossTriplet:
		p.loss = s.Loss
	}
	return p
}

// step is called after every update.
func (p *progress) step(s train.StepInfo) {
	due := p.bar.due()
	if p.bar == nil {
		due = time.Now().After(p.next) && s.Step < s.Steps
	}
	if !due {
		return
	}
	done, total := (s.Epoch-1)*s.Steps+s.Step, s.Epochs*s.Steps
	left := time.Duration(float64((total-done)*p.batch) / s.ImagesPerSecond * float64(time.Second)).Round(time.Second)
	text := fmt.Sprintf("epoch %d/%d  %3d %%  loss %.4f  %.0f images/s  %s left", s.Epoch, s.Epochs, 100*s.Step/s.Steps,
		s.Loss.Total, s.ImagesPerSecond, left)
	if p.bar != nil {
		p.bar.set(int64(done), int64(total), text)
		return
	}
	p.next = time.Now().Add(lineEvery)
	fmt.Fprintln(p.lines, text)
}

// epoch is called after every epoch.
func (p *progress) epoch(m train.EpochMetrics, epochs int) {
	p.bar.clear()
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
