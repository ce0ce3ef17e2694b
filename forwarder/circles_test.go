package forwarder

import (
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// TestTheMicroscopeSeesALoop: a cable between two guest ports of one peer. It says whose frames come round, and between which ports.
func TestTheMicroscopeSeesALoop(t *testing.T) {
	f := newFabric(t)
	n, cable := f.node(), f.wire()
	one, two := cable.guest(n, 7), cable.guest(n, 7)
	w := f.wire()
	w.guest(f.node(), 7)
	far, on := w.station(1), cable.station(2)
	for note := range 5 {
		on.say(drawbridge.Broadcast, note)
		f.now += 10 * time.Millisecond
	}
	seen, missed := n.sw.Circles()
	if len(seen) != 1 || missed != 0 {
		t.Fatalf("%d kinds of frames come round, %d missed: %+v", len(seen), missed, seen)
	}
	c := seen[0]
	ends := map[string]bool{c.Heard.Port: true, c.Known.Port: true}
	if c.From != on.mac || c.To != drawbridge.Broadcast || c.VNI != 7 || c.Count < 5 || !ends[one.name] || !ends[two.name] || c.First <= c.Last {
		t.Errorf("%+v; the loop is between %s and %s", c, one.name, two.name)
	}
	f.now += circlesFor + time.Second
	if seen, _ := n.sw.Circles(); len(seen) != 0 {
		t.Errorf("it is told of after ten minutes: %+v", seen)
	}
	far.say(drawbridge.Broadcast, 9)
	if seen, _ := n.sw.Circles(); len(seen) != 2 || seen[0].From != far.mac || seen[1].From != far.mac || seen[0].Count > 4 {
		t.Errorf("a loop that begins again: %+v", seen)
	}
}

// TestTheMicroscopeIsBounded: ever new addresses do not fill the memory, and are counted.
func TestTheMicroscopeIsBounded(t *testing.T) {
	var c circles
	key := func(i int) circleKey { return circleKey{vni: drawbridge.VNI(i)} }
	for i := range 3 * circlesKept {
		c.note(key(i), time.Duration(i))
	}
	if len(c.known) != circlesKept || c.missed.Load() != 2*circlesKept {
		t.Fatalf("%d kept, %d missed", len(c.known), c.missed.Load())
	}
	for i := range 3 {
		c.note(key(10000+i), time.Duration(i+1)*circlesClean)
	}
	if _, kept := c.known[key(0)]; kept || len(c.known) != circlesKept || c.known[key(10002)] == nil {
		t.Error("what is new does not take the place of what is oldest")
	}
}
