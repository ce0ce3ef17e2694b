package transit

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// TestSmallFramesShareADatagram counts the datagrams of a batch of small frames, and looks that all arrive in order
// with a large one and a super-frame between them.
func TestSmallFramesShareADatagram(t *testing.T) {
	a, b := pairOfStills(t)
	const count = 100
	var want []drawbridge.Frame
	send := func(n int) {
		f := frameOf(n)
		binary.BigEndian.PutUint32(f[14:], uint32(len(want)))
		want = append(want, bytes.Clone(f))
		a.s.Send(&drawbridge.Header{Dest: 2, Segment: 1, Epoch: 1}, &drawbridge.Packet{Frame: f})
	}
	for range count {
		send(60)
	}
	send(1400)
	send(60)
	all := a.sealed()
	// 60 octets with 25 of meta and 2 of length: sixteen fit into 1,472 - 27. Then one large, one alone.
	if len(all) != (count+15)/16+2 {
		t.Errorf("%d datagrams", len(all))
	}
	if kind := all[len(all)-1].data[0] & 0xf; kind != kindFrame {
		t.Errorf("a frame alone left as kind %d", kind)
	}
	var datagrams [][]byte
	for _, d := range all {
		datagrams = append(datagrams, d.data)
	}
	arrived := b.hear(datagrams...)
	if !slices.EqualFunc(arrived, want, func(g got, w drawbridge.Frame) bool { return bytes.Equal(g.packet.Frame, w) }) {
		t.Errorf("%d frames of %d arrived, or in another order", len(arrived), len(want))
	}
	if c := b.links[1].counted.rxFrames.Load(); c != uint64(len(want)) {
		t.Errorf("%d frames counted", c)
	}
}

// TestARelayTakesBundlesApart sends small frames for two peers through one that is neither's end.
func TestARelayTakesBundlesApart(t *testing.T) {
	a, b, c := newStill(t, 1), newStill(t, 2), newStill(t, 3)
	a.neighbour(2, 7)
	b.neighbour(1, 7)
	b.neighbour(3, 8)
	c.neighbour(2, 8)
	a.SetRoutes(&Routes{Next: map[drawbridge.PeerID]drawbridge.PeerID{3: 2}})
	for i := range 10 {
		a.s.Send(&drawbridge.Header{Dest: drawbridge.PeerID(2 + i%2)}, &drawbridge.Packet{Frame: frameOf(60)})
	}
	sealed := a.sealed()
	if len(sealed) != 1 {
		t.Fatalf("%d datagrams left", len(sealed))
	}
	if got := b.hear(sealed[0].data); len(got) != 5 {
		t.Errorf("%d frames stayed", len(got))
	}
	passed := b.sealed()
	if len(passed) != 1 || passed[0].to != 3 {
		t.Fatalf("%d datagrams were passed on", len(passed))
	}
	if got := c.hear(passed[0].data); len(got) != 5 {
		t.Errorf("%d frames arrived", len(got))
	}
}

// TestHostileBundles come from a peer that has the key and bad intentions.
func TestHostileBundles(t *testing.T) {
	n := newStill(t, 2)
	l := n.neighbour(1, 7)
	m := meta{origin: 1, hops: 16, total: 1}
	frame := m.append(bytes.Clone(frameOf(60)))
	piece := meta{origin: 1, hops: 16, total: 2, flags: flagPiece}
	entry := func(plain []byte) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(plain))), plain...)
	}
	for name, c := range map[string]struct {
		plain     []byte
		delivered int
		malformed uint64
	}{
		"nothing":                 {nil, 0, 1},
		"half a length":           {[]byte{0}, 0, 1},
		"padding only":            {make([]byte, 100), 0, 1},
		"longer than what comes":  {[]byte{0, 200, 1, 2, 3}, 0, 1},
		"a good one, then beyond": {append(entry(frame), 0xff, 0xff, 1), 1, 1},
		"a good one, then air":    {append(entry(frame), 0, 0, 0, 0, 0), 1, 0},
		"a good one, then a stub": {append(entry(frame), 7), 1, 0},
		"a piece of a frame":      {entry(piece.append(bytes.Clone(frameOf(60)))), 0, 1},
		"meta cut short":          {entry(frame[len(frame)-5:]), 0, 1},
		"a runt":                  {entry(m.append(nil)), 0, 1},
	} {
		before := n.Drops()
		if got := n.hear(n.seal(l, kindBundle, c.plain)); len(got) != c.delivered {
			t.Errorf("%s: %d frames delivered", name, len(got))
		}
		if d := since(n, before)["malformed"]; d != c.malformed {
			t.Errorf("%s: counted %d malformed, want %d", name, d, c.malformed)
		}
	}
}
