// Package download fetches the public data sets that package data reads, from
// their publishers' addresses, and checks their files.
package download

import (
	"fmt"
	"slices"
	"strings"
)

// Set is a public data set.
type Set struct {
	Name string
	// Base is the address of the folder with its files.
	Base  string
	Files []File
	// Members are the files to keep of an archive; nil if Files are kept as they
	// are.
	Members []string
}

// File is one file of a set.
type File struct {
	Name  string
	Bytes int64
	MD5   string // as published
	// Plain is the MD5 of the file decompressed, as which it may lie on the disk
	// too.
	Plain string
}

var sets = []Set{
	{Name: "mnist", Base: "https://ossci-datasets.s3.amazonaws.com/mnist/", Files: []File{
		{"train-images-idx3-ubyte.gz", 9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"},
		{"train-labels-idx1-ubyte.gz", 28881, "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"},
		{"t10k-images-idx3-ubyte.gz", 1648877, "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"},
		{"t10k-labels-idx1-ubyte.gz", 4542, "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"},
	}},
	{Name: "fashion-mnist", Base: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/", Files: []File{
		{"train-images-idx3-ubyte.gz", 26421880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a"},
		{"train-labels-idx1-ubyte.gz", 29515, "25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9"},
		{"t10k-images-idx3-ubyte.gz", 4422102, "bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a"},
		{"t10k-labels-idx1-ubyte.gz", 5148, "bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965"},
	}},
	{Name: "cifar-10", Base: "https://www.cs.toronto.edu/~kriz/", Files: []File{
		{"cifar-10-binary.tar.gz", 170052171, "c32a1d4ab5d03f1284b67883e8d87530", ""},
	}, Members: []string{"batches.meta.txt", "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
		"data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}},
	{Name: "cifar-100", Base: "https://www.cs.toronto.edu/~kriz/", Files: []File{
		{"cifar-100-binary.tar.gz", 168513733, "03b5dce01913d631647c71ecec9e9cb8", ""},
	}, Members: []string{"coarse_label_names.txt", "fine_label_names.txt", "test.bin", "train.bin"}},
}

// Names lists the sets.
func Names() []string {
	names := make([]string, len(sets))
	for i, s := range sets {
		names[i] = s.Name
	}
	return names
}

// Find returns the set of that name.
func Find(name string) (Set, error) {
	i := slices.IndexFunc(sets, func(s Set) bool { return s.Name == name })
	if i < 0 {
		return Set{}, fmt.Errorf("no address is known for %q, only for %s", name, strings.Join(Names(), ", "))
	}
	return sets[i], nil
}
