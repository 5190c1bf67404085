package attention_test

import (
	"fmt"
	"log"

	"github.com/golanes/lanes/attention"
)

// Squeeze-and-excitation on one 1x2 map of two channels, with one hidden unit.
func ExampleSE() {
	p, err := attention.NewSE(attention.Shape{N: 1, C: 2, H: 1, W: 2}, 1, attention.Options{})
	if err != nil {
		log.Fatal(err)
	}
	src := []float32{1, 10, 3, 30} // two pixels; the means are 2 and 20
	w := attention.MLP{W1: []float32{1, 0}, W2: []float32{0, 1}}
	dst, a, state := make([]float32, 4), make([]float32, 2), p.NewState()
	p.Forward(dst, a, src, w, state)
	fmt.Printf("a %.3f\ndst %.3f\n", a, dst)

	// The gradient at the attention vector alone, as CC-Loss sends it.
	dx, dy, da := make([]float32, 4), make([]float32, 4), []float32{0, 1}
	dw := attention.MLP{W1: make([]float32, 2), W2: make([]float32, 2)}
	p.Backward(dx, dw, dy, da, src, a, w, state)
	fmt.Printf("dx %.3f\ndw2 %.3f\n", dx, dw.W2)
	// Output:
	// a [0.500 0.881]
	// dst [0.500 8.808 1.500 26.424]
	// dx [0.052 0.000 0.052 0.000]
	// dw2 [0.000 0.210]
}

// Efficient channel attention with weights that only see the channel itself.
func ExampleECA() {
	p, err := attention.NewECA(attention.Shape{N: 1, C: 2, H: 1, W: 1}, 3, attention.Options{})
	if err != nil {
		log.Fatal(err)
	}
	dst, a := make([]float32, 2), make([]float32, 2)
	p.Forward(dst, a, []float32{0, 4}, []float32{0, 1, 0}, nil)
	fmt.Printf("%.3f\n", a)
	// Output: [0.500 0.982]
}

// A head that only feeds a loss on its attention vector; the features go on as
// they are.
func ExampleOptions() {
	p, err := attention.NewCBAM(attention.Shape{N: 1, C: 1, H: 1, W: 2}, 1, attention.Options{HeadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	a := make([]float32, 1)
	p.Forward(nil, a, []float32{-1, 1}, attention.MLP{W1: []float32{1}, W2: []float32{1}}, nil)
	fmt.Printf("%.3f\n", a) // mean 0, maximum 1
	// Output: [0.731]
}
