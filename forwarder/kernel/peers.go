package kernel

import (
	"fmt"
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
)

// Peer is one attachment of the overlay, here or elsewhere.
type Peer struct {
	Local   bool                 // it is here
	MaySend bool                 // guests, or the active gateway of Segment: others' frames are of a tenure that is over
	Segment drawbridge.SegmentID // what it is attached to; 0: guests
	Epoch   drawbridge.Epoch     // tenure, for display
	Remote  netip.Addr           // next hop's address in the underlay
	Via     Short                // next hop's number
	Parent  Short                // neighbour whose copies of its floods are taken
	MTU     int                  // largest frame that fits
}

// SetPeer tells the kernel where an attachment is.
func (e *Engine) SetPeer(short Short, p Peer) error {
	row := peer{Flags: flagPresent, Segment: uint32(p.Segment), Via: uint32(p.Via), Parent: uint32(p.Parent), MTU: uint32(p.MTU), Epoch: uint64(p.Epoch)}
	if p.Local {
		row.Flags |= flagLocal
	}
	if p.MaySend {
		row.Flags |= flagMaySend
	}
	if p.Remote.IsValid() {
		row.Remote = addressOf(p.Remote)
	}
	if p.Remote.IsValid() && p.Via == short {
		if err := e.maps[mapNeighbours].Put(addressOf(p.Remote), uint32(short)); err != nil {
			return fmt.Errorf("neighbour %d: %w", short, err)
		}
	}
	if err := e.maps[mapPeers].Put(uint32(short), row); err != nil {
		return fmt.Errorf("peer %d: %w", short, err)
	}
	return nil
}

// SetChildren says to which neighbours floods of an origin are passed on.
func (e *Engine) SetChildren(origin Short, to []Short) error {
	if len(to) > maxChildren {
		return fmt.Errorf("flood tree of %d: %d neighbours, at most %d", origin, len(to), maxChildren)
	}
	var c children
	c.N = uint16(len(to))
	for i, s := range to {
		c.Child[i] = uint16(s)
	}
	return e.maps[mapTree].Put(uint32(origin), c)
}
