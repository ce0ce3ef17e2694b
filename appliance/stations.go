package appliance

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// stationsChannel is the name under which the active gateway tells the others of its segment where stations are: who
// only listens never sees the guests that do not broadcast, and could neither announce nor find them.
const stationsChannel = "stations"

// stationsAtOnce keeps a message well below what one may be.
const stationsAtOnce = 500

// stationsTold is when a port's stations were told of, as Unix milliseconds, and how many there were.
type stationsTold struct{ at, count atomic.Int64 }

// sendStations tells where the stations of a port's overlay are, in as many messages as it takes.
func (n *Node) sendStations(p *port, send func(*handover.Message)) {
	id := drawbridge.SegmentIDOf(p.segment.Name)
	m := handover.Message{Kind: handover.Stations, Segment: id, VNI: p.vni()}
	for _, e := range n.sw.MACs() {
		s := handover.Station{MAC: e.MAC, Age: uint16(min(e.Seen/time.Second, 1<<16-1))}
		switch {
		case e.VNI != p.vni() || e.Segment != 0 && e.Segment != id:
			continue
		case e.Segment == 0 && e.Peer != 0:
			s.Peer = e.Peer
		case e.Segment == 0:
			s.Peer = n.creds.ID()
		}
		m.Stations = append(m.Stations, s)
		if len(m.Stations) == stationsAtOnce {
			send(&m)
			m.Stations = nil
		}
	}
	send(&m)
}

// takeStations notes where another gateway of the segment knows stations to be.
func (n *Node) takeStations(p *port, all []handover.Station) {
	id := drawbridge.SegmentIDOf(p.segment.Name)
	stations := make([]forwarder.Station, 0, len(all))
	for _, s := range all {
		t := forwarder.Station{MAC: s.MAC, Peer: s.Peer, Age: time.Duration(s.Age) * time.Second}
		if s.Peer == 0 {
			t.Segment = id
		}
		stations = append(stations, t)
	}
	n.sw.Teach(p.vni(), stations)
	p.stations.at.Store(time.Now().UnixMilli())
	p.stations.count.Store(int64(len(all)))
}

// tellStations tells the other gateways of the segments that are open here.
func (n *Node) tellStations() {
	for _, p := range n.ports {
		if p.segment == nil {
			continue
		}
		if _, open := p.gate.Permit(); !open {
			continue
		}
		others := n.gatewaysOf(p.segment.Name)
		if len(others) == 0 {
			continue
		}
		n.sendStations(p, func(m *handover.Message) {
			for _, o := range others {
				if err := n.router.Send(o.ID, stationsChannel, append([]byte(p.segment.Name+"\x00"), m.Append(nil)...)); err != nil {
					n.log.Debug("stations were not told", "peer", o.Name, "err", err)
				}
			}
		})
	}
}

// gatewaysOf are the other gateways of a segment that can be reached.
func (n *Node) gatewaysOf(segment string) (all []mesh.PeerStatus) {
	_, others := n.peers()
	for _, o := range others {
		on := slices.ContainsFunc(o.Ports, func(w wire.Port) bool { return w.Kind == wire.PortSegment && w.SegmentName == segment })
		if on && o.State != mesh.StateUnreachable && o.State != mesh.StateLeft {
			all = append(all, o)
		}
	}
	return all
}

// stationNews is the channel on which the active gateway tells.
type stationNews struct{ node *Node }

var _ mesh.Channel = stationNews{}

// Receive takes what the active gateway of one of our segments knows; nobody else is believed.
func (c stationNews) Receive(from drawbridge.PeerID, msg []byte) {
	at := slices.Index(msg, 0)
	if at < 0 {
		return
	}
	var m handover.Message
	if handover.Parse(msg[at+1:], &m) != nil || m.Kind != handover.Stations || c.node.activeOf(string(msg[:at])) != from {
		return
	}
	for _, p := range c.node.ports {
		if p.segment != nil && p.segment.Name == string(msg[:at]) {
			c.node.takeStations(p, m.Stations)
		}
	}
}

// State is empty: it is told again soon.
func (stationNews) State() []byte { return nil }

// Merge has nothing to do.
func (stationNews) Merge(drawbridge.PeerID, []byte) {}

// checkStations looks whether the active gateway has told of its stations lately.
func (n *Node) checkStations(c *checklist, p *port) {
	if _, open := p.gate.Permit(); open {
		c.good("stations", fmt.Sprintf("%d known", n.sw.Len()))
		return
	}
	at := p.stations.at.Load()
	if n.activeOf(p.segment.Name) == 0 {
		c.good("stations", "nobody is active")
		return
	}
	age := time.Since(time.UnixMilli(at))
	if at == 0 {
		c.bad("stations", "the active gateway has not told of any yet", "its table")
		return
	}
	c.check("stations", age < 5*tellReadiness, fmt.Sprintf("%d known, in step %.1f s ago", n.sw.Len(), age.Seconds()), "at most 10 s ago")
}
