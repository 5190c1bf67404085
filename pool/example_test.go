package pool_test

import (
	"fmt"
	"log"

	"github.com/golanes/lanes/pool"
)

// Max pooling of one 4x4 image of one channel, and where the gradient goes.
func ExampleMax() {
	p, err := pool.NewMax(pool.Shape{N: 1, C: 1, H: 4, W: 4, R: 2, S: 2, StrideH: 2, StrideW: 2})
	if err != nil {
		log.Fatal(err)
	}
	src := []float32{
		1, 2, 5, 6,
		4, 3, 8, 7,
		9, 9, 0, 0,
		9, 9, 0, 1,
	}
	dst, arg := make([]float32, 4), p.NewArgmax()
	p.Forward(dst, arg, src)
	fmt.Println(dst)

	dx := make([]float32, 16)
	p.Backward(dx, []float32{1, 2, 3, 4}, arg)
	for row := range 4 {
		fmt.Println(dx[4*row : 4*row+4])
	}
	// Output:
	// [4 8 9 1]
	// [0 0 0 0]
	// [1 0 2 0]
	// [3 0 0 0]
	// [0 0 0 4]
}

// The two rules by which an average counts taps in the padding.
func ExampleNewAvg() {
	s := pool.Shape{N: 1, C: 1, H: 1, W: 3, R: 1, S: 3, PadLeft: 1, PadRight: 1}
	for _, count := range []pool.Count{pool.CountPadding, pool.CountInside} {
		p, err := pool.NewAvg(s, count)
		if err != nil {
			log.Fatal(err)
		}
		dst := make([]float32, p.DstLen())
		p.Forward(dst, []float32{3, 6, 9})
		fmt.Println(dst)
	}
	// Output:
	// [3 6 5]
	// [4.5 6 7.5]
}

// The mean of each channel, the squeeze of squeeze-and-excitation.
func ExampleGlobalAvg() {
	// Two pixels of three channels.
	src := []float32{1, 2, 3, 5, 6, 7}
	mean := make([]float32, 3)
	pool.GlobalAvg(mean, src, 1, 2, 3)
	fmt.Println(mean)
	// Output: [3 4 5]
}

// An average to a fixed size, whatever the size of the input.
func ExampleNewAdaptiveAvg() {
	p, err := pool.NewAdaptiveAvg(1, 1, 1, 5, 1, 2)
	if err != nil {
		log.Fatal(err)
	}
	dst := make([]float32, p.DstLen())
	p.Forward(dst, []float32{0, 1, 2, 3, 4})
	fmt.Println(dst)
	// Output: [1 3]
}
