package gate

import (
	"os"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// TestASharedGateIsOneGate: what one side does, the other sees; joining shuts.
func TestASharedGateIsOneGate(t *testing.T) {
	s, err := NewSoft()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	epoch := drawbridge.MakeEpoch(1, 1)
	s.Open(epoch, failover.Forever)
	other, err := Join(s.Memory(), Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, open := s.Permit(); open {
		t.Error("the gate is open after another process joined it")
	}
	other.Open(epoch, failover.Forever)
	if e, open := s.Permit(); !open || e != epoch {
		t.Errorf("opened there, here %v %v", e, open)
	}
	s.Fence(epoch + 1)
	if _, open := other.Permit(); open {
		t.Error("fenced here, open there")
	}
}

// TestAKernelGateIsJoined: the programs obey who joined.
func TestAKernelGateIsJoined(t *testing.T) {
	k := load(t)
	other, err := Join(k.Memory(), Now)
	if err != nil {
		t.Fatal(err)
	}
	other.Open(drawbridge.MakeEpoch(1, 1), failover.Forever)
	check(t, k, "opened by the other", true)
	other.Shut()
	check(t, k, "shut by the other", false)
}

// TestJoinRefusesWhatIsNoMemory instead of panicking.
func TestJoinRefusesWhatIsNoMemory(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := Join(int(r.Fd()), Now); err == nil {
		t.Error("a pipe was taken for memory")
	}
	if _, err := Join(-1, Now); err == nil {
		t.Error("no descriptor was taken for memory")
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		Now()
	}
}
