package forwarder

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

func typed(dst drawbridge.MAC, etherType uint16) drawbridge.Frame {
	f := frame(dst, address(1), 1)
	binary.BigEndian.PutUint16(f[12:], etherType)
	return f
}

// TestProtocolsOfOneWireStayThere sends each to a guest port and to a segment port, from the mesh and into it, bare
// and behind tags.
func TestProtocolsOfOneWireStayThere(t *testing.T) {
	frames := map[string]drawbridge.Frame{
		"ALONE":              typed(drawbridge.MAC{3, 0x44, 0x42, 0x41, 0x4c, 0x4f}, etherTypeALONE),
		"ALONE to everybody": typed(drawbridge.Broadcast, etherTypeALONE),
		"LLDP":               typed(drawbridge.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, etherTypeLLDP),
		"LLDP to everybody":  typed(drawbridge.Broadcast, etherTypeLLDP),
		"LACP":               typed(drawbridge.MAC{1, 0x80, 0xc2, 0, 0, 2}, etherTypeSlow),
		"LACP to one":        typed(address(2), etherTypeSlow),
		"pause":              typed(drawbridge.MAC{1, 0x80, 0xc2, 0, 0, 1}, etherTypePause),
		"pause to one":       typed(address(2), etherTypePause),
		"CDP":                typed(drawbridge.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xcc}, 40),
		"PVST+":              typed(drawbridge.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xcd}, 50),
	}
	for i := range byte(16) {
		frames["bridge group "+string("0123456789abcdef"[i])] = typed(drawbridge.MAC{1, 0x80, 0xc2, 0, 0, i}, 38)
	}
	for name, f := range frames {
		for tags, tagged := range []drawbridge.Packet{
			{Frame: f},
			porttest.Tagged(drawbridge.Packet{Frame: f}, 0x8100, 100),
			porttest.Tagged(porttest.Tagged(drawbridge.Packet{Frame: f}, 0x8100, 100), 0x88a8, 10),
		} {
			o := newOffice(t)
			o.a.open(5)
			o.guest.send(drawbridge.Packet{Frame: slices.Clone(tagged.Frame)})
			o.host.send(drawbridge.Packet{Frame: slices.Clone(tagged.Frame)})
			c := captured(3, address(9), 6, 1)
			c.packet.Frame = tagged.Frame
			o.nodes[1].deliver(c)
			o.settle()
			n := o.wires[0].ports[0].dropped(dropLinkLocal) + o.a.dropped(dropLinkLocal) + o.nodes[1].dropped(dropLinkLocal)
			if n != 3 || len(o.log) != 0 {
				t.Errorf("%s behind %d tags: %d of 3 dropped, %d crossed", name, tags, n, len(o.log))
			}
		}
	}
}

func TestNeighboursOfTheFilterPass(t *testing.T) {
	for name, f := range map[string]drawbridge.Frame{
		"group after the bridges'":  typed(drawbridge.MAC{1, 0x80, 0xc2, 0, 0, 0x10}, 38),
		"registration (MVRP)":       typed(drawbridge.MAC{1, 0x80, 0xc2, 0, 0, 0x21}, 0x88f5),
		"unicast like the bridges'": typed(drawbridge.MAC{0, 0x80, 0xc2, 0, 0, 0}, 0x800),
		"before Cisco's":            typed(drawbridge.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xcb}, 40),
		"after Cisco's":             typed(drawbridge.MAC{1, 0, 0xc, 0xcc, 0xcc, 0xce}, 40),
		"IPv4 group":                typed(drawbridge.MAC{1, 0, 0x5e, 0, 0, 1}, 0x800),
		"IPv6 group":                typed(drawbridge.MAC{0x33, 0x33, 0, 0, 0, 1}, 0x86dd),
		"reverse ARP":               typed(drawbridge.Broadcast, 0x8035),
		"tag without contents":      typed(drawbridge.Broadcast, 0x8100)[:14],
	} {
		if why, ok := admit(f); !ok {
			t.Errorf("%s: %s", name, reasonNames[why])
		}
	}
}

func TestFramesThatNobodyCanHaveSent(t *testing.T) {
	for want, frames := range map[reason][]drawbridge.Frame{
		dropShort: {nil, {}, frame(address(2), address(1), 0)[:13]},
		dropBadSource: {
			frame(address(2), drawbridge.Broadcast, 0), frame(address(2), drawbridge.MAC{1, 0, 0x5e, 0, 0, 1}, 0), frame(address(2), drawbridge.MAC{}, 0),
		},
	} {
		for i, f := range frames {
			fab, _ := hosts(t, 2)
			at := fab.wires[0].ports[0]
			at.pump.take([]drawbridge.Packet{{Frame: f}})
			fab.nodes[0].deliver(carried{drawbridge.Header{Origin: 2, VNI: 7}, drawbridge.Packet{Frame: f}})
			if at.dropped(want) != 1 || fab.nodes[0].dropped(want) != 1 || len(fab.log) != 0 || fab.nodes[0].sw.Len() != 0 {
				t.Errorf("%s %d: %v, %v", reasonNames[want], i, at.Status().Drops, fab.nodes[0].sw.Drops())
			}
		}
	}
}

// TestNobodySpeaksForAGateway: a guest uses the address of the other gateway's interface, of which the active one hears
// hellos only. Written to the segment, its frames would teach the switches there a wrong port.
func TestNobodySpeaksForAGateway(t *testing.T) {
	o := newOffice(t)
	o.a.open(5)
	hello := typed(drawbridge.MAC{3, 0x44, 0x42, 0x41, 0x4c, 0x4f}, etherTypeALONE)
	gateway := address(77)
	copy(hello[6:], gateway[:])
	spoofed := frame(drawbridge.Broadcast, gateway, 1)
	for range 10 {
		if _, err := o.b.port.WriteBatch([]drawbridge.Packet{{Frame: hello}}); err != nil {
			t.Fatal(err)
		}
		o.settle()
		o.now += 50 * time.Millisecond
		o.guest.send(drawbridge.Packet{Frame: spoofed})
		o.atA.send(drawbridge.Packet{Frame: spoofed})
	}
	if n := o.vlan.Copies(spoofed); n != 0 || o.nodes[1].dropped(dropEcho) != 10 {
		t.Errorf("%d frames on the segment", n)
	}
	if n := o.vlan.Copies(hello); n != 10 || o.a.Status().MACs != 1 {
		t.Errorf("%d hellos on the segment", n)
	}
}
