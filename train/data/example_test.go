package data_test

import (
	"fmt"
	"log"

	"github.com/golanes/lanes/train/data"
)

func ExampleLoader() {
	// Six grey images of 2 x 2 pixels in two classes.
	pixels := make([]byte, 6*2*2)
	src, err := data.NewImages(2, 2, 1, []string{"cat", "dog"}, pixels, []int32{0, 1, 0, 1, 0, 1})
	if err != nil {
		log.Fatal(err)
	}
	loader, err := data.NewLoader(src, data.LoaderOptions{Batch: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer loader.Close()
	for epoch := range 2 {
		loader.Start(epoch)
		for {
			batch, err := loader.Next()
			if err != nil {
				log.Fatal(err)
			}
			if batch == nil {
				break
			}
			fmt.Println(epoch, batch.Labels, len(batch.X))
		}
	}
	// Output:
	// 0 [0 1 0 1] 16
	// 0 [0 1] 8
	// 1 [0 1 0 1] 16
	// 1 [0 1] 8
}

func ExampleOpen() {
	set, err := data.Open("glyphs", data.Options{Seed: 1, Limit: 360})
	if err != nil {
		log.Fatal(err)
	}
	h, w, c := set.Train.Shape()
	fmt.Println(set.Train.Len(), set.Val.Len(), set.Test.Len(), "images of", h, w, c)
	// Output: 324 36 120 images of 32 32 3
}
