package safetensors_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/golanes/lanes/train/safetensors"
)

func Example() {
	var file bytes.Buffer
	weights := safetensors.Float32("fc.weight", []int{2, 2}, []float32{1, 2, 3, 4})
	err := safetensors.Write(&file, []safetensors.Tensor{weights}, map[string]string{"format": "pt"})
	if err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Parse(file.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range f.Tensors() {
		values, err := t.Float32s()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Name, t.DType, t.Shape, values)
	}
	// Output: fc.weight F32 [2 2] [1 2 3 4]
}
