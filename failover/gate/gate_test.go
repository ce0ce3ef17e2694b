package gate

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

func load(t testing.TB) *Kernel {
	t.Helper()
	k, err := New()
	if err != nil {
		if unix.Getuid() != 0 {
			t.Skip("needs root: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// frame is the shortest thing that both programs accept as input.
var frame = make([]byte, 64)

// capturedBytes runs the socket filter once and tells how much of the frame it keeps.
func capturedBytes(t testing.TB, k *Kernel) uint32 {
	t.Helper()
	kept, err := k.capture.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// context is the part of struct __sk_buff that a test run may set: len, pkt_type, mark.
type context struct{ Len, PktType, Mark uint32 }

func verdict(t testing.TB, k *Kernel, mark uint32) int32 {
	t.Helper()
	v, err := k.inject.Run(&ebpf.RunOptions{Data: frame, Context: context{Mark: mark}})
	if err != nil {
		t.Fatal(err)
	}
	return int32(v)
}

// check asserts that the programs and the user-space check agree on whether frames pass.
func check(t testing.TB, k *Kernel, when string, open bool) {
	t.Helper()
	if _, ok := k.Permit(); ok != open {
		t.Errorf("%s: user space says open=%v, want %v", when, ok, open)
	}
	if kept := capturedBytes(t, k); (kept != captureDrop) != open {
		t.Errorf("%s: the socket filter keeps %d bytes, want open=%v", when, kept, open)
	}
	if v := verdict(t, k, Mark); (v == pass) != open {
		t.Errorf("%s: the egress program says %d, want open=%v", when, v, open)
	}
}

func TestTheKernelObeysTheGate(t *testing.T) {
	k := load(t)
	check(t, k, "new", false)
	k.Open(drawbridge.MakeEpoch(1, 1), failover.Forever)
	check(t, k, "opened", true)
	k.Shut()
	check(t, k, "shut", false)
	k.Open(drawbridge.MakeEpoch(1, 2), Now().Add(time.Hour))
	check(t, k, "leased", true)
	k.Fence(drawbridge.MakeEpoch(1, 3))
	check(t, k, "fenced", false)
	k.Open(drawbridge.MakeEpoch(1, 3), Now().Add(time.Hour))
	check(t, k, "opened at the fence", true)
}

func TestTheKernelShutsAtTheDeadlineWithoutUs(t *testing.T) {
	k := load(t)
	until := Now().Add(20 * time.Millisecond)
	k.Open(1, until)
	for Now() < until { // nobody renews: only the clock moves
	}
	check(t, k, "past the deadline", false)
}

func TestOnlyInjectedFramesAreJudged(t *testing.T) {
	k := load(t)
	if v := verdict(t, k, 0); v != pass {
		t.Errorf("a frame of the host itself got verdict %d behind a shut gate, want %d", v, pass)
	}
}

func TestTheKernelCountsWhatItJudges(t *testing.T) {
	k := load(t)
	verdict(t, k, Mark)
	capturedBytes(t, k)
	k.Open(1, failover.Forever)
	verdict(t, k, Mark)
	if s := k.State(); s.Refused != 2 || s.Passed != 1 {
		t.Errorf("counted %d refused and %d passed, want 2 and 1", s.Refused, s.Passed)
	}
}

func TestAClosedGateStillAnswersShut(t *testing.T) {
	k := load(t)
	k.Open(1, failover.Forever)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Permit(); ok {
		t.Error("open after Close")
	}
}

// BenchmarkGate reports what one frame pays in the kernel: the programs run a million times in one call.
func BenchmarkGate(b *testing.B) {
	k := load(b)
	k.Open(1, failover.Forever)
	for _, p := range []struct {
		name    string
		program *ebpf.Program
	}{{"capture", k.capture}, {"inject", k.inject}} {
		b.Run(p.name, func(b *testing.B) {
			_, each, err := p.program.Benchmark(frame, b.N, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(each.Nanoseconds()), "ns/frame")
		})
	}
}
