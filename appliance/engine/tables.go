package engine

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// Gateway is the active one of a segment.
type Gateway struct {
	Peer  drawbridge.PeerID
	Epoch drawbridge.Epoch
}

// View is what one peer makes the tables of one overlay from. The routes are those of package topology: the same trees that
// user space goes by.
type View struct {
	Self     drawbridge.PeerID
	Segments map[drawbridge.SegmentID]Gateway // all segments of the overlay; peer 0: nobody is active
	Next     map[drawbridge.PeerID]drawbridge.PeerID
	Children map[drawbridge.PeerID][]drawbridge.PeerID
	MTU      map[drawbridge.PeerID]int
	Less     int                              // octets that fit less than MTU says, for what protects the underlay
	Remote   map[drawbridge.PeerID]netip.Addr // of the adjacent peers, in the underlay

	Apart bool                       // user space carries some of the overlay: what the kernel does not reach is there all the same
	Whole map[drawbridge.PeerID]bool // peers to which the kernel carries the whole way (phase Some)
}

// fallbackMTU is taken where the mesh does not know yet what fits: an underlay of 1,500 octets and room for what it may add.
const fallbackMTU = 1400

// Table is what the kernel is told of an overlay. An attachment that cannot be reached is left out.
func (d Decisions) Table(v View) kernel.Table {
	t := kernel.Table{
		Peers: map[kernel.Short]kernel.Peer{}, Children: map[kernel.Short][]kernel.Short{},
		Gateways: map[drawbridge.SegmentID]kernel.Short{},
	}
	adjacent := d.adjacent(v)
	fits := fallbackMTU - v.Less
	for i, id := range v.reached() {
		if mtu := v.fits(id); i == 0 || mtu < fits {
			fits = mtu
		}
	}
	for _, a := range d.Attachments {
		gateway, inOverlay := v.Segments[a.Segment]
		if a.Segment != 0 && !inOverlay {
			continue
		}
		p := kernel.Peer{MaySend: a.Segment == 0 || gateway.Peer == a.Peer, Segment: a.Segment, Local: a.Peer == v.Self, MTU: fits}
		if p.MaySend {
			p.Epoch = gateway.Epoch
		}
		p.Whole = p.Local || v.Whole[a.Peer]
		if !p.Local && !v.route(a.Peer, adjacent, &p) {
			if v.Next[a.Peer] == 0 || !v.Apart {
				continue
			}
			p = kernel.Peer{Apart: true, MaySend: p.MaySend, Segment: p.Segment, Epoch: p.Epoch}
		}
		t.Peers[a.Short] = p
		if a.Segment != 0 && p.MaySend {
			t.Gateways[a.Segment] = a.Short
		}
		if p.Apart {
			continue // nobody floods it by the kernel
		}
		for _, c := range v.Children[a.Peer] {
			if s := adjacent[c]; s != 0 && c != a.Peer {
				t.Children[a.Short] = append(t.Children[a.Short], s)
			}
		}
		slices.Sort(t.Children[a.Short])
	}
	return t
}

// adjacent are the peers that frames can be handed to directly, with their guests' short ids.
func (d Decisions) adjacent(v View) map[drawbridge.PeerID]kernel.Short {
	all := map[drawbridge.PeerID]kernel.Short{}
	for id, addr := range v.Remote {
		if s := d.Short(id, 0); s != 0 && addr.IsValid() && id != v.Self {
			all[id] = s
		}
	}
	return all
}

func (v View) reached() (all []drawbridge.PeerID) {
	for id := range v.Next {
		all = append(all, id)
	}
	return all
}

// route fills in how an attachment elsewhere is reached, and from whom its floods are taken: from the next peer of the same
// tree. Between adjacent peers frames never take a detour of the same length: a neighbour must be one for the programs, too.
func (v View) route(to drawbridge.PeerID, adjacent map[drawbridge.PeerID]kernel.Short, p *kernel.Peer) bool {
	parent := v.Next[to]
	via := parent
	if adjacent[to] != 0 {
		via = to
	}
	if v.Apart && adjacent[parent] == 0 {
		parent = via // it floods by user space, so it has none
	}
	if adjacent[via] == 0 || adjacent[parent] == 0 {
		return false
	}
	p.Remote, p.Via, p.Parent = v.Remote[via], adjacent[via], adjacent[parent]
	p.MTU = v.fits(to)
	return true
}

// fits is the largest frame that reaches a peer whole.
func (v View) fits(id drawbridge.PeerID) int { return cmp.Or(v.MTU[id], fallbackMTU) - v.Less }
