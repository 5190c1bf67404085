package conv

import "testing"

// TestWinogradTiles checks that the tiles of a cut give every result of every map once
// and which of them have which points.
func TestWinogradTiles(t *testing.T) {
	const n = 3
	for _, m := range []int{2, 4} {
		for h := 1; h <= 17; h++ {
			for w := 1; w <= 17; w++ {
				checkTiles(t, n, h, w, m)
			}
		}
	}
}

func checkTiles(t *testing.T, n, h, w, m int) {
	cut := newWinogradTiles(n, h, w, m)
	tiles := cut.ends[3]
	if want := n * ((h + m - 1) / m) * ((w + m - 1) / m); tiles != want {
		t.Fatalf("%d maps of %dx%d: %d tiles of %d, want %d", n, h, w, tiles, m, want)
	}
	covered := make([]int, n*h*w)
	points := 0
	for i := range tiles {
		p := cut.at(i)
		for y := p.y; y < min(h, p.y+p.h); y++ {
			for x := p.x; x < min(w, p.x+p.w); x++ {
				covered[(p.n*h+y)*w+x]++
			}
		}
		for point := range (m + 2) * (m + 2) {
			has := point/(m+2) < p.h+2 && point%(m+2) < p.w+2
			// In a range of rows in the middle of which the tile lies.
			first := max(0, i-2)
			lo, hi := cut.span(point, first, 5)
			if in := first+lo <= i && i < first+hi; in != has {
				t.Fatalf("%d maps of %dx%d: tile %d of %d is %dx%d, point %d in rows [%d, %d) from %d", n, h, w, i, m, p.h, p.w, point, lo, hi, first)
			}
			if has {
				points++
			}
		}
	}
	for i, c := range covered {
		if c != 1 {
			t.Fatalf("%d maps of %dx%d: result %d is in %d tiles of %d", n, h, w, i, c, m)
		}
	}
	if want := n * cut.rows.points() * cut.cols.points(); points != want {
		t.Fatalf("%d maps of %dx%d: tiles of %d have %d points, want %d", n, h, w, m, points, want)
	}
}
