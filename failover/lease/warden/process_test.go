package warden

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// opened waits until the gate is open, and answers under which epoch.
func (s *subject) opened() drawbridge.Epoch {
	s.t.Helper()
	return s.gateIs(true)
}

func (s *subject) gateIs(want bool) drawbridge.Epoch {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		if epoch, open := s.gate.Permit(); open == want {
			return epoch
		}
	}
	s.t.Fatalf("open = %v is not seen within 20 s", want)
	return 0
}

// released waits for the release of a tenure. The gate must have been shut when it came, and so before it was sent:
// nobody opens it again in between, because a released tenure is over.
func (s *subject) released(epoch drawbridge.Epoch) {
	s.t.Helper()
	for {
		switch h := s.voter.next(lease.Release); {
		case h.epoch == epoch && h.open:
			s.t.Fatal("the lease was released while the gate was open")
		case h.epoch == epoch:
			return
		}
	}
}

// gone waits until a process has ended.
func (s *subject) gone(pid int) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
		if syscall.Kill(pid, 0) != nil || zombie(pid) {
			return
		}
	}
	s.t.Fatalf("process %d is still there after 20 s", pid)
}

// TestTheAgentOfAKilledDaemonReleases: shut, then release, then end.
func TestTheAgentOfAKilledDaemonReleases(t *testing.T) {
	s := start(t)
	s.until("life 1")
	epoch := s.opened()
	s.signal(s.Process.Pid, syscall.SIGKILL)
	s.released(epoch)
	s.gone(s.agent)
}

// TestAnOrderlyEndReleases, and everything is told.
func TestAnOrderlyEndReleases(t *testing.T) {
	s := start(t)
	s.until("life 1")
	epoch := s.opened()
	s.signal(s.Process.Pid, syscall.SIGTERM)
	s.released(epoch)
	s.until("change false")
	s.until("end")
	s.gone(s.agent)
}

// TestResigningReleasesWhileTheDaemonGoesOn: no new agent is started, and none is missed.
func TestResigningReleasesWhileTheDaemonGoesOn(t *testing.T) {
	s := start(t)
	s.until("life 1")
	epoch := s.opened()
	s.say("resign")
	s.released(epoch)
	s.until("end")
}

// TestAFrozenDaemonHoldsNoLease, and gets a new one when it is thawed, under a later epoch.
func TestAFrozenDaemonHoldsNoLease(t *testing.T) {
	s := start(t)
	s.until("life 1")
	first := s.opened()
	s.voter.next(lease.Ask)
	s.signal(s.Process.Pid, syscall.SIGSTOP)
	s.released(first)
	if _, open := s.gate.Permit(); open {
		t.Error("the gate of a frozen daemon is open")
	}
	s.signal(s.Process.Pid, syscall.SIGCONT)
	s.until("change true")
	s.until("change false")
	if second := s.opened(); second <= first {
		t.Errorf("epoch %v after %v", second, first)
	}
}

// TestAStalledDataPathHoldsNoLease, although the process lives.
func TestAStalledDataPathHoldsNoLease(t *testing.T) {
	s := start(t)
	s.until("life 1")
	first := s.opened()
	s.say("stall")
	s.released(first)
	s.until("change false")
	s.say("move")
	s.until("change true")
}

// TestAKilledAgentIsReplaced: the gate is shut before there is another, whose tenure is of a later generation.
func TestAKilledAgentIsReplaced(t *testing.T) {
	s := start(t)
	s.until("life 1")
	first := s.opened()
	s.until("change true")
	s.signal(s.agent, syscall.SIGKILL)
	if line := s.until("change false"); !strings.Contains(line, fmt.Sprint(uint64(first))) {
		t.Errorf("%q, want epoch %d", line, first)
	}
	s.until("life 2")
	s.until("change true")
	if second := s.opened(); second.Generation() <= first.Generation() {
		t.Errorf("epoch %v after %v", second, first)
	}
}

// TestTheGateOfAFrozenAgentShutsByTheClock, and nothing is released; thawed, the agent sees that its tenure is over, and tells
// that it was when the gate shut, not when it saw.
func TestTheGateOfAFrozenAgentShutsByTheClock(t *testing.T) {
	s := start(t)
	s.until("life 1")
	first := s.opened()
	s.signal(s.agent, syscall.SIGSTOP)
	s.gateIs(false)
	seen := gate.Now()
	s.signal(s.agent, syscall.SIGCONT)
	var epoch, at uint64
	line := s.until("change false")
	if _, err := fmt.Sscanf(line, "change false %d %d", &epoch, &at); err != nil || epoch != uint64(first) || at == 0 || at > uint64(seen) {
		t.Errorf("%q, want the end of %d before %d", line, first, seen)
	}
	if second := s.opened(); second <= first {
		t.Errorf("epoch %v after %v", second, first)
	}
}

// TestAVetoKeepsTheGateShut through renewals, and what takes it back opens the gate under the same tenure.
func TestAVetoKeepsTheGateShut(t *testing.T) {
	s := start(t)
	s.until("life 1")
	s.opened()
	s.until("change true")
	s.say("veto")
	s.until("change false")
	for range 4 {
		if _, open := s.gate.Permit(); open {
			t.Fatal("open against a veto")
		}
		<-s.voter.seen
	}
	s.say("allow")
	s.until("change true")
	s.opened()
}

// TestAYieldedLeaseIsReleased.
func TestAYieldedLeaseIsReleased(t *testing.T) {
	s := start(t)
	s.until("life 1")
	epoch := s.opened()
	s.until("change true")
	s.say("yield")
	s.released(epoch)
	if line := s.until("yielded"); line != "yielded true" {
		t.Error(line)
	}
}

// zombie tells whether a process has ended and nobody has waited for it: a killed daemon's agent belongs to init.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}
