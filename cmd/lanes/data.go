package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/golanes/lanes/train/data"
	"github.com/golanes/lanes/train/data/download"
)

// dataCmd is `lanes data`.
type dataCmd struct {
	Info   dataInfoCmd   `cmd:"" help:"Count and measure the images of a data set."`
	Verify dataVerifyCmd `cmd:"" help:"Check every file of a data set."`
	Get    dataGetCmd    `cmd:"" help:"Fetch a public data set."`
}

// dataInfoCmd is `lanes data info`.
type dataInfoCmd struct {
	Name    string `arg:"" enum:"${datasets}" help:"Data set: ${enum}."`
	Root    string `placeholder:"DIR" help:"Folder with its files."`
	Size    int    `placeholder:"N" help:"Side to which the images of a folder are resized (default 64)."`
	Seed    uint64 `default:"1" placeholder:"N" help:"Decides which images are held out (default ${default})."`
	SkipBad bool   `help:"Leave out the files of a folder that cannot be used."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// Help is shown after the flags.
func (dataInfoCmd) Help() string {
	return `The images of a folder lie in DIR/CLASS, or in DIR/train/CLASS with DIR/val/CLASS, DIR/test/CLASS or both beside it. One of the two is the test, and images for validation are held out from training; with both, each is what it is called. Mean and deviation are of the training images, in units of the brightest pixel.

Examples:
  lanes data info mnist --root ~/data/mnist
  lanes data info folder --root ~/photos --size 96 --json`
}

// dataInfo is what --json prints.
type dataInfo struct {
	Name    string           `json:"name"`
	Shape   [3]int           `json:"shape"` // height, width, channels
	Classes []string         `json:"classes"`
	Counts  map[string][]int `json:"counts"` // of train, val and test, by class
	Mean    []float32        `json:"mean"`
	Std     []float32        `json:"std"`
	// Stored is the range of the pictures' sizes in a folder.
	Stored  *storedSizes `json:"stored,omitempty"`
	Skipped []string     `json:"skipped,omitempty"`
}

type storedSizes struct {
	Width  [2]int `json:"width"` // smallest, largest
	Height [2]int `json:"height"`
}

// Run measures the data set.
func (cmd *dataInfoCmd) Run(c *console) error {
	s := Settings{Data: cmd.Name, Root: cmd.Root, Size: cmd.Size, SkipBad: cmd.SkipBad, Seed: cmd.Seed}
	if err := s.checkData(); err != nil {
		return err
	}
	set, err := data.Open(cmd.Name, s.dataOptions())
	if err != nil {
		return err
	}
	info := describe(set)
	if cmd.JSON {
		return printLine(c.out, info)
	}
	skipped(c.out, set)
	return info.print(c.out)
}

func describe(set *data.Dataset) *dataInfo {
	h, w, ch := set.Train.Shape()
	info := &dataInfo{Name: set.Name, Shape: [3]int{h, w, ch}, Classes: set.Train.Classes(),
		Counts: map[string][]int{}, Mean: set.Mean, Std: set.Std}
	stored := storedSizes{[2]int{math.MaxInt, 0}, [2]int{math.MaxInt, 0}}
	for name, src := range map[string]data.Source{"train": set.Train, "val": set.Val, "test": set.Test} {
		counts := make([]int, len(info.Classes))
		for i := range src.Len() {
			counts[src.Label(i)]++
			pw, ph := data.StoredSize(src, i)
			stored.Width = [2]int{min(stored.Width[0], pw), max(stored.Width[1], pw)}
			stored.Height = [2]int{min(stored.Height[0], ph), max(stored.Height[1], ph)}
		}
		info.Counts[name] = counts
	}
	if data.IsFolder(set.Name) {
		info.Stored = &stored
	}
	for _, bad := range set.Skipped {
		info.Skipped = append(info.Skipped, bad.Err.Error())
	}
	return info
}

func (info *dataInfo) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: images of %d x %d pixels, %d channels\n", info.Name, info.Shape[0], info.Shape[1], info.Shape[2])
	if s := info.Stored; s != nil {
		fmt.Fprintf(out, "resized from %d to %d pixels wide, %d to %d high\n", s.Width[0], s.Width[1], s.Height[0], s.Height[1])
	}
	fmt.Fprintf(out, "mean %.4f, deviation %.4f\n\n", info.Mean, info.Std)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "train\tval\ttest\t  class")
	var total [3]int
	for k, class := range info.Classes {
		for i, part := range []string{"train", "val", "test"} {
			total[i] += info.Counts[part][k]
			fmt.Fprintf(w, "%d\t", info.Counts[part][k])
		}
		fmt.Fprintf(w, "  %s\n", class)
	}
	fmt.Fprintf(w, "%d\t%d\t%d\t  all\n", total[0], total[1], total[2])
	return w.Flush()
}

// dataVerifyCmd is `lanes data verify`.
type dataVerifyCmd struct {
	Name string `arg:"" enum:"${datasets}" help:"Data set: ${enum}."`
	Root string `required:"" placeholder:"DIR" help:"Folder with its files."`
}

// Help is shown after the flags.
func (dataVerifyCmd) Help() string {
	return `Of a folder every image is decoded. The files of mnist and fashion-mnist are compared with the published checksums, those of cifar-10 and cifar-100 with the checksums that 'lanes data get' noted when it took them from the published archive, and read. Each bad file is named, and the exit status is 1 if there is any.

Example:
  lanes data verify folder --root ~/photos`
}

// Run checks the files.
func (cmd *dataVerifyCmd) Run(c *console) error {
	if !data.NeedsRoot(cmd.Name) {
		return fmt.Errorf("%s has no files", cmd.Name)
	}
	if data.IsFolder(cmd.Name) {
		bad, files, err := data.VerifyFolder(cmd.Root)
		if err != nil {
			return err
		}
		for _, b := range bad {
			fmt.Fprintln(c.out, b.Err)
		}
		if len(bad) > 0 {
			return fmt.Errorf("%s: %d bad among %d images and their folders", cmd.Root, len(bad), files)
		}
		_, err = fmt.Fprintf(c.out, "%s: all %d images are good\n", cmd.Root, files)
		return err
	}
	set, err := download.Find(cmd.Name)
	if err != nil {
		return err
	}
	bad := download.Check(set, cmd.Root)
	for _, err := range bad {
		fmt.Fprintln(c.out, err)
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s: %d files of %s are missing or not the published ones", cmd.Root, len(bad), cmd.Name)
	}
	if set.Members != nil && !exists(cmd.Root, download.SumsFile) {
		fmt.Fprintf(c.out, "%s has no %s: the files are read, not compared\n", cmd.Root, download.SumsFile)
	}
	opened, err := data.Open(cmd.Name, data.Options{Root: cmd.Root, Seed: 1})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %s is good: %d images for training and validation, %d for the test\n",
		cmd.Root, cmd.Name, opened.Train.Len()+opened.Val.Len(), opened.Test.Len())
	return err
}

// dataGetCmd is `lanes data get`.
type dataGetCmd struct {
	Name string `arg:"" enum:"${downloads}" help:"Data set: ${enum}."`
	Root string `required:"" placeholder:"DIR" help:"Folder for the files, made if it is not there."`
	From string `placeholder:"URL" help:"Address of a mirror: the folder with the files (default the publisher's)."`
}

// Help is shown after the flags.
func (dataGetCmd) Help() string {
	return `Files that are there already, with the published checksum, are not fetched again; a file that came in part is gone on with. Each gets its name when it is complete and its checksum right.

Examples:
  lanes data get mnist --root ~/data/mnist
  lanes data get cifar-10 --root ~/data/cifar-10 --from https://mirror.example.org/cifar/`
}

