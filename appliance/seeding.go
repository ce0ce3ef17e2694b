package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
	"github.com/drawbridge-net/drawbridge/mesh"
)

// changeAddresses has the voters replace their decisions by what f makes of them, again and again while another change
// comes first. It returns those that are then in force, as far as this voter knows.
func (n *Node) changeAddresses(ctx context.Context, f func(ipam.Decided) (ipam.Decided, bool, error)) (ipam.Decided, error) {
	if !n.voter.current(ctx) {
		return ipam.Decided{}, n.unknowing()
	}
	state, _ := n.voter.group.State()
	for {
		d, err := readDecided(state.IPAM)
		if err != nil {
			return d, err
		}
		next, ok, refused := f(d)
		if !ok {
			return d, refused
		}
		raw, err := json.Marshal(next)
		if err != nil {
			return d, fmt.Errorf("decisions about addresses: %w", err)
		}
		c := raftgroup.Command{By: string(n.creds.Name), SetIPAM: &raftgroup.SetIPAM{From: d.Number, Decided: raw}}
		if _, err = n.voter.group.Propose(ctx, c); !errors.Is(err, raftgroup.ErrConflict) {
			return next, errors.Join(err, refused)
		}
		if state, err = n.voter.group.Confirmed(ctx, string(n.creds.Name)); err != nil {
			return d, err
		}
	}
}

// seedEvery is how often the leader looks whether something about address space is to be decided.
const seedEvery = time.Second

// decideAddresses keeps the decisions about address space in step with configuration and peers while this voter leads,
// and tells the keeper of new ones.
func (n *Node) decideAddresses(ctx context.Context) error {
	tick := time.NewTicker(seedEvery)
	defer tick.Stop()
	known, said := uint32(0), ""
	for {
		state, changed := n.voter.group.State()
		if state.IPAM.Number != known {
			known = state.IPAM.Number
			n.addresses.decided.tell()
			n.changed.tell()
		}
		if _, here := n.voter.group.Leader(); here {
			said = n.seed(ctx, said)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			continue
		case <-changed:
		}
		select { // many entries are one occasion
		case <-ctx.Done():
			return nil
		case <-time.After(seedEvery / 20):
		}
	}
}

// seed decides what is due. What cannot be decided is said once.
func (n *Node) seed(ctx context.Context, said string) string {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	_, err := n.changeAddresses(ctx, func(d ipam.Decided) (ipam.Decided, bool, error) {
		w := n.addressWorld()
		w.Unused = func(subnet netip.Prefix, decision uint32) bool { return n.unused(ctx, living(d), subnet, decision) }
		return addresskeeper.Next(d, w)
	})
	if err == nil || ctx.Err() != nil {
		return ""
	}
	if err.Error() != said {
		n.log.Error("address space not decided", "err", err)
	}
	return err.Error()
}

// living are the members that are not removed.
func living(d ipam.Decided) (out []drawbridge.PeerID) {
	for _, m := range d.Members {
		if m.Removed == 0 {
			out = append(out, m.Peer)
		}
	}
	return out
}

// addressWorld is what decisions about address space follow from.
func (n *Node) addressWorld() addresskeeper.World {
	reachable := map[drawbridge.PeerID]bool{n.creds.ID(): true}
	for _, p := range n.router.Peers() {
		reachable[p.ID] = p.State != mesh.StateUnreachable && p.State != mesh.StateLeft
	}
	w := addresskeeper.World{Removed: n.creds.Revocations.Revoked, Reachable: func(p drawbridge.PeerID) bool { return reachable[p] }}
	if n.voter != nil {
		state, _ := n.voter.group.State()
		newest, ok := state.Newest()
		_, applied, _ := n.network.standing()
		w.Current = ok && applied == newest.Number
	}
	w.Subnets = addressSpace(n.network.inForce())
	return w
}

