package handover

import (
	"time"

	"github.com/drawbridge-net/drawbridge/failover"
)

// CutOffAfter is how long the active gateway must have reached nobody over the overlay before it leaves the segment: the mesh takes 350 ms to
// see that a link is dead and may find another way in a few hundred more, together about a second. A longer term adds to it: all peers are
// unreachable for a gateway that stands still, or that is reached by way of one.
const CutOffAfter = 600 * time.Millisecond

// CutOff watches whether the active gateway reaches anybody over the overlay. One that does not, and is still answered by a majority of the
// voters, would keep the lease and carry nothing. Zero is ready.
type CutOff struct {
	Term time.Duration // of the lease

	since time.Duration
	once  bool // somebody was reached: a network that starts is not cut off
	alone bool
}

// Look takes how many peers there should be and how many of them are reached, and whether another gateway of the segment answers as a
// voter, and so could take the lease. It answers whether to leave the segment to that one.
func (c *CutOff) Look(now time.Duration, peers, reached int, answers bool) (leave bool) {
	c.once = c.once || reached > 0
	alone := c.once && peers > 0 && reached == 0 && answers
	if alone && !c.alone {
		c.since = now
	}
	c.alone = alone
	return alone && now-c.since >= failover.Patience(CutOffAfter, c.Term)
}
