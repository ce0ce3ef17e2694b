package appliance

import (
	"context"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
	"github.com/drawbridge-net/drawbridge/web"
)

// Inheritance implements web.Node.
func (n *Node) Inheritance(ctx context.Context, peer string) (web.Inheritance, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	d, err := decisions{n}.Known(ctx)
	if err != nil {
		return web.Inheritance{}, addressError(err)
	}
	return n.inheritance(ctx, d, peer)
}

// inheritance is what the next decision would bring about if it ended a peer's part.
func (n *Node) inheritance(ctx context.Context, d ipam.Decided, peer string) (out web.Inheritance, err error) {
	m, ok := memberNamed(d, peer)
	if !ok {
		return out, web.Missing(web.KindGiver, peer)
	}
	next, _, err := addresskeeper.Remove(d, m.Peer, n.addressWorld())
	if err != nil {
		return out, addressError(err)
	}
	out = web.Inheritance{Peer: peer, Life: fmt.Sprintf("%08x", m.Life), WaitS: int((d.Longest + d.Longest/100) / int64(time.Second))}
	if i := slices.IndexFunc(next.Members, func(o ipam.Member) bool { return o.Holder == m.Holder }); i >= 0 && next.Members[i].Heir != 0 {
		out.Heir = string(n.nameOfPeer(next.Members[i].Heir))
	}
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) {
		for _, l := range p.Forget(m.Holder) {
			out.Parts = append(out.Parts, web.InheritedPart{Subnet: l.Subnet, Parts: l.Blocks})
		}
	})
	return out, addressError(err)
}

// memberNamed is the life of a peer that takes part.
func memberNamed(d ipam.Decided, peer string) (ipam.Member, bool) {
	i := slices.IndexFunc(d.Members, func(m ipam.Member) bool { return m.Removed == 0 && string(m.Name) == peer })
	if i < 0 {
		return ipam.Member{}, false
	}
	return d.Members[i], true
}

// ForgetAddresses implements web.Node.
func (n *Node) ForgetAddresses(ctx context.Context, peer string) (web.Inheritance, error) {
	out, err := n.Inheritance(ctx, peer)
	if err != nil {
		return out, err
	}
	d, err := decisions{n}.ask(ctx, addressQuestion{Op: opForget, Peer: peer})
	if err != nil {
		return out, addressError(err)
	}
	for _, m := range d.Members {
		if fmt.Sprintf("%08x", m.Life) == out.Life && string(m.Name) == peer && m.Heir != 0 {
			out.Heir = string(n.nameOfPeer(m.Heir)) // as decided, which may differ from what was foreseen
		}
	}
	n.addresses.Wake()
	n.changed.tell()
	return out, nil
}

// forgetAddresses has the voters end a peer's part.
func (n *Node) forgetAddresses(ctx context.Context, from drawbridge.PeerID, peer string) (ipam.Decided, error) {
	d, err := n.changeAddresses(ctx, func(d ipam.Decided) (ipam.Decided, bool, error) {
		m, ok := memberNamed(d, peer)
		if !ok {
			return d, false, web.Missing(web.KindGiver, peer)
		}
		return addresskeeper.Remove(d, m.Peer, n.addressWorld())
	})
	if err == nil {
		n.log.Info("the part of a peer in giving addresses is ended", "peer", peer, "by", n.nameOfPeer(from))
	}
	return d, err
}
