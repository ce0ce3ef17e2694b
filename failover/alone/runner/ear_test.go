package runner

import (
	"slices"
	"testing"
	"time"

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
			w := f.ear(t, "a", PortConfig{Interface: to, VLAN: vlan}).wire
			out, err := inside(f.hosts["b"])(PortConfig{Interface: from}, alone.EtherType)
			must(t, err)
			if took := takes(t, w, out, c.frame, said(drawbridge.Broadcast, vlan, arp)); took != want {
				t.Errorf("%s: an ear with VLAN %d took it: %v, want %v", c.name, vlan, took, want)
			}
			must(t, w.Close(), out.Close(), f.hosts["a"].Remove(to))
		}
	}
}

// ear opens one.
func (f *floor) ear(t *testing.T, host string, c PortConfig) (e *Ear) {
	t.Helper()
	must(t, f.hosts[host].Do(func() (err error) {
		e, err = OpenEar(c)
		return err
	}))
	return e
}

// TestKernelEarTellsWhoSpokeAndWhen: however many words wait, all are taken at once, each station is told once, and its latest word is as
// old as it is, not as the moment in which it was read.
func TestKernelEarTellsWhoSpokeAndWhen(t *testing.T) {
	t.Parallel() // it mostly waits
	f := newFloor(t, "a", "b")
	to, from := f.pair(t)
	e := f.ear(t, "a", PortConfig{Interface: to})
	out, err := inside(f.hosts["b"])(PortConfig{Interface: from}, alone.EtherType)
	must(t, err)
	said := func(by byte) drawbridge.Frame {
		return append(appendHeader(nil, drawbridge.Broadcast, drawbridge.MAC{2, 9, 9, 9, 9, by}, 0, 0x0806), make([]byte, 46)...)
	}
	watch := time.AfterFunc(patience, e.Interrupt)
	defer watch.Stop()
	talking(t, out, said(9), e.wire)
	const waits = 50 * time.Millisecond
	for range 20 {
		must(t, out.Send(said(1)), out.Send(said(2)))
	}
	time.Sleep(waits)
	before := time.Now()
	must(t, out.Send(said(3)))
	var order []byte
	for !slices.Contains(order, 3) {
		all, err := e.Hear()
		since := time.Since(before)
		must(t, err)
		for _, s := range all {
			if s.MAC[5] == 9 {
				continue
			}
			order = append(order, s.MAC[5])
			if old := s.MAC[5] != 3; old && s.Ago < waits || !old && s.Ago > since {
				t.Errorf("station %d spoke %v ago, the last one at most %v ago", s.MAC[5], s.Ago, since)
			}
		}
	}
	if got := string(order); got != "\x03\x02\x01" && got != "\x02\x01\x03" { // the last word may come a moment later
		t.Errorf("heard %v, want each once, latest first", order)
	}
	must(t, e.Close(), out.Close())
	if _, err := e.Hear(); err == nil {
		t.Error("a closed ear hears")
	}
}
