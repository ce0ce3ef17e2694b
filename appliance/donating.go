package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// DonateAddresses implements web.Addresser. Space on its way is nobody's, so it is not sent to a peer that cannot be reached.
func (n *Node) DonateAddresses(ctx context.Context, q web.AddressDonation) (out web.AddressGift, err error) {
	d, err := n.donation(ctx, q)
	if err != nil {
		return out, err
	}
	here := slices.ContainsFunc(n.reachablePeers(), func(p mesh.PeerStatus) bool { return p.Name == drawbridge.PeerName(d.To) })
	var g ipam.Gift
	var refused error
	err = n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) {
		g, refused = p.Gift(now, d)
		if refused == nil && here && !q.DryRun {
			g, refused = p.Donate(now, d)
		}
	})
	switch {
	case err != nil:
		return out, addressError(err)
	case refused != nil:
		return out, addressError(refused)
	case !here:
		return out, fmt.Errorf("%w: peer %s cannot be reached; space that is on its way to it could be used by nobody", web.ErrUnavailable, d.To)
	}
	out = web.AddressGift{Subnet: d.Subnet.String(), To: d.To, Addresses: int(g.Free), Left: g.Left}
	for _, part := range g.Parts {
		out.Parts = append(out.Parts, part.String())
	}
	if !q.DryRun {
		n.changed.tell()
	}
	return out, nil
}

// donation is what is asked for in the words of the address management.
func (n *Node) donation(ctx context.Context, q web.AddressDonation) (d ipam.Donation, err error) {
	d = ipam.Donation{To: q.To, Count: q.Count}
	if q.Part == "" {
		d.Subnet, err = n.subnetFor(ctx, q.Subnet)
		return d, err
	}
	if d.Part, err = netip.ParsePrefix(q.Part); err != nil {
		return d, fmt.Errorf("%w: part: %w", web.ErrInvalid, err)
	}
	if q.Subnet != "" || q.Count != 0 {
		return d, fmt.Errorf("%w: a part says which subnet and how much: leave out subnet and count", web.ErrInvalid)
	}
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) {
		all := p.Subnets()
		if i := slices.IndexFunc(all, func(s netip.Prefix) bool { return s.Contains(d.Part.Addr()) }); i >= 0 {
			d.Subnet = all[i]
		}
	})
	if err == nil && !d.Subnet.IsValid() {
		return d, fmt.Errorf("%v is in no subnet of the network: %w; drawbridge ipam show has them", d.Part, web.ErrNotFound)
	}
	return d, addressError(err)
}
