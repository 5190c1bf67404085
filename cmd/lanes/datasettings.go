package main

import (
	"fmt"
	"io"

	"github.com/golanes/lanes/train"
	"github.com/golanes/lanes/train/data"
)

// checkData reports the first setting of the group Data that cannot be.
func (s *Settings) checkData() error {
	switch {
	case s.Limit < 0:
		return fmt.Errorf("--limit is %d, want a number of images", s.Limit)
	case data.NeedsRoot(s.Data) && s.Root == "":
		return fmt.Errorf("data set %s needs --root, the folder with its files", s.Data)
	case !data.NeedsRoot(s.Data) && s.Root != "":
		return fmt.Errorf("data set %s is drawn by the program and takes no --root", s.Data)
	case s.Size != 0 && !data.IsFolder(s.Data):
		return fmt.Errorf("--size is for image folders, data set %s has its own", s.Data)
	case s.SkipBad && !data.IsFolder(s.Data):
		return fmt.Errorf("--skip-bad is for image folders, not for data set %s", s.Data)
	case s.Sampler == data.SamplerPxK && (s.PerClass < 1 || s.Batch%s.PerClass != 0):
		return fmt.Errorf("--batch %d is no multiple of --per-class %d", s.Batch, s.PerClass)
	}
	if _, err := data.ParseAugment(s.Augment, data.Augment{}); err != nil {
		return fmt.Errorf("--augment: %w", err)
	}
	return nil
}

func (s *Settings) dataOptions() data.Options {
	return data.Options{Root: s.Root, Seed: s.Seed, Limit: s.Limit, Size: s.Size, SkipBad: s.SkipBad}
}

// sampler is the zero value for shuffling, as it is in train.Config.
func (s *Settings) sampler() data.Sampler {
	switch s.Sampler {
	case data.SamplerBalanced:
		return data.Sampler{Kind: s.Sampler}
	case data.SamplerPxK:
		return data.Sampler{Kind: s.Sampler, PerClass: s.PerClass}
	}
	return data.Sampler{}
}

// skipped names the files that --skip-bad left out.
func skipped(lines io.Writer, set *data.Dataset) {
	const most = 10
	for i, bad := range set.Skipped {
		if i == most {
			fmt.Fprintf(lines, "skipped %d more\n", len(set.Skipped)-most)
			break
		}
		fmt.Fprintf(lines, "skipped %v\n", bad.Err)
	}
	if n := len(set.Skipped); n > 0 {
		fmt.Fprintf(lines, "%d files or folders skipped\n", n)
	}
}

// waiting says that the images came too slowly, if they did.
func waiting(lines io.Writer, epochs []train.EpochMetrics) {
	total, waited := 0.0, 0.0
	for _, m := range epochs {
		total += m.Seconds
		waited += m.StepTimes.Data
	}
	if waited > 0.1*total {
		fmt.Fprintf(lines, "waiting for images took %.0f %% of the time: reading and varying them is the limit, not training\n", 100*waited/total)
	}
}
