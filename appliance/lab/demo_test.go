package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// descendants are all processes below pid.
func descendants(pid int) (all []proc) {
	lists, _ := exec.Command("sh", "-c", fmt.Sprintf("cat /proc/%d/task/*/children", pid)).Output()
	for _, word := range strings.Fields(string(lists)) {
		var child int
		fmt.Sscan(word, &child)
		start, _ := netlab.StartTime(child)
		all = append(append(all, proc{child, start}), descendants(child)...)
	}
	return all
}

// demo starts it with stand-ins and waits until its network is up.
func demo(t *testing.T, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Setenv("FAKE_FOUNDER", "192.0.2.10:6630")
	cmd := exec.Command(os.Args[0], "demo", "--once")
	cmd.SysProcAttr = attr
	cmd.Stderr = new(bytes.Buffer)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "every peer sees all others") {
			return cmd, lines
		}
	}
	err = cmd.Wait()
	t.Fatalf("the network did not come up: %v\n%s", err, cmd.Stderr)
	return nil, nil
}

func TestEverythingDiesWithTheDemo(t *testing.T) {
	cmd, _ := demo(t, nil)
	all := descendants(cmd.Process.Pid)
	if len(all) < 7 {
		t.Errorf("%d processes, want the demo's first and six daemons", len(all))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	cmd.Wait()
	err := until(yes, func() (bool, error) {
		for _, p := range all {
			if p.state() != dead {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Errorf("something survived: %v", err)
	}
	if netlab.Exists(demoLab+"-w") || slices.Contains(Names(), demoLab) {
		t.Error("it was not in namespaces of its own")
	}
}
