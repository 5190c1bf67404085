package kerneltest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// execWith names the command that runs this test program where the kernel cannot:
// the argument of go test -exec, the emulator of another architecture.
const execWith = "LANES_TEST_EXEC"

// Restart prepares another process of the running test program, which ends when
// ctx does. Under an emulator that go test -exec names, LANES_TEST_EXEC has to
// name it too: without it the process cannot start.
func Restart(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := append(strings.Fields(os.Getenv(execWith)), self)
	command = append(command, args...)
	return exec.CommandContext(ctx, command[0], command[1:]...)
}
