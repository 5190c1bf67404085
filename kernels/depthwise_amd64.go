//go:build !purego

package kernels

// What the kernels of amd64 for rows of a depthwise convolution are told.

// The bits of the flags that they take.
const (
	depthwiseClamp = 1 << iota
	depthwiseFetch
)

func (d *DepthwiseRows) flags(o *DepthwiseOperands) int {
	return boolInt(o.Lo > negativeInf || o.Hi < positiveInf)*depthwiseClamp | boolInt(len(o.Ahead)+len(o.AheadY) > 0)*depthwiseFetch
}

// cut divides a row into pixels that are computed alone, tiles, and such pixels again.
func (d *DepthwiseRows) cut(tile int) (first, tiles, last int) {
	if tiles = (d.end - d.first) / tile; tiles == 0 {
		return d.pixels, 0, 0
	}
	return d.first, tiles, d.pixels - d.first - tiles*tile
}

// ahead returns what the kernels ask for: their own operands, if the caller names
// nothing.
func (d *DepthwiseRows) ahead(o *DepthwiseOperands, table *depthwiseTable) (src, y *float32) {
	src, y = table[0], &o.Y[0]
	if len(o.Ahead) > 0 {
		src = &o.Ahead[0]
	}
	if len(o.AheadY) > 0 {
		y = &o.AheadY[0]
	}
	return src, y
}
