package forwarder

import (
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// lateFor is how long after the news of a tenure frames of the one before may still be taken in. A datagram that waits for
// a thread of a busy host waits for some slices of the scheduler, 3 to 4 ms each; it is half of the default lease's term.
const lateFor = 20 * time.Millisecond

// tenure is who bridges a segment, and since which epoch. It never changes.
type tenure struct {
	active drawbridge.PeerID
	epoch  drawbridge.Epoch

	before drawbridge.PeerID // who had the one before, if its frames may be late
	past   drawbridge.Epoch  // and under which number
	until  time.Duration
}

// next is the tenure that follows on t; its number is the same when only its gateway has come or gone. Frames of the one before
// may be late if the voters gave both: then its gate was shut before this one's opened.
func (t *tenure) next(active drawbridge.PeerID, epoch drawbridge.Epoch, now time.Duration) *tenure {
	n := &tenure{active: active, epoch: epoch}
	switch {
	case epoch == t.epoch:
		n.before, n.past, n.until = t.before, t.past, t.until
	case t.epoch != 0 && t.active != 0 && !t.epoch.Elected() && !epoch.Elected():
		n.before, n.past, n.until = t.active, t.epoch, now+lateFor
	}
	return n
}

// late reports whether a frame from the mesh that is stale was only overtaken: its gateway sent it to us alone before it
// handed the segment over, and nobody else did. A flood may have come to both gateways (docs/protocol/handover.md, "Late").
func (s *segment) late(h *drawbridge.Header, f drawbridge.Frame, now time.Duration) bool {
	t := s.tenure.Load()
	return h.Epoch == t.past && h.Origin == t.before && now < t.until && h.Dest != 0 && f[0]&1 == 0
}
