package lease

import (
	"testing"
	"time"
)

func TestWildClockGivesUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		ppm   [2]Instant // how the two other voters' clocks run
		unfit bool
	}{
		{"in step", [2]Instant{200, -200}, false},
		{"one departs", [2]Instant{3000, 0}, false},
		{"both depart alike", [2]Instant{3000, 3000}, true},
		{"both are slow", [2]Instant{-3000, -2500}, true},
		{"both depart, each its way", [2]Instant{3000, -3000}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.candidate(peerA, 0)
			b.run(100 * time.Millisecond)
			n := b.nodes[peerA]
			var out Output
			for at := b.now; at < b.now.Add(25*time.Second); at = at.Add(time.Second) {
				for i, peer := range []Instant{c.ppm[0], c.ppm[1]} {
					from := b.order[i+1]
					n.Receive(at, from, &Message{Class: Answer, Stamp: at.Add(-time.Millisecond), Clock: 5e9 + at + at*peer/1000000}, &out)
				}
			}
			if n.Unfit() != c.unfit {
				t.Errorf("unfit is %v, want %v", n.Unfit(), c.unfit)
			}
		})
	}
}

func TestRestartedPeerIsNoWildClock(t *testing.T) {
	var c comparison
	c.note(1e9, 1e9, 100e9)
	c.note(12e9, 12e9, 1e9) // its machine booted
	if c.note(13e9, 13e9, 2e9); c.verdict != 0 {
		t.Errorf("verdict %d of a peer that booted", c.verdict)
	}
}

// A machine that boots twice in a window may read more after the second time than when the window began.
func TestPeerThatBootsTwiceIsNoWildClock(t *testing.T) {
	var c comparison
	c.note(1e9, 1e9, 2e8)
	c.note(6e9, 6e9, 52e8)
	c.note(7e9, 7e9, 3e8) // booted
	if c.note(12e9, 12e9, 53e8); c.verdict != 0 {
		t.Errorf("verdict %d of a peer that booted", c.verdict)
	}
}
