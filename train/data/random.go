package data

// Salts keep the random streams that come from one seed apart.
const (
	saltSplit uint64 = iota + 1
	saltShuffle
	saltAugment
	saltGlyphs
	saltMixup
)

// mix hashes its arguments to one seed. Neighbouring arguments give unrelated
// seeds.
//
// Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014), applied after
// each word.
func mix(words ...uint64) uint64 {
	h := uint64(0)
	for _, word := range words {
		h += word + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
