package engine

import "time"

// lastsFor is how long a way that worked must be out before it counts: a peer that comes back is reached by TCP first, and
// tells its addresses a moment later. To leave the kernel for that, and enter it again, costs every peer some second of frames,
// while the one peer costs only its own.
const lastsFor = 3 * time.Second

// Patience puts up with what speaks against the kernel for a while, when the kernel carries the overlay already.
type Patience struct{ since time.Time }

// Lasting is why, once it has been there for long; at once when the kernel does not carry the overlay.
func (p *Patience) Lasting(why string, carried bool, now time.Time) string {
	switch {
	case why == "":
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = now
	}
	if carried && now.Sub(p.since) < lastsFor {
		return ""
	}
	return why
}
