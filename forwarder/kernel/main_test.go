package kernel

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if os.Getenv("DRAWBRIDGE_TEST_OWNER") != "" {
		owner()
	}
	onOneProcessor()
	os.Exit(m.Run())
}

// onOneProcessor begins the test binary again, bound to one processor. A frame goes its whole way on the processor that sent
// it, so one that is sent later cannot arrive earlier, and the tests can use it as a mark.
func onOneProcessor() {
	fuzzing := slices.ContainsFunc(os.Args, func(s string) bool { return strings.HasPrefix(s, "-test.fuzz") })
	var set unix.CPUSet
	if fuzzing || unix.SchedGetaffinity(0, &set) != nil || set.Count() <= 1 {
		return
	}
	runtime.LockOSThread()
	for cpu := 0; set.Count() > 1; cpu++ {
		set.Clear(cpu)
	}
	if unix.SchedSetaffinity(0, &set) != nil {
		return
	}
	if exe, err := os.Executable(); err == nil {
		_ = syscall.Exec(exe, os.Args, os.Environ()) // on failure the tests run as they are
	}
}
