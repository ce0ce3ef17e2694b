package engine

import "time"

// lastsFor is how long a way that worked must be out before it counts: a peer that comes back is reached by TCP first, and
// tells its addresses a moment later. To leave the kernel for that, and enter it again, costs every peer some second of frames,
// while the one peer costs only its own.
const lastsFor = 3 * time.Second

// Patience puts up with links that the kernel cannot use for a while, when it carries the whole overlay already.
type Patience struct{ since time.Time }

// Lasting is those links, once there have been some for long; at once when the kernel does not carry the whole overlay.
func (p *Patience) Lasting(blocked []Blocked, carried bool, now time.Time) []Blocked {
	switch {
	case len(blocked) == 0:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = now
	}
	if carried && now.Sub(p.since) < lastsFor {
		return nil
	}
	return blocked
}
