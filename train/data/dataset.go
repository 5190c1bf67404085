package data

import (
	"errors"
	"fmt"
	"strings"
)

// Dataset is a data set divided for training, with what a loader needs to know
// about it.
type Dataset struct {
	Name string
	// Train, Val and Test have no image in common. Val is taken from the training
	// images, Test is the data set's own.
	Train, Val, Test Source
	// Augment is what may be done to this data set's training images without
	// changing their class.
	Augment Augment
	// Mean and Std are of Train alone, by channel.
	Mean, Std []float32
}

// Options choose a data set's files and division.
type Options struct {
	// Root is the folder of the files, for the data sets that have any.
	Root string
	// Seed decides which images are held out for validation and, for glyphs, what
	// is drawn.
	Seed uint64
	// Limit, if positive, is the most images to use for training and validation
	// together; a third of it, if less than all, is used for the test.
	Limit int
}

// Names lists the data sets that [Open] knows.
func Names() []string { return []string{"glyphs", "mnist", "fashion-mnist", "cifar-10", "cifar-100"} }

// NeedsRoot reports whether a data set is read from files.
func NeedsRoot(name string) bool { return name != "glyphs" }

// valShare is the part of the training images held out for validation, 1 in 10.
const valShare = 10

// Open reads or draws a data set.
func Open(name string, opt Options) (*Dataset, error) {
	var train, test *Images
	var augment Augment
	var err error
	switch name {
	case "glyphs":
		if opt.Root != "" {
			return nil, errors.New("glyphs are drawn by the program: they have no root folder")
		}
		o := GlyphOptions{Seed: opt.Seed}
		if opt.Limit > 0 {
			o.Train, o.Test = opt.Limit, (opt.Limit+2)/3
		}
		// A letter mirrored is another shape, and glyphs come already displaced.
		train, test, err = Glyphs(o)
	case "mnist":
		augment.Pad = 2
		train, test, err = openIDX(opt.Root, DigitClasses())
	case "fashion-mnist":
		augment = Augment{Pad: 2, Flip: true}
		train, test, err = openIDX(opt.Root, FashionClasses())
	case "cifar-10":
		augment = Augment{Pad: 4, Flip: true}
		train, test, err = cifar10().open(opt.Root)
	case "cifar-100":
		augment = Augment{Pad: 4, Flip: true}
		train, test, err = cifar100().open(opt.Root)
	default:
		err = fmt.Errorf("unknown data set %q, want one of %s", name, strings.Join(Names(), ", "))
	}
	if err != nil {
		return nil, err
	}
	return divide(name, train, test, augment, opt)
}

// divide carves the validation images from train.
func divide(name string, train, test Source, augment Augment, opt Options) (*Dataset, error) {
	if opt.Limit > 0 {
		_, train = Split(train, opt.Limit, mix(opt.Seed, 1))
		_, test = Split(test, (opt.Limit+2)/3, mix(opt.Seed, 2))
	}
	d := &Dataset{Name: name, Test: test, Augment: augment}
	d.Train, d.Val = Split(train, train.Len()/valShare, opt.Seed)
	if d.Train.Len() == 0 || d.Val.Len() == 0 || d.Test.Len() == 0 {
		return nil, fmt.Errorf("%s: too few images: %d for training, %d for validation, %d for the test", name, d.Train.Len(), d.Val.Len(), d.Test.Len())
	}
	h, w, c := train.Shape()
	if th, tw, tc := test.Shape(); th != h || tw != w || tc != c {
		return nil, fmt.Errorf("%s: training images are %d x %d x %d, test images %d x %d x %d", name, h, w, c, th, tw, tc)
	}
	var err error
	d.Mean, d.Std, err = Stats(d.Train)
	return d, err
}

// openIDX reads the four files of MNIST and its kin.
func openIDX(root string, classes []string) (train, test *Images, err error) {
	if err := checkRoot(root); err != nil {
		return nil, nil, err
	}
	if train, err = readIDXPair(root, "train", classes); err != nil {
		return nil, nil, err
	}
	test, err = readIDXPair(root, "t10k", classes)
	return train, test, err
}

// DigitClasses returns the classes of MNIST.
func DigitClasses() []string {
	return []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
}

// FashionClasses returns the classes of Fashion-MNIST.
func FashionClasses() []string {
	return []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}
}
