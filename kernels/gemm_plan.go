package kernels

import "runtime"

// How a product is divided: over threads, into blocks, packed or not.

// packLimits say which operands of a product are worth a copy, as measured
// (go run ./cmd/lanes bench --suite gemm).
type packLimits struct {
	// columns is how many columns of the result make a copy of A worth while, turned
	// how many where A is transposed, and turnedQuarter how many where its leading
	// dimension is then a multiple of a quarter of a page.
	columns, turned, turnedQuarter int
	// rows is how many rows of the result make a copy of B worth while; halfPage and
	// page how many where the leading dimension of B is a multiple of either, so that
	// what a tile reads together competes for few sets of the cache.
	rows, halfPage, page int
	// ahead tells whether the next block of a transposed A is worth fetching while the
	// tiles go over fewer columns than turned.
	ahead bool
}

var (
	packAVX512  = packLimits{columns: 768, turned: 512, turnedQuarter: 512, rows: 2048, halfPage: 2048, page: 640, ahead: true}
	packAVX2    = packLimits{columns: 768, turned: 256, turnedQuarter: 128, rows: 512, halfPage: 64, page: 24}
	packGeneric = packLimits{columns: 768, turned: 512, turnedQuarter: 512, rows: 2048, halfPage: 2048, page: 32}
)

// floatsPerPage is a page, the stride at which addresses share sets of a cache.
const floatsPerPage = 4096 / 4

// packs decides which operands of an m x n part are worth copying into packed
// form. A copy comes from memory and costs as much as up to 20 columns (A) or rows
// (B) of the result, while the tiles read either as it lies nearly as fast, so it
// pays for many; for fewer where the rows of B start anywhere in a cache line; and for
// few where a leading dimension is such that addresses share sets of the cache. A
// transposed B is always packed: the tiles need its columns contiguous. A [PackedB]
// counts as packed.
func (g *gemmCall) packs(m, n int) (a, b bool) {
	const line, raggedRows = 64 / 4, 256
	p := &g.tile.pack
	if g.csa == 1 {
		a = n > p.columns || n > g.tile.nr && g.rsa%floatsPerPage == 0
	} else {
		a = n > p.turned || g.csa%floatsPerPage == 0 || n > p.turnedQuarter && g.csa%(floatsPerPage/4) == 0
	}
	b = g.packed != nil || g.rsb == 1 || m > p.rows || m > raggedRows && g.rsb%line != 0 ||
		m > p.page && g.rsb%floatsPerPage == 0 || m > p.halfPage && g.rsb%(floatsPerPage/2) == 0 ||
		m > 4*n && g.csa != 1
	return a, b
}

// blockA is how many elements of A are kept in the cache: half of the second level.
func blockA() int { return caches.l2 / 2 / 4 }

// blockSizes returns the rows of A and the columns of B that are kept in the
// cache together, for a pass of depth kc over m rows. All of B's block goes by for
// each block of A, so it may be larger unless A is one block anyway.
func blockSizes(t *gemmTile, kc, m int) (mc, nc int) {
	const widestB = 4 << 20
	mc = max(1, blockA()/kc/t.mr) * t.mr
	nc = max(1, widestB/4/kc/t.nr) * t.nr
	if m <= mc {
		nc = max(1, caches.l2/3/4/kc/t.nr) * t.nr
	}
	// Blocks of equal height: B goes by for the last one as for the others.
	blocks := (m + mc - 1) / mc
	mc = ((m+blocks-1)/blocks + t.mr - 1) / t.mr * t.mr
	return mc, nc
}

// minThreadFlops is the work that makes another thread worth its fork and join: on two
// cores of an EPYC (Zen 4), products of twice as much take four fifths of the time.
const minThreadFlops = 125_000

// threadsFor returns how many threads an m x n x k product should use.
func threadsFor(m, n, k int) int {
	flops := 2 * float64(m) * float64(n) * float64(k)
	if flops < 2*minThreadFlops {
		return 1
	}
	return max(1, min(runtime.GOMAXPROCS(0), int(flops/minThreadFlops)))
}

// chooseGrid divides C into gridM x gridN parts for the given threads. Cutting
// the rows makes every thread pack all of B, cutting the columns all of A, so
// the parts should be as square as the tile allows.
func (g *gemmCall) chooseGrid(threads int) {
	panels := (g.n + g.tile.nr - 1) / g.tile.nr
	tiles := (g.m + g.tile.mr - 1) / g.tile.mr
	g.gridM, g.gridN = 1, 1
	best := -1.0
	for gm := 1; gm <= min(threads, tiles); gm++ {
		gn := min(threads/gm, panels)
		rows := (g.m + gm - 1) / gm
		cols := (panels + gn - 1) / gn * g.tile.nr
		// Multiplications of the slowest part, plus what packing costs in the
		// same unit.
		cost := float64(rows)*float64(cols) + 16*float64(rows+cols)
		if best < 0 || cost < best {
			best, g.gridM, g.gridN = cost, gm, gn
		}
	}
}
