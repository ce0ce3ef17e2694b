package kernel

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
)

// TestStormLimit: floods above the limit go nowhere, what has one destination is not limited, and nor is another port.
func TestStormLimit(t *testing.T) {
	d := newDry(t)
	d.gate.Open(1, gate.Now().Add(time.Hour))
	must(t, d.e.SetMAC(guest(1), Place{Origin: dryFirst}), d.e.SetStormLimit(dryGuestPort, 10))
	flood, straight := dryFrame(drawbridge.Broadcast, guest(7)), dryFrame(guest(1), guest(7))
	passed, stopped := 0, 0
	for range 20 {
		verdict, rose := d.run(t, d.guest, flood, skb{})
		passed, stopped = passed+1-int(rose["storm"]), stopped+int(rose["storm"])
		if verdict != unspec {
			t.Fatalf("the host does not get its copy: %d", verdict)
		}
		if _, rose := d.run(t, d.guest, straight, skb{}); rose["storm"] != 0 {
			t.Error("a frame for one station was held for a flood")
		}
		if _, rose := d.run(t, d.segment, dryFrame(drawbridge.Broadcast, guest(8)), skb{}); rose["storm"] != 0 {
			t.Error("the other port is limited")
		}
	}
	// A fifth of a second's may come at once, and some more in the time that the test takes.
	if passed < 2 || stopped == 0 {
		t.Errorf("%d floods passed, %d were stopped", passed, stopped)
	}
	must(t, d.e.SetStormLimit(dryGuestPort, 0))
	if _, rose := d.run(t, d.guest, flood, skb{}); rose["storm"] != 0 {
		t.Error("a limit that is gone still holds")
	}
}

// TestTraffic counts each port's frames by themselves, those that were refused not.
func TestTraffic(t *testing.T) {
	d := newDry(t)
	must(t, d.e.SetMAC(guest(1), Place{Origin: dryFirst}))
	f := dryFrame(guest(1), guest(7))
	d.run(t, d.guest, f, skb{})
	d.run(t, d.segment, dryFrame(guest(1), guest(8)), skb{}) // the gate is shut
	d.run(t, d.out, f, skb{Mark: Mark})
	want := func(port int, want Traffic) {
		t.Helper()
		if got, err := d.e.Traffic(port); err != nil || got != want {
			t.Errorf("port %x: %+v, want %+v: %v", port, got, want, err)
		}
	}
	want(dryGuestPort, Traffic{RxFrames: 1, RxBytes: uint64(len(f))})
	want(drySegmentPort, Traffic{})
	d.gate.Open(1, gate.Now().Add(time.Hour))
	d.run(t, d.out, f, skb{Mark: Mark})
	d.run(t, d.out, f, skb{}) // of the host
	want(drySegmentPort, Traffic{TxFrames: 1, TxBytes: uint64(len(f))})
	if got := (Traffic{5, 6, 7, 8}).Since(Traffic{1, 2, 3, 4}); got != (Traffic{4, 4, 4, 4}) {
		t.Errorf("since: %+v", got)
	}
	if _, err := d.e.Traffic(1); err == nil {
		t.Error("an interface that is no port has counts")
	}
}
