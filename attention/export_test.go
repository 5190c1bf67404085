package attention

// SetGroup makes a plan take so many samples through all passes together.
func SetGroup(p interface{ setGroup(int) }, samples int) { p.setGroup(samples) }

func (f *features) setGroup(samples int) { f.group = samples }
