package appliance

import (
	"cmp"
	"slices"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// announce tells the segment's switches where the stations of the overlay are now.
func (p *port) announce() {
	p.mu.Lock()
	a := p.attached
	p.mu.Unlock()
	if a == nil {
		return
	}
	for batch := range slices.Chunk(p.announcements(announce.Most), announce.Burst) {
		a.Inject(batch)
	}
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

// stationAddress is the port's own; zero when the interface is not there.
func (p *port) stationAddress() drawbridge.MAC {
	i, err := hostnet.Find(p.interfaceName())
	if err != nil {
		return drawbridge.MAC{}
	}
	return i.MAC
}
