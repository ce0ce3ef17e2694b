package engine

import (
	"sync"

	"github.com/drawbridge-net/drawbridge"
)

// Claims are the tenures that gateways have claimed by a frame of their own, ahead of their signed records. A peer in user
// space turns at the first frame of a new gateway; the frames of the kernel carry no epoch, so here it turns at that one. Any
// goroutine may use it.
type Claims struct {
	mu   sync.Mutex // guards what follows
	last map[place]Gateway
	told map[place]drawbridge.Epoch // newest that a record told
}

type place struct {
	segment drawbridge.SegmentID
	vni     drawbridge.VNI
}

// Heard notes that a peer which may bridge the segment claims a tenure.
func (c *Claims) Heard(id drawbridge.SegmentID, vni drawbridge.VNI, g Gateway) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[place]Gateway{}
	}
	if at := (place{id, vni}); g.Epoch > c.last[at].Epoch {
		c.last[at] = g
	}
}

// Newest is who bridges the segment, when the records tell of g; peer 0: of nobody. A claim counts until a record has told of
// its epoch, or of a newer one: from then on records alone say whether that tenure goes on.
func (c *Claims) Newest(id drawbridge.SegmentID, vni drawbridge.VNI, g Gateway) Gateway {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := place{id, vni}
	if g.Peer != 0 && g.Epoch > c.told[at] {
		if c.told == nil {
			c.told = map[place]drawbridge.Epoch{}
		}
		c.told[at] = g.Epoch
	}
	if claim := c.last[at]; claim.Epoch > c.told[at] {
		return claim
	}
	return g
}
