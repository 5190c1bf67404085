package train

import (
	"fmt"
	"os"
)

// LockDir claims a folder for this process until the returned function is called
// or the process ends, however it ends. Another process that claims it meanwhile
// gets an error that names the folder. [Fit] leaves this to the caller, who may
// have files of his own in the folder. On systems and file systems without
// flock(2), Windows among them, nobody is refused.
func LockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if taken(f) {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another process", dir)
	}
	return func() { f.Close() }, nil
}
