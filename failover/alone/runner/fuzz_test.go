package runner

import (
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// FuzzParse: whatever is on the wire, the reader survives, and only a frame with our tag is told to be authentic.
func FuzzParse(f *testing.F) {
	r := New(Config{Network: drawbridge.NetworkID{1}, Key: [32]byte{1}})
	p := &port{}
	good := appendHeader(nil, alone.Group, drawbridge.MAC{2}, 0, alone.EtherType)
	f.Add(r.codec.Append(good, alone.Frame{Kind: alone.Hello, Interval: 10}))
	f.Add([]byte(bridgeFrame()))
	f.Add([]byte(forged(forgers()[0], 1)))
	f.Add([]byte(forged(forgers()[1], 1)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := r.parse(p, b)
		if ok && e.kind == frameHeard && e.verdict == nil && len(b) < drawbridge.MinFrame+alone.Size {
			t.Errorf("%x is authentic", b)
		}
	})
}

// FuzzStrippedTag: the kernel writes it, for the word size it runs with.
func FuzzStrippedTag(f *testing.F) {
	f.Add([]byte{36, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 8, 0, 0, 0, 0x51, 0, 0, 0, 146, 0, 0, 0, 146, 0, 0, 0, 0, 0, 14, 0, 42, 0, 0, 0x81})
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 8, 0, 0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if tag, ok := strippedTag(b); ok && tag.vlan > 0xfff {
			t.Errorf("VLAN %d", tag.vlan)
		}
	})
}
