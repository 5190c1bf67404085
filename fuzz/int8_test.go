package fuzz

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/golanes/lanes/kernels"
	"github.com/golanes/lanes/kernels/kerneltest"
)

// byteCase runs all kernels on bytes on operands that follow from the arguments,
// and returns everything they wrote as bytes and 32-bit sums.
func byteCase(data []byte, seed uint64, n, c, taps int) (bytes []uint8, sums []int32) {
	rng := rand.New(rand.NewPCG(seed, 1))
	at := 0
	raw := func(n int) []uint8 {
		b := make([]uint8, n)
		for i := range b {
			b[i] = data[at%len(data)] + uint8(at/len(data))
			at++
		}
		return b
	}
	signed := func(n int) []int8 {
		w := make([]int8, n)
		for i, b := range raw(n) {
			w[i] = int8(b)
		}
		return w
	}
	scales := func(n int, most float32) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = rng.Float32() * most
		}
		return x
	}
	r := kernels.ByteRange{Zero: int32(data[0]), Min: int32(data[0]) / 2, Max: 255}
	src, table := raw((taps+1)*c), make([]int, taps)
	for i := range table {
		table[i] = rng.IntN(taps*c + 1)
	}
	// The same product whatever the tile: rows and columns that all tiles have.
	heights, nr, _ := kernels.GatherInt8Tiles()
	mr := heights[len(heights)-1]
	const shared = 8
	g := kernels.GatherInt8{MR: mr, NR: nr, Quads: (c + 3) / 4, A: raw(taps*c + 3), Bias: make([]int32, nr), Acc: make([]int32, mr*nr),
		Rows: make([]int32, mr), Offsets: make([]int32, taps), B: make([]int8, 4*taps*((c+3)/4)*nr)}
	for i := range g.Offsets {
		g.Offsets[i] = int32(i * c)
	}
	w := signed(4 * taps * g.Quads * shared)
	for i := range taps * g.Quads {
		copy(g.B[4*i*nr:], w[4*i*shared:][:4*shared])
	}
	g.Run()
	sums = slices.Clone(g.Acc[:shared])

	out := make([]uint8, shared)
	kernels.RequantizeRows(out, shared, g.Acc, nr, scales(shared, 0x1p-12), 1, shared, r)
	bytes = append(bytes, out...)
	pixel, filter := make([]uint8, c), make([]float32, taps*c)
	for i, v := range signed(len(filter)) {
		filter[i] = float32(v)
	}
	kernels.DepthwiseBytes(pixel, src, table, filter, c, make([]int32, c), scales(c, 0x1p-8), r)
	bytes = append(bytes, pixel...)
	stride := 1 + int(seed%2)
	if row := kernels.NewDepthwiseByteRow(stride, c, taps, int(data[0])%4, taps); row != nil && c >= 32 { // what all tiers have
		o := kernels.DepthwiseByteOperands{Dst: make([]uint8, taps*c), Src: raw(taps * c), Pad: raw(taps * c), Rows: [3]int{0, -1, 0}, Zero: data[0],
			W: row.Pack(signed(9*c), make([]int32, c)), Scale: make([]float32, row.Lanes()), Range: r}
		row.PackScale(o.Scale, scales(c, 0x1p-8))
		row.Run(&o)
		bytes = append(bytes, o.Dst...)
	}
	kernels.MaxBytes(pixel, src, table)
	bytes = append(bytes, pixel...)
	sum, floats, back := make([]uint8, n), make([]float32, n), make([]uint8, n)
	add := kernels.ByteAdd{XScale: rng.Float32(), YScale: rng.Float32(), Scale: rng.Float32() + 0x1p-6, XZero: 128, YZero: int32(data[0]), Range: r}
	add.Run(sum, raw(n), raw(n))
	kernels.DequantizeBytes(floats, raw(n), rng.Float32(), 7, seed%2 == 0)
	kernels.QuantizeBytes(back, floats, rng.Float32()+0x1p-6, r)
	return append(append(bytes, sum...), back...), sums
}

// FuzzInt8 compares the kernels on bytes between the instruction sets, with
// VNNI and without: they must agree exactly.
func FuzzInt8(f *testing.F) {
	for i, n := range []uint8{1, 7, 17, 33, 70} {
		f.Add([]byte{byte(i), 1, 200, 30, 255, 127, 128, 5, 9}, uint64(i), n, uint8(3+13*i), uint8(1+4*i))
	}
	f.Add([]byte{255, 128, 128, 255}, uint64(9), uint8(64), uint8(64), uint8(62))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, n, c, taps uint8) {
		if len(data) == 0 {
			return
		}
		var bytes []uint8
		var sums []int32
		check := func(isa string) {
			b, s := byteCase(data, seed, int(n), int(c)%80+1, int(taps)%kernels.MaxByteTaps+1)
			if bytes == nil {
				bytes, sums = b, s
			} else if !slices.Equal(b, bytes) || !slices.Equal(s, sums) {
				t.Fatalf("isa=%s: %v %v, in pure Go %v %v", isa, b, s, bytes, sums)
			}
		}
		onEachISA(t, func(isa string) {
			check(isa)
			if kerneltest.WithoutVNNI() {
				check(isa + " without VNNI")
			}
		})
	})
}
