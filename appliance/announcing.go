package appliance

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/ipam/arp"
)

// announceOrder asks for an announcement.
type announceOrder struct {
	port   *port
	tenure bool   // a gate has opened; else switches may have forgotten, and the gate may be shut
	reason string // for the log
}

// announce tells the segment's switches where the stations of the overlay are now: the most recent at once, the rest
// paced, and all again twice. It only asks for it.
func (p *port) announce() {
	if p.segment == nil {
		return
	}
	p.flushBridge()
	p.order(announceOrder{port: p, tenure: true, reason: "tenure"})
}

// announceAgain does so when the switches may have forgotten while the gate was open. A flapping wire is answered ever
// more rarely, so anybody may ask at any rate.
func (p *port) announceAgain(reason string) {
	if p.segment != nil {
		p.order(announceOrder{port: p, reason: reason})
	}
}

func (p *port) order(o announceOrder) {
	select {
	case p.node.announcing <- o:
	default: // it is about to begin
	}
}

// topologyChanged hears, in ALONE's goroutine, that the switches' tree has changed: they forget where stations are, and flood
// until they are told.
func (n *Node) topologyChanged(id alone.PortID) {
	if p := n.portOf(id); p != nil {
		p.announceAgain("the spanning tree of the segment has changed")
	}
}

// announceStations does what is asked for, until ctx ends.
func (n *Node) announceStations(ctx context.Context) error {
	runs := map[*port]*announcing{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-n.announcing:
			if runs[o.port] == nil {
				runs[o.port] = &announcing{port: o.port}
			}
			runs[o.port].take(n.elapsed(), o)
		case <-timer.C:
		}
		next, any := time.Duration(0), false
		for _, a := range runs {
			if at, more := a.step(n.elapsed()); more && (!any || at < next) {
				next, any = at, true
			}
		}
		if any {
			timer.Reset(next - n.elapsed())
		}
	}
}

// announcing is what a port announces.
type announcing struct {
	port     *port
	frames   []drawbridge.Packet
	schedule announce.Schedule
	again    announce.Again
	reason   string
}

// take notes what is asked for. This host's own addresses are told of with every new epoch and never otherwise: who is
// thought to have been active all the time may not have been, and whoever was knows it by its epoch.
func (a *announcing) take(now time.Duration, o announceOrder) {
	if !o.tenure {
		a.again.Ask()
		a.reason = o.reason
		return
	}
	a.again.Began(now)
	a.frames = append(a.port.ownAddresses(), a.port.announcements(announce.Most)...)
	a.schedule.Begin(now, len(a.frames))
}

// step sends what is due, through the gate like all frames, and answers when more is.
func (a *announcing) step(now time.Duration) (at time.Duration, more bool) {
	a.port.mu.Lock()
	to := a.port.attached
	a.port.mu.Unlock()
	if _, open := a.port.gate.Permit(); !open || to == nil { // another gateway announces them
		a.schedule, a.frames = announce.Schedule{}, nil
		a.again.Began(now) // and when the gate opens, all is told anyway
		return 0, false
	}
	if a.again.Due(now) {
		a.frames = a.port.announcements(announce.Most)
		a.schedule.Begin(now, len(a.frames))
		a.port.node.log.Info("stations are announced again", "port", a.port.name(), "stations", len(a.frames), "reason", a.reason)
	}
	first, last := a.schedule.Due(now)
	to.Inject(slices.Clone(a.frames[first:last]))
	at, more = a.schedule.Wake(now)
	if due, asked := a.again.Wake(); asked && (!more || due < at) {
		at, more = due, true
	}
	return at, more
}

// ownAddresses are the frames that tell the segment of this host's own addresses there.
func (p *port) ownAddresses() (frames []drawbridge.Packet) {
	own, err := hostnet.Addresses(p.interfaceName(), p.segment.VLAN)
	if err != nil {
		p.node.log.Warn("this host's addresses on the segment are not announced", "port", p.name(), "err", err)
	}
	for _, o := range own {
		frames = append(frames, drawbridge.Packet{Frame: arp.AnnounceFrame(o.Addr, o.MAC)})
	}
	return frames
}

// announcements are the frames that announce the overlay's stations, at most so many, those first that were heard last.
func (p *port) announcements(most int) (frames []drawbridge.Packet) {
	all := p.node.sw.MACs()
	slices.SortStableFunc(all, func(a, b forwarder.MAC) int { return cmp.Compare(a.Seen, b.Seen) })
	for _, m := range all {
		if len(frames) < most && m.VNI == p.vni() && m.Segment != drawbridge.SegmentIDOf(p.segment.Name) {
			frames = append(frames, drawbridge.Packet{Frame: announce.Frame(m.MAC)})
		}
	}
	return frames
}

// flushBridge makes a kernel bridge that the segment's interface is a port of forget what it learned there: it would go
// on sending the overlay's stations to where they were.
func (p *port) flushBridge() {
	if i := p.wire.Load(); i == nil || i.Master == 0 {
		return
	}
	path := filepath.Join("/sys/class/net", filepath.Base(p.interfaceName()), "brport", "flush")
	if err := os.WriteFile(path, []byte("1"), 0); err != nil && !os.IsNotExist(err) {
		p.node.log.Warn("the kernel's bridge did not forget its addresses", "port", p.name(), "err", err)
	}
}

// hail has every peer of the overlay turn to this gateway now: a switch is taught by any frame, and so are they.
func (p *port) hail() {
	p.mu.Lock()
	to := p.attached
	p.mu.Unlock()
	if own := p.stationAddress(); to != nil && own != (drawbridge.MAC{}) {
		to.Hail(announce.Frame(own))
	}
}
