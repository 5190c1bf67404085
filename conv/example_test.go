package conv_test

import (
	"fmt"

	"github.com/golanes/lanes/conv"
	"github.com/golanes/lanes/kernels"
)

func Example() {
	// A 3x3 filter that adds up its window, over a 3x3 image of ones.
	shape := conv.Shape{N: 1, C: 1, H: 3, W: 3, K: 1, R: 3, S: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
	plan, err := conv.NewPlan(shape, conv.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ones := []float32{1, 1, 1, 1, 1, 1, 1, 1, 1}
	dst := make([]float32, shape.DstLen())
	work := make([]float32, plan.Workspace())
	plan.Forward(dst, ones, ones, nil, nil, work)
	fmt.Println(dst)
	// Output: [4 6 4 6 9 6 4 6 4]
}

func ExamplePlan_BackwardWeights() {
	shape := conv.Shape{N: 1, C: 1, H: 1, W: 4, K: 1, R: 1, S: 2}
	plan, err := conv.NewPlan(shape, conv.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	src := []float32{1, 2, 3, 4}
	ddst := []float32{1, 0, -1}
	dw, db := make([]float32, shape.WeightLen()), make([]float32, shape.K)
	plan.BackwardWeights(dw, db, src, ddst, make([]float32, plan.Workspace()))
	fmt.Println(dw, db)
	// Output: [-2 -2] [0]
}

func ExampleOptions() {
	// Bias, residual and ReLU in the same pass.
	shape := conv.Shape{N: 1, C: 2, H: 1, W: 2, K: 1, R: 1, S: 1}
	plan, err := conv.NewPlan(shape, conv.Options{Activation: kernels.ReLU})
	if err != nil {
		fmt.Println(err)
		return
	}
	src, w := []float32{1, 2, 3, 4}, []float32{1, -1}
	bias, residual := []float32{0.5}, []float32{1, 0}
	dst := make([]float32, shape.DstLen())
	plan.Forward(dst, src, w, bias, residual, make([]float32, plan.Workspace()))
	fmt.Println(dst)
	// Output: [0.5 0]
}
