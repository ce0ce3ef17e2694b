package wireguard

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Peer is one that this peer has a direct way to.
type Peer struct {
	ID       drawbridge.PeerID
	Name     drawbridge.PeerName
	Key      Key
	Endpoint netip.Addr // in the underlay
	Datagram int        // octets of the largest UDP datagram that the way takes whole; 0: not known
}

// Plan is how the device should be. Two that are equal need no work.
type Plan struct {
	MTU   int
	Peers []Peer // by id
}

// Around is what a frame, Ethernet header included, needs around it in a datagram of the device, in octets: WireGuard's header and tag
// (wireguard.com/protocol; padding never exceeds the device's MTU), then IPv6, UDP and VXLAN (RFC 7348 §5).
const Around = sealed + 40 + 8 + 8

const (
	sealed   = 16 + 16
	leastMTU = 1280 // below it the kernel has no IPv6 on an interface (RFC 8200 §5); what is larger than the way takes is fragmented outside
)

// datagram is what an Ethernet without jumbo frames takes.
func datagram(endpoint netip.Addr) int {
	if endpoint.Is4() {
		return 1500 - 20 - 8
	}
	return 1500 - 40 - 8
}

// Make plans the device of a peer. Peers that would share a key or an inner address with another, or with this one, are left out, both of
// them: the device would give the address to whoever came last. why names one.
func Make(self drawbridge.PeerID, key Key, peers []Peer) (p Plan, why string) {
	keys, ids := map[Key]int{key: 1}, map[drawbridge.PeerID]int{self: 1}
	for _, o := range peers {
		keys[o.Key]++
		ids[o.ID]++
	}
	for _, o := range peers {
		if keys[o.Key] > 1 || ids[o.ID] > 1 || o.ID == 0 || o.Key == (Key{}) {
			why = fmt.Sprintf("%s shares its WireGuard key or its inner address %s with another peer", o.Name, Inner(o.ID))
			continue
		}
		o.Endpoint = o.Endpoint.Unmap().WithZone("")
		mtu := cmp.Or(o.Datagram, datagram(o.Endpoint)) - sealed
		if p.MTU == 0 || mtu < p.MTU {
			p.MTU = mtu
		}
		p.Peers = append(p.Peers, o)
	}
	p.MTU = max(p.MTU, leastMTU)
	slices.SortFunc(p.Peers, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return p, why
}

// step is what becomes of one peer's entry in the device.
type step struct {
	peer   Peer
	remove bool
}

// steps lead from one plan to the next. What goes is first: an address that moves to a new key must not be the old one's any more.
func (p Plan) steps(next Plan) (all []step) {
	for _, old := range p.Peers {
		if i := slices.IndexFunc(next.Peers, func(n Peer) bool { return n.ID == old.ID }); i < 0 || next.Peers[i].Key != old.Key {
			all = append(all, step{old, true})
		}
	}
	for _, n := range next.Peers {
		i := slices.IndexFunc(p.Peers, func(old Peer) bool { return old.ID == n.ID })
		if i < 0 || p.Peers[i].Key != n.Key || p.Peers[i].Endpoint != n.Endpoint {
			all = append(all, step{n, false})
		}
	}
	return all
}

// shaken is how old a handshake may be: devices shake hands every two minutes and believe no session that is older than three
// (Reject-After-Time, wireguard.com/papers/wireguard.pdf §6.1).
const shaken = 190 * time.Second

// Unheard is why a peer is not reached, by when it shook hands last; empty: all are.
func (p Plan) Unheard(last map[drawbridge.PeerID]time.Time, now time.Time) string {
	for _, o := range p.Peers {
		if now.Sub(last[o.ID]) > shaken {
			return fmt.Sprintf("no WireGuard handshake with %s: UDP port %d must pass in both directions", o.Name, Port)
		}
	}
	return ""
}
