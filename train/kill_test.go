package train

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/golanes/lanes/kernels/kerneltest"
)

// childDir names the folder in which a copy of the test program trains.
const childDir = "LANES_TEST_TRAIN_DIR"

func killConfig(t *testing.T) Config {
	c := stripeConfig(t)
	c.Epochs, c.CheckpointSteps = 12, 3
	if testing.Short() {
		c.Epochs = 4
	}
	return c
}

// TestFitKilled kills training processes with SIGKILL at random moments, several
// times a run, restarting each with Resume, and compares the end with an unbroken
// run's, bit for bit. LANES_LONG=1 kills at least 50 times instead of 8, -short
// once, and trains for a third of the epochs.
func TestFitKilled(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" { // the process to be killed
		c := killConfig(t)
		c.Dir, c.Resume = dir, true
		mustFit(t, c)
		return
	}
	kills := 8
	switch {
	case os.Getenv("LANES_LONG") != "":
		kills = 50
	case testing.Short():
		kills = 1
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	whole := killConfig(t)
	whole.Dir = t.TempDir()
	start := time.Now()
	mustFit(t, whole)
	took := time.Since(start)
	want := weights(t, whole.Dir)
	for kills > 0 {
		dir := t.TempDir()
		patience := 0.5 // grows, so that a busy machine gets there too
		for finished := false; !finished; patience *= 1.1 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(float64(took)*(0.1+patience*rng.Float64())))
			child := kerneltest.Restart(ctx, t, "-test.run=^TestFitKilled$", fmt.Sprintf("-test.short=%v", testing.Short()))
			child.Env = append(os.Environ(), childDir+"="+dir)
			out, err := child.CombinedOutput()
			killed := ctx.Err() != nil
			cancel()
			var exit *exec.ExitError
			switch {
			case child.ProcessState != nil && child.ProcessState.Success():
				// Even if err is the deadline that passed meanwhile.
				finished = true
			case !killed || !errors.As(err, &exit):
				t.Fatalf("seed %s: %v\n%s", strconv.FormatUint(seed, 10), err, out)
			default:
				kills--
			}
		}
		sameWeights(t, weights(t, dir), want)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
