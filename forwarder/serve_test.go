package forwarder

import (
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// TestServedFramesGoNowhereElse: what a guest asks the server beside the switch is not flooded.
func TestServedFramesGoNowhereElse(t *testing.T) {
	_, g := hosts(t, 2)
	taken := 0
	g[0].wire.ports[0].cfg.Serve = func(p *drawbridge.Packet) bool {
		taken++
		return p.Frame[len(p.Frame)-1] == 0xee
	}
	g[0].say(drawbridge.Broadcast, 1)
	g[1].expect(1, 1)
	before := len(g[1].got)
	f := frame(drawbridge.Broadcast, g[0].mac, 50)
	f[len(f)-1] = 0xee
	g[0].send(drawbridge.Packet{Frame: f})
	if taken != 2 || len(g[1].got) != before {
		t.Errorf("%d frames were shown, %d came through beside the first", taken, len(g[1].got)-before)
	}
}

// TestForeignAnswersDoNotCross, neither into the mesh nor out of it, and are counted where they were stopped.
func TestForeignAnswersDoNotCross(t *testing.T) {
	f, g := hosts(t, 2)
	foreign := func(drawbridge.VNI, drawbridge.Frame) bool { return true }
	for i, n := range f.nodes[:2] {
		n.sw.cfg.Foreign = foreign
		before := len(g[1].got)
		g[0].send(drawbridge.Packet{Frame: frame(drawbridge.Broadcast, g[0].mac, 50+i)})
		if len(g[1].got) != before {
			t.Errorf("node %d let it cross", i)
		}
		n.sw.cfg.Foreign = nil
	}
	if f.nodes[1].sw.drops[dropForeign].Load() != 1 || g[0].wire.ports[0].drops[dropForeign].Load() != 1 {
		t.Error("it was not counted where it was stopped")
	}
}
