package runner

import (
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// TestKernelEarHearsWhatIsSaidToEverybody asks the socket itself, filter and all.
func TestKernelEarHearsWhatIsSaidToEverybody(t *testing.T) {
	t.Parallel() // it mostly waits
	f := newFloor(t, "a", "b")
	said := func(to drawbridge.MAC, vlan, etherType uint16) drawbridge.Frame {
		return append(appendHeader(nil, to, drawbridge.MAC{2, 9, 9, 9, 9, 9}, vlan, etherType), make([]byte, 46)...)
	}
	const arp, ip = 0x0806, 0x0800
	for _, c := range []struct {
		name       string
		frame      drawbridge.Frame
		plain, v42 bool
	}{
		{"broadcast", said(drawbridge.Broadcast, 0, arp), true, false},
		{"broadcast of the VLAN", said(drawbridge.Broadcast, 42, arp), true, true},
		{"broadcast of another VLAN", said(drawbridge.Broadcast, 43, arp), true, false},
		{"local group", said(drawbridge.MAC{1, 0, 0x5e, 0, 0, 251}, 0, ip), true, false},
		{"a group that switches keep to its members", said(drawbridge.MAC{1, 0, 0x5e, 1, 1, 1}, 0, ip), false, false},
		{"to one station", said(drawbridge.MAC{2, 1, 1, 1, 1, 1}, 0, ip), false, false},
		{"hello", said(drawbridge.Broadcast, 0, alone.EtherType), false, false},
		{"bridge protocol", bridgeFrame(), false, false},
	} {
		for vlan, want := range map[uint16]bool{0: c.plain, 42: c.v42} {
			to, from := f.pair(t)
			var w Wire
			must(t, f.hosts["a"].Do(func() (err error) {
				w, err = OpenEar(PortConfig{Interface: to, VLAN: vlan})
				return err
			}))
			out, err := inside(f.hosts["b"])(PortConfig{Interface: from}, alone.EtherType)
			must(t, err)
			if took := takes(t, w, out, c.frame, said(drawbridge.Broadcast, vlan, arp)); took != want {
				t.Errorf("%s: an ear with VLAN %d took it: %v, want %v", c.name, vlan, took, want)
			}
			must(t, w.Close(), out.Close(), f.hosts["a"].Remove(to))
		}
	}
}
