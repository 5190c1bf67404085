//go:build !linux

package train

func adviseHuge([]float32) {}
