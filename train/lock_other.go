//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package train

import "os"

func taken(*os.File) bool { return false }
