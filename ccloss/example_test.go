package ccloss_test

import (
	"fmt"

	"github.com/golanes/lanes/ccloss"
)

// Two classes of attention vectors; the gradient pulls equal labels together
// and pushes different ones apart.
func Example() {
	plan, err := ccloss.New(ccloss.Options{Metric: ccloss.SquaredEuclidean, Form: ccloss.Ratio}, 4, 2)
	if err != nil {
		fmt.Println(err)
		return
	}
	attention := []float32{
		0.9, 0.1,
		0.7, 0.1,
		0.1, 0.8,
		0.1, 0.6,
	}
	labels := []int32{3, 3, 8, 8}

	result := plan.Forward(attention, labels)
	fmt.Printf("loss %.4f, within %.4f, between %.4f\n", result.Loss, result.Within, result.Between)

	const lambda = 0.1
	gradient := make([]float32, len(attention))
	plan.Backward(gradient, lambda)
	for i := range labels {
		fmt.Printf("%+.4f\n", gradient[2*i:2*i+2])
	}
	fmt.Println(plan)
	// Output:
	// loss 0.0460, within 0.0400, between 0.8700
	// [+0.0188 +0.0032]
	// [-0.0262 +0.0032]
	// [+0.0037 +0.0193]
	// [+0.0037 -0.0256]
	// ccloss: squared ratio, N<=4 C=2: class statistics, O(N*C)
}

// Two machines hold halves of a batch. Each sends the statistics of its half,
// K*(C+3) numbers, and computes the whole batch's loss and the gradient of its
// own samples.
func ExampleStats_Merge() {
	halves := [][]float32{{0.9, 0.1, 0.1, 0.8}, {0.7, 0.1, 0.1, 0.6}}
	labels := []int32{3, 8}

	whole := ccloss.NewStats(2)
	for _, half := range halves {
		s := ccloss.NewStats(2)
		s.Add(half, labels)
		whole.Merge(s)
	}

	result, err := whole.Loss(ccloss.Options{})
	fmt.Printf("loss %.4f %v\n", result.Loss, err)
	gradient := make([]float32, 4)
	err = whole.Gradient(ccloss.Options{}, gradient, halves[0], labels, 0.1)
	fmt.Printf("%+.4f %v\n", gradient, err)
	// Output:
	// loss 0.0460 <nil>
	// [+0.0188 +0.0032 +0.0037 +0.0193] <nil>
}

func ExampleDistances() {
	points := []float32{0, 0, 3, 4, 0, 1}
	d := make([]float32, 9)
	ccloss.Distances(d, points, 3, 2, ccloss.Euclidean)
	for i := range 3 {
		fmt.Printf("%.3f\n", d[3*i:3*i+3])
	}
	// Output:
	// [0.000 5.000 1.000]
	// [5.000 0.000 4.243]
	// [1.000 4.243 0.000]
}

// How well separated are the classes of a set of vectors?
func ExampleSilhouette() {
	vectors := []float32{0, 0.1, 0.2, 5, 5.1, 5.2}
	labels := []int32{0, 0, 0, 1, 1, 1}
	fmt.Printf("silhouette %.2f\n", ccloss.Silhouette(vectors, labels, 1, 0))
	fmt.Printf("compactness %.3f\n", ccloss.Compactness(vectors, labels, 1))
	fmt.Printf("separability %.1f\n", ccloss.Separability(vectors, labels, 1))
	// Output:
	// silhouette 0.97
	// compactness 0.067
	// separability 5.0
}
