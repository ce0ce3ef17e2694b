package forwarder

import (
	"bytes"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// fates of frames at one switch: every frame has one.
type fates struct {
	dropped, sent, written int
	limited                int // dropMACLimit: the frame went on
}

func (o *office) fates(n *node) (all fates) {
	count := func(d *drops) {
		for r := range d {
			all.dropped += int(d[r].Load())
		}
		all.limited += int(d[dropMACLimit].Load())
	}
	count(&n.sw.drops)
	for _, a := range n.sw.all() {
		count(&a.drops)
		all.written += int(a.txFrames.Load())
	}
	all.dropped -= all.limited
	all.sent = len(o.log)
	return all
}

// since is what happened after before.
func (f fates) since(before fates) fates {
	return fates{f.dropped - before.dropped, f.sent - before.sent, f.written - before.written, f.limited - before.limited}
}

// acquainted is an office whose first gateway is open and knows somebody at each kind of place.
func acquainted(t testing.TB) *office {
	o := newOffice(t)
	o.a.open(5)
	o.host.say(drawbridge.Broadcast, 0)
	for _, s := range o.everywhere {
		s.say(drawbridge.Broadcast, 0)
	}
	o.now += settle
	return o
}

func seedFrames(f *testing.F, add func(frame []byte, o drawbridge.Offload)) {
	f.Helper()
	one := address(1)
	for _, dst := range []drawbridge.MAC{drawbridge.Broadcast, address(1), address(2), address(3), address(100), address(99)} {
		for _, src := range []drawbridge.MAC{address(1), address(2), address(100), address(50), drawbridge.Broadcast} {
			add(frame(dst, src, 1), drawbridge.Offload{})
		}
	}
	for _, p := range []drawbridge.Packet{porttest.Super(drawbridge.GSOTCPv4, 3000, 1400), porttest.Super(drawbridge.GSOUDP, 3000, 1400)} {
		copy(p.Frame, one[:])
		add(p.Frame, p.Offload)
	}
	for _, c := range answers {
		b := big(f, c.frame)
		copy(b, one[:])
		add(b, drawbridge.Offload{})
	}
	add(nil, drawbridge.Offload{})
	add(make([]byte, 13), drawbridge.Offload{GSO: 0xff, HeaderLen: 0xffff, SegmentSize: 0xffff})
}

// FuzzPumpFrame has a port take any frame: it is dropped for one reason, or goes somewhere.
func FuzzPumpFrame(f *testing.F) {
	seedFrames(f, func(b []byte, o drawbridge.Offload) {
		for _, fromSegment := range []bool{false, true} {
			f.Add(b, o.Flags, o.GSO, o.HeaderLen, o.SegmentSize, o.ChecksumStart, o.ChecksumOffset, uint16(1300), fromSegment)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, flags, gso uint8, header, size, start, offset, mtu uint16, fromSegment bool) {
		o := acquainted(t)
		n, at := o.nodes[1], o.wires[1].ports[0]
		if fromSegment {
			at = o.a
		}
		for id := range drawbridge.PeerID(4) {
			o.mtu[id] = int(mtu)
		}
		for range 2 {
			before := o.fates(n)
			own := make(drawbridge.Frame, len(b), len(b)+256)
			copy(own, b)
			at.pump.now = o.now
			at.pump.take([]drawbridge.Packet{{Frame: own, Offload: drawbridge.Offload{
				Flags: flags, GSO: gso, HeaderLen: header, SegmentSize: size, ChecksumStart: start, ChecksumOffset: offset,
			}}})
			got := o.fates(n).since(before)
			answered := int(at.drops[dropTooBig].Load())
			switch {
			case answered > 0 && got.dropped == 1 && got.sent == 0 && got.written <= 1:
			case got.dropped == 0 && got.sent+got.written >= 1 && got.sent <= 1:
			case got.dropped == 1 && got.sent == 0 && got.written == 0:
			case refused(o.a)+refused(o.wires[1].ports[0]) >= got.dropped && got.sent <= 1: // it went on, but not all took it
			default:
				t.Fatalf("%+v, %v", got, at.Status().Drops)
			}
			if got.limited != 0 {
				t.Fatalf("%d not learned", got.limited)
			}
		}
	})
}

// refused is how many frames the port did not take, which in memory are those that are too big.
func refused(at *attachment) int { return at.dropped(dropPort) }

// FuzzDeliver has the mesh deliver any frame with any header: it is dropped, or every port of its overlay gets it or
// says why not, or the one that has its destination does.
func FuzzDeliver(f *testing.F) {
	office := uint32(drawbridge.SegmentIDOf("office"))
	seedFrames(f, func(b []byte, o drawbridge.Offload) {
		for _, h := range []struct {
			origin, vni, segment uint32
			epoch                uint64
			unicast              bool
		}{{1, 7, 0, 0, false}, {3, 7, 0, 0, true}, {3, 7, office, 6, false}, {3, 7, office, 4, true}, {3, 8, office, 1 << 63, false}, {2, 7, 1, 1, false}} {
			f.Add(b, o.Flags, o.GSO, o.HeaderLen, o.SegmentSize, h.origin, h.vni, h.segment, h.epoch, h.unicast)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, flags, gso uint8, header, size uint16, origin, vni, segment uint32, epoch uint64, unicast bool) {
		o := acquainted(t)
		n := o.nodes[1]
		h := drawbridge.Header{Origin: drawbridge.PeerID(origin), VNI: drawbridge.VNI(vni), Segment: drawbridge.SegmentID(segment), Epoch: drawbridge.Epoch(epoch)}
		if unicast {
			h.Dest = n.id
		}
		offload := drawbridge.Offload{Flags: flags, GSO: gso, HeaderLen: header, SegmentSize: size}
		ports := len((*n.sw.ports.Load())[h.VNI])
		for range 2 {
			before, given := o.fates(n), h
			n.r.Deliver(&given, &drawbridge.Packet{Frame: bytes.Clone(b), Offload: offload})
			n.r.Flush()
			got := o.fates(n).since(before)
			fates := got.dropped + got.written
			if got.sent != 0 || got.limited != 0 || fates != 1 && fates != ports || given != h {
				t.Fatalf("%+v: %+v with %d ports; %v", h, got, ports, n.sw.Drops())
			}
			if r := o.vlan.Worst(); r > 1 && h.Segment == o.a.cfg.Segment {
				t.Fatalf("%+v: put back onto its segment", h)
			}
		}
	})
}
