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
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// announce tells the segment's switches where the stations of the overlay are now: the most recent at once, the rest
// paced, and all again twice. It only asks for it.
func (p *port) announce() {
	if p.segment == nil {
		return
	}
	p.flushBridge()
	select {
	case p.node.announcing <- p:
	default: // it is about to begin
	}
}

// announceStations does what announce asks for, until ctx ends.
func (n *Node) announceStations(ctx context.Context) error {
	runs := map[*port]*announcing{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-n.announcing:
			a := &announcing{port: p, frames: p.announcements(announce.Most)}
			a.schedule.Begin(n.elapsed(), len(a.frames))
			runs[p] = a
		case <-timer.C:
		}
		next, any := time.Duration(0), false
		for p, a := range runs {
			at, more := a.step(n.elapsed())
			if !more {
				delete(runs, p)
			} else if !any || at < next {
				next, any = at, true
			}
		}
		if any {
			timer.Reset(next - n.elapsed())
		}
	}
}

// announcing is one list of stations that is told.
type announcing struct {
	port     *port
	frames   []drawbridge.Packet
	schedule announce.Schedule
}

// step sends what is due, through the gate like all frames, and answers when more is.
func (a *announcing) step(now time.Duration) (at time.Duration, more bool) {
	first, last := a.schedule.Due(now)
	a.port.mu.Lock()
	to := a.port.attached
	a.port.mu.Unlock()
	if _, open := a.port.gate.Permit(); !open || to == nil {
		return 0, false // another gateway announces them
	}
	to.Inject(slices.Clone(a.frames[first:last]))
	return a.schedule.Wake(now)
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
	if i, err := hostnet.Find(p.interfaceName()); err != nil || i.Master == 0 {
		return
	}
	path := filepath.Join("/sys/class/net", filepath.Base(p.interfaceName()), "brport", "flush")
	if err := os.WriteFile(path, []byte("1"), 0); err != nil && !os.IsNotExist(err) {
		p.node.log.Warn("the kernel's bridge did not forget its addresses", "port", p.name(), "err", err)
	}
}

// stationAddress is the port's own; zero when the interface is not there.
func (p *port) stationAddress() drawbridge.MAC {
	i, err := hostnet.Find(p.interfaceName())
	if err != nil {
		return drawbridge.MAC{}
	}
	return i.MAC
}
