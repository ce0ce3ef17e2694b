package appliance

import (
	"context"
	"fmt"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/web"
)

// followCarriers tells the ports of cables that come and go. The kernel says so within a millisecond; a packet socket
// on an interface without a carrier just stays silent.
func (n *Node) followCarriers(ctx context.Context) error {
	return hostnet.Watch(ctx, func(i hostnet.Interface, gone bool) {
		for _, p := range n.ports {
			if p.interfaceName() == i.Name {
				if p.stands(i, gone) {
					p.carrier(false)
				}
				p.carrier(i.Carrier && !gone)
			}
		}
	})
}

// stands keeps what the kernel said of the port's interface last, and reports whether the carrier was lost meanwhile, be
// it back or not: the cable may be in another switch now (docs/protocol/alone.md). Who asks the kernel instead waits while any interface
// of the host is being switched on or off (up to 7 ms were measured), which is when a gateway has to take over.
func (p *port) stands(i hostnet.Interface, gone bool) (lost bool) {
	if gone {
		i = hostnet.Interface{}
	}
	last := p.wire.Swap(&i)
	return last != nil && i.Interrupted(*last)
}

// stationAddress is the port's own; zero when the interface is not there.
func (p *port) stationAddress() drawbridge.MAC {
	if i := p.wire.Load(); i != nil {
		return i.MAC
	}
	return drawbridge.MAC{}
}

// carrier takes note of a cable. A gateway whose VLAN is gone gives the segment up at once, so that the other need not
// wait for the lease to end.
func (p *port) carrier(up bool) {
	if p.unplugged.Swap(!up) == !up {
		return
	}
	p.node.alone.Carrier(p.aloneID(), up)
	e := web.Event{Level: web.LevelInfo, Kind: "carrier_up", Port: p.name(), Text: fmt.Sprintf("port %s has a carrier", p.name())}
	if !up {
		if p.gate != nil {
			p.gate.Shut()
			p.yield()
		}
		e.Level, e.Kind, e.Text = web.LevelWarn, "carrier_lost", fmt.Sprintf("port %s lost its carrier", p.name())
		e.Reason = noCarrier
	}
	if up {
		p.announceAgain("the port came up")
	}
	if p.segment != nil {
		e.Segment = p.segment.Name
	}
	p.node.log.Warn("carrier changed", "port", p.name(), "up", up)
	p.node.event(e)
	p.node.publish()
}

// noCarrier is why a port that works carries nothing.
const noCarrier = "no carrier: the cable or the far end's port is down"