// addressSpace is the subnets of a configuration as the address management wants them. One that several overlays have is one space: what
// one of them keeps back is kept back on all.
func addressSpace(d *netconfig.Document) (all []ipam.Subnet) {
	for _, prefix := range configured(d) {
		sub := ipam.Subnet{Shape: ipam.Shape{Prefix: prefix}}
		for _, s := range d.Subnets {
			if p, err := netip.ParsePrefix(s.CIDR); err == nil && p == prefix {
				sub.Reserved = append(sub.Reserved, reserved(s, prefix)...)
			}
		}
		all = append(all, sub)
	}
	return all
}

// reserved are the addresses that a subnet of the configuration keeps back.
func reserved(s netconfig.Subnet, prefix netip.Prefix) (all []ipam.Range) {
	for _, text := range s.Reserved {
		if first, last, err := netconfig.Range(text); err == nil { // others are refused before a configuration is in force
			all = append(all, ipam.Range{First: first, Last: last, Why: "reserved by the network configuration"})
		}
	}
	keep := func(why string, texts ...string) {
		for _, text := range texts {
			if a, err := netip.ParseAddr(text); err == nil && prefix.Contains(a) {
				all = append(all, ipam.Range{First: a, Last: a, Why: why})
			}
		}
	}
	keep("router", s.Router)
	keep("resolver", s.DNS...)
	for _, a := range highest(prefix) {
		all = append(all, ipam.Range{First: a, Last: a, Why: "DHCP server of the peers"})
	}
	return all
}

// highest are the two highest addresses of hosts. One of them is the peers' own. Both are kept, so that it can change with
// the router's address without being a guest's already.
func highest(p netip.Prefix) []netip.Addr {
	_, last, err := netconfig.Range(p.String())
	if err != nil {
		return nil
	}
	if p.Addr().Is4() { // the last one is broadcast
		last = last.Prev()
	}
	return []netip.Addr{last, last.Prev()}
}

// serverOf is the address under which every peer answers on its guest ports: the highest that is not the router's.
func serverOf(s netconfig.Subnet) netip.Addr {
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return netip.Addr{}
	}
	router, _ := netip.ParseAddr(s.Router)
	for _, a := range highest(p) {
		if a != router {
			return a
		}
	}
	return netip.Addr{}
}

// runAddresses is the life of the address management.
func (n *Node) runAddresses(ctx context.Context) error {
	served := make(chan struct{})
	go func() {
		defer close(served)
		n.serveGuests(ctx)
	}()
	named := make(chan struct{})
	go func() {
		defer close(named)
		n.addresses.names.run(ctx)
	}()
	err := n.addresses.Run(ctx)
	<-served
	<-named
	return err
}

// followSubnets has the voters asked until this peer knows the subnets that its configuration has, and no others: without a
// subnet it hears nothing of other peers' decisions, and of its end nobody else tells.
func (n *Node) followSubnets(ctx context.Context) error {
	pause := seedEvery
	defer n.addresses.lookouts.wait()
	for {
		watch := n.changed.watch()
		have, changed := n.addresses.Subnets()
		if sameSubnets(have, configured(n.network.inForce())) {
			pause = seedEvery
		} else {
			n.addresses.Wake()
		}
		n.addresses.lookouts.follow(ctx, n.network.inForce())
		n.bindGuests()
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
			pause = min(2*pause, fetchAgain)
		case <-changed:
			t.Stop()
		case <-watch:
			pause = seedEvery
			t.Stop()
			select { // many changes are one occasion
			case <-ctx.Done():
				return nil
			case <-time.After(seedEvery / 4):
			}
		}
	}
}

// sameSubnets reports whether two lists, in which nothing is twice, have the same subnets in any order.
func sameSubnets(have, want []netip.Prefix) bool {
	return len(have) == len(want) && !slices.ContainsFunc(want, func(w netip.Prefix) bool { return !slices.Contains(have, w) })
}