// Run fetches the set.
func (cmd *dataGetCmd) Run(c *console) error {
	set, err := download.Find(cmd.Name)
	if err != nil {
		return err
	}
	var fetched []string
	shown := newTransfer(c.errors)
	err = download.Get(c.ctx, set, download.Options{Dir: cmd.Root, From: cmd.From, Progress: func(file string, done, total int64) {
		if !slices.Contains(fetched, file) {
			fetched = append(fetched, file)
		}
		shown.report(file, done, total)
	}})
	shown.bar.clear()
	if err != nil {
		return err
	}
	if bad := download.Check(set, cmd.Root); len(bad) > 0 {
		return errors.Join(bad...)
	}
	what := "was there already"
	if len(fetched) > 0 {
		what = "fetched " + strings.Join(fetched, ", ")
	}
	_, err = fmt.Fprintf(c.out, "%s: %s; train on it with: lanes train --data %s --root %s\n", cmd.Name, what, cmd.Name, cmd.Root)
	return err
}

// transfer shows how far a file has come: with a bar on a terminal, with one line a
// file elsewhere.
type transfer struct {
	errors io.Writer
	bar    *bar
	file   string
}

func newTransfer(errors io.Writer) *transfer {
	return &transfer{errors: errors, bar: newBar(errors)}
}

func (t *transfer) report(file string, done, total int64) {
	if t.bar != nil {
		t.bar.set(done, total, fmt.Sprintf("%s: %.1f of %.1f MB", file, float64(done)/1e6, float64(total)/1e6))
	} else if file != t.file {
		t.file = file
		fmt.Fprintf(t.errors, "%s: %.1f MB\n", file, float64(total)/1e6)
	}
}
