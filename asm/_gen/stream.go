package gen

// streamCopy writes whole vectors past the caches.
func streamCopy(m Machine) {
	m.Func("StreamCopy", "func(dst, src *float32, n int)",
		"StreamCopy copies n elements, n a multiple of a vector, to dst, which is aligned",
		"to a vector. The stores bypass the caches; StreamFence must follow before another",
		"thread looks at dst. The slices must not overlap.")
	dst, src, n := m.ParamPtr("dst"), m.ParamPtr("src"), m.ParamInt("n")
	m.Strips(n, []Ptr{dst, src}, 4, func(s Strip) {
		for u := range s.U {
			s.Stream(dst, u, s.Load(src, u))
		}
	})
	m.Ret()
}

func streamFence(m Machine) {
	m.Func("StreamFence", "func()", "StreamFence orders the stores of StreamCopy before what follows.")
	m.StreamEnd()
	m.Ret()
}
