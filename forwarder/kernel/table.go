package kernel

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// Short is the number of an attachment in the tunnel header: a peer's guests have one, and each of its segment ports
// has its own. 12 bits; 0 is none.
type Short uint16

// MaxShort is the largest number that 12 bits hold.
const MaxShort Short = 1<<12 - 1

// Peer is one attachment of the overlay, here or elsewhere.
type Peer struct {
	Local   bool                 // it is here
	Whole   bool                 // the engine carries the whole way to it: what is for it may be taken in (Known)
	Apart   bool                 // user space alone reaches it: only MaySend, Segment and Epoch are said of it
	MaySend bool                 // guests, or the active gateway of Segment; frames of others are of a tenure that is over
	Segment drawbridge.SegmentID // what it is attached to; 0: guests
	Epoch   drawbridge.Epoch     // tenure under which it may send
	Remote  netip.Addr           // of the next hop in the underlay
	Via     Short                // next hop; its own number, if it is the guests' attachment of a neighbour
	Parent  Short                // neighbour whose copies of its floods are taken
	MTU     int                  // largest frame that fits, in octets from the destination address on; of one that is here: fits everybody
}

// neighbour reports whether p, which has the number short, stands for a neighbour.
func (p Peer) neighbour(short Short) bool { return !p.Local && !p.Apart && p.Via == short }

// Table is what the control plane knows of an overlay.
type Table struct {
	Peers    map[Short]Peer
	Children map[Short][]Short              // by origin: neighbours that its floods are passed on to
	Gateways map[drawbridge.SegmentID]Short // attachment of each segment's active gateway
}

// check tells what is wrong with t.
func (t Table) check() error {
	for short, p := range t.Peers {
		if err := t.checkPeer(short, p); err != nil {
			return fmt.Errorf("short id %d: %w", short, err)
		}
	}
	for origin, to := range t.Children {
		if len(to) > maxChildren {
			return fmt.Errorf("flood tree of %d: %d neighbours, at most %d", origin, len(to), maxChildren)
		}
		if _, ok := t.Peers[origin]; !ok {
			return fmt.Errorf("flood tree of %d: no such attachment", origin)
		}
		for i, s := range to {
			if p, ok := t.Peers[s]; !ok || !p.neighbour(s) || slices.Contains(to[:i], s) {
				return fmt.Errorf("flood tree of %d: %d is no neighbour, or is there twice", origin, s)
			}
		}
	}
	for id, short := range t.Gateways {
		if p, ok := t.Peers[short]; !ok || p.Segment != id || !p.MaySend {
			return fmt.Errorf("segment %d: attachment %d is none of its gateways, or may not send", id, short)
		}
	}
	return nil
}

func (t Table) checkPeer(short Short, p Peer) error {
	switch {
	case short == 0 || short > MaxShort:
		return fmt.Errorf("want 1 to %d", MaxShort)
	case p.Apart && (p.Local || p.Whole):
		return fmt.Errorf("it is reached by user space alone, and is here or reached by the kernel")
	case p.Local, p.Apart:
		return nil
	case !p.Remote.IsValid():
		return fmt.Errorf("no address of the next hop")
	}
	for _, hop := range []Short{p.Via, p.Parent} {
		if n, ok := t.Peers[hop]; !ok || !n.neighbour(hop) {
			return fmt.Errorf("%d is no neighbour", hop)
		}
	}
	if p.Remote != t.Peers[p.Via].Remote {
		return fmt.Errorf("its next hop %d has another address, %s", p.Via, t.Peers[p.Via].Remote)
	}
	return nil
}

// rows is a table as the maps hold it.
type rows struct {
	peers      map[uint32]peer
	neighbours map[address]uint32
	gateways   map[uint32]uint32
	tree       map[uint32]children
}

func newRows() rows {
	return rows{map[uint32]peer{}, map[address]uint32{}, map[uint32]uint32{}, map[uint32]children{}}
}

// rows translates t, which has been checked.
func (t Table) rows() rows {
	r := newRows()
	for short, p := range t.Peers {
		if row := p.row(); row != (peer{}) { // as if it were not there
			r.peers[uint32(short)] = row
		}
		if p.neighbour(short) {
			r.neighbours[addressOf(p.Remote)] = uint32(short)
		}
	}
	for origin, to := range t.Children {
		if len(to) > 0 {
			r.tree[uint32(origin)] = childrenOf(to)
		}
	}
	for id, short := range t.Gateways {
		r.gateways[uint32(id)] = uint32(short)
	}
	return r
}

func (p Peer) row() peer {
	if p.Apart {
		p = Peer{Apart: true, MaySend: p.MaySend, Segment: p.Segment, Epoch: p.Epoch}
	}
	r := peer{Flags: flagPresent, Segment: uint32(p.Segment), Via: uint32(p.Via), Parent: uint32(p.Parent), MTU: uint32(p.MTU), Epoch: uint64(p.Epoch)}
	if p.Apart {
		r.Flags = 0
	}
	if p.Local {
		r.Flags |= flagLocal
	}
	if p.Whole {
		r.Flags |= flagWhole
	}
	if p.MaySend {
		r.Flags |= flagMaySend
	}
	if p.Remote.IsValid() {
		r.Remote = addressOf(p.Remote)
	}
	return r
}

// childrenOf sorts, so that the same neighbours are the same row.
func childrenOf(to []Short) (c children) {
	c.N = uint16(len(to))
	for i, s := range slices.Sorted(slices.Values(to)) {
		c.Child[i] = uint16(s)
	}
	return c
}

// table is the reverse of Table.rows.
func (r rows) table() Table {
	t := Table{Peers: map[Short]Peer{}, Children: map[Short][]Short{}, Gateways: map[drawbridge.SegmentID]Short{}}
	for short, p := range r.peers {
		t.Peers[Short(short)] = p.peer()
	}
	for origin, c := range r.tree {
		for _, s := range c.Child[:c.N] {
			t.Children[Short(origin)] = append(t.Children[Short(origin)], Short(s))
		}
	}
	for id, short := range r.gateways {
		t.Gateways[drawbridge.SegmentID(id)] = Short(short)
	}
	return t
}

func (p peer) peer() Peer {
	q := Peer{
		Local: p.Flags&flagLocal != 0, Whole: p.Flags&flagWhole != 0, Apart: p.Flags&flagPresent == 0, MaySend: p.Flags&flagMaySend != 0,
		Segment: drawbridge.SegmentID(p.Segment), Via: Short(p.Via), Parent: Short(p.Parent), MTU: int(p.MTU), Epoch: drawbridge.Epoch(p.Epoch),
	}
	if p.Remote != (address{}) {
		q.Remote = netip.AddrFrom16(p.Remote).Unmap()
	}
	return q
}
