package forwarder

import (
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// hello is an ALONE frame, tagged as often as wanted.
func hello(tags int) drawbridge.Frame {
	f := append(make(drawbridge.Frame, 0, 400), 0x03, 0x44, 0x42, 0x41, 0x4c, 0x4f, 2, 0, 0, 0, 0, 9)
	for range tags {
		f = append(f, 0x81, 0, 0, 7)
	}
	f = append(f, 0x88, 0xb6)
	return append(f, make([]byte, 128)...)
}

// TestABlockedGuestPort neither takes frames nor gets any, and still hears its neighbours and speaks to them.
func TestABlockedGuestPort(t *testing.T) {
	_, g := hosts(t, 2)
	var overheard []drawbridge.Frame
	a := g[0].wire.ports[0]
	a.cfg.Overhear = func(f drawbridge.Frame) { overheard = append(overheard, f) }
	a.Block(true)
	g[0].say(drawbridge.Broadcast, 1)
	g[1].expect(1, 0)
	g[1].say(drawbridge.Broadcast, 2)
	g[0].expect(2, 0)
	g[0].send(drawbridge.Packet{Frame: hello(0)})
	g[0].send(drawbridge.Packet{Frame: hello(2)})
	if len(overheard) != 2 {
		t.Errorf("%d frames of neighbours were heard while blocked", len(overheard))
	}
	if !a.Speak(hello(0)) {
		t.Error("a blocked port cannot speak to its neighbours")
	}
	if a.Speak(frame(g[1].mac, g[0].mac, 4)) {
		t.Error("Speak writes what should have been blocked")
	}
	a.Block(false)
	g[0].say(drawbridge.Broadcast, 3)
	g[1].expect(3, 1)
	g[0].send(drawbridge.Packet{Frame: hello(1)})
	if len(overheard) != 3 {
		t.Errorf("%d frames of neighbours were heard", len(overheard))
	}
}

// TestStrayedHellos come out of the overlay, and are shown instead of carried.
func TestStrayedHellos(t *testing.T) {
	f, g := hosts(t, 2)
	n := f.nodes[1]
	strayed := 0
	n.sw.cfg.Strayed = func(f drawbridge.Frame) {
		if ALONE(f) == nil {
			t.Errorf("not recognised: % x", f[:20])
		}
		strayed++
	}
	for tags := range 3 {
		p := drawbridge.Packet{Frame: hello(tags)}
		n.r.Deliver(&drawbridge.Header{Origin: f.nodes[0].id, VNI: g[1].wire.ports[0].cfg.VNI}, &p)
	}
	n.r.Flush()
	if strayed != 3 || len(g[1].got) != 0 {
		t.Errorf("%d strayed, %d delivered", strayed, len(g[1].got))
	}
	if ALONE(frame(g[0].mac, g[1].mac, 4)) != nil || ALONE(nil) != nil {
		t.Error("found in what is none")
	}
}
