package forwarder

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func TestABucketHoldsItsBurstAndFillsAtItsRate(t *testing.T) {
	for _, start := range []time.Duration{0, time.Nanosecond, time.Hour} {
		var s storm
		taken := func(now time.Duration, tries int) (n int) {
			for range tries {
				if s.take(now, 1000, 10) {
					n++
				}
			}
			return n
		}
		for _, step := range []struct {
			at   time.Duration
			want int
		}{
			{0, 10},
			{0, 0},
			{time.Millisecond - 1, 0},
			{time.Millisecond, 1},
			{time.Millisecond, 0},
			{4 * time.Millisecond, 3},
			{time.Second, 10},           // full, and no fuller
			{999 * time.Millisecond, 0}, // another goroutine's clock, a little behind
			{1001 * time.Millisecond, 1},
		} {
			if n := taken(start+step.at, 50); n != step.want {
				t.Errorf("from %v on, at %v: %d, want %d", start, step.at, n, step.want)
			}
		}
	}
}

func TestStormsEndAtThePort(t *testing.T) {
	f, g := pair(t)
	at := f.wires[0].ports[0]
	flood := func(n int) {
		for i := range n {
			p := drawbridge.Packet{Frame: frame(drawbridge.Broadcast, g[0].mac, i)}
			at.pump.now = f.now
			at.pump.frame(&p, 0)
		}
	}
	f.now += time.Second
	flood(stormBurst + 100)
	if len(f.log) != stormBurst || at.dropped(dropStorm) != 100 {
		t.Errorf("%d frames went out, %d were dropped", len(f.log), at.dropped(dropStorm))
	}
	f.now += time.Second / 100
	f.log = nil
	flood(1000)
	if len(f.log) != stormRate/100 {
		t.Errorf("%d frames in 10 ms", len(f.log))
	}
	sent := len(f.log)
	p := drawbridge.Packet{Frame: frame(g[1].mac, g[0].mac, 1)}
	if at.pump.frame(&p, 0); len(f.log) != sent+1 {
		t.Error("a frame for one known station was held up by the storm")
	}
	p = drawbridge.Packet{Frame: frame(address(99), g[0].mac, 1)}
	if at.pump.frame(&p, 0); len(f.log) != sent+1 {
		t.Error("a frame for an unknown station was flooded during the storm")
	}
}

func TestAnOverlayMayHaveALimitOfItsOwn(t *testing.T) {
	f, g := pair(t)
	at := f.wires[0].ports[0]
	flood := func(n int) int {
		f.log = nil
		for i := range n {
			p := drawbridge.Packet{Frame: frame(drawbridge.Broadcast, g[0].mac, i)}
			at.pump.now = f.now
			at.pump.frame(&p, 0)
		}
		return len(f.log)
	}
	for _, c := range []struct{ limit, want int }{{500, 100}, {100_000, 20_000}, {0, stormBurst}} {
		at.sw.SetStormLimit(at.cfg.VNI, c.limit)
		at.sw.SetStormLimit(at.cfg.VNI+1, 1) // another overlay's
		f.now += time.Second
		if n := flood(c.want + 10); n != c.want {
			t.Errorf("limit %d: %d frames at once, want %d", c.limit, n, c.want)
		}
	}
}
