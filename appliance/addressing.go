package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/ipam"
	addresskeeper "github.com/drawbridge-net/drawbridge/ipam/keeper"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

var _ web.Addresser = (*Node)(nil)

// addressError is an error of the address management in the words of the API.
func addressError(err error) error {
	for from, to := range map[error]error{
		ipam.ErrTaken: web.ErrConflict, ipam.ErrKept: web.ErrConflict, ipam.ErrOutside: web.ErrNotFound, ipam.ErrUnknown: web.ErrNotFound, ipam.ErrSubnet: web.ErrInvalid,
		ipam.ErrExhausted: web.ErrUnavailable, ipam.ErrUnable: web.ErrUnavailable, addresskeeper.ErrEnded: web.ErrUnavailable,
	} {
		if !errors.Is(err, from) {
			continue
		}
		if errors.Is(to, web.ErrNotFound) {
			err = fmt.Errorf("%w; drawbridge ipam show has the subnets, drawbridge ipam list what is given", err)
		}
		return repliedError{err.Error(), to}
	}
	return err
}

// Subnets implements web.Node.
func (n *Node) Subnets(ctx context.Context) (out []web.Subnet, err error) {
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) {
		for _, prefix := range p.Subnets() {
			if v, ok := p.View(prefix); ok {
				out = append(out, subnetView(&v, p))
			}
		}
	})
	d := n.network.inForce()
	for i := range out {
		for _, s := range d.Subnets {
			if s.CIDR == out[i].Subnet {
				out[i].Overlays = append(out[i].Overlays, s.Overlay)
				out[i].Server = serverOf(s).String()
			}
		}
	}
	return out, addressError(err)
}

func subnetView(v *ipam.View, p *ipam.Peer) web.Subnet {
	s := web.Subnet{Subnet: v.Subnet.String(), Able: true, Used: v.Used, Waiting: v.Waiting, Unreceived: v.Unheld}
	if err := p.Unable(); err != nil {
		s.Able, s.Reason = false, err.Error()
	}
	for _, share := range v.Shares {
		s.Ring = append(s.Ring, web.SubnetShare{Prefix: share.Prefix.String(), Peer: v.Names[share.Owner], Life: fmt.Sprintf("%08x", share.Owner.Life)})
	}
	const saturated = 1<<32 - 1
	for _, st := range v.Statuses {
		q := web.SubnetPeer{Peer: v.Names[st.Holder], Free: int(st.Free), FreeBlocks: int(st.FreeBlocks), DryS: int(st.Exhaustion)}
		if st.Exhaustion == saturated {
			q.DryS = 0
		}
		if st.Holder == p.Me() {
			s.Free = q.Free
		}
		s.FreeAll += q.Free
		s.Peers = append(s.Peers, q)
	}
	slices.SortFunc(s.Peers, func(a, b web.SubnetPeer) int { return compare(a.Peer, b.Peer) })
	return s
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Addresses implements web.Node.
func (n *Node) Addresses(ctx context.Context, everywhere bool) (out []web.Address, err error) {
	var rows []ipam.Row
	if err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) { rows = p.List() }); err != nil {
		return nil, addressError(err)
	}
	for _, r := range rows {
		out = append(out, n.addressOf(r))
	}
	if everywhere {
		out = append(out, n.addressesOfOthers(ctx)...)
		slices.SortStableFunc(out, func(a, b web.Address) int {
			x, _ := netip.ParseAddr(a.Address)
			y, _ := netip.ParseAddr(b.Address)
			return x.Compare(y)
		})
	}
	return out, nil
}

func (n *Node) addressOf(r ipam.Row) web.Address {
	a := web.Address{Address: r.Addr.String(), Use: r.Use, Owner: r.Owner, Peer: r.Peer, At: string(n.creds.Name)}
	if !r.Until.IsZero() {
		until := r.Until.UTC().Truncate(time.Second)
		a.Until = &until
	}
	if c, ok := n.guest(r.Owner); ok {
		a.MAC, a.Host, a.Port = c.MAC.String(), c.Host, c.Port
	}
	return a
}

// reachablePeers are the other peers that can be asked.
func (n *Node) reachablePeers() (out []mesh.PeerStatus) {
	for _, p := range n.router.Peers() {
		if p.ID != n.creds.ID() && p.State != mesh.StateUnreachable && p.State != mesh.StateLeft {
			out = append(out, p)
		}
	}
	return out
}

// askAll asks all peers that can be reached at once. heard is called for each, by several goroutines.
func (n *Node) askAll(ctx context.Context, q addressQuestion, heard func(mesh.PeerStatus, addressReply, error)) {
	var group sync.WaitGroup
	for _, p := range n.reachablePeers() {
		group.Go(func() {
			r, err := n.askAddresses(ctx, p.ID, q)
			if err != nil {
				n.log.Debug("a peer does not answer about addresses", "peer", p.Name, "err", err)
			}
			heard(p, r, err)
		})
	}
	group.Wait()
}

// addressesOfOthers are those of all peers that answer.
func (n *Node) addressesOfOthers(ctx context.Context) (out []web.Address) {
	var mu sync.Mutex
	n.askAll(ctx, addressQuestion{Op: opRows}, func(_ mesh.PeerStatus, r addressReply, _ error) {
		mu.Lock()
		defer mu.Unlock()
		out = append(out, r.Rows...)
	})
	return out
}

// WhyAddress implements web.Node.
func (n *Node) WhyAddress(ctx context.Context, a string) (web.AddressWhy, error) {
	addr, err := netip.ParseAddr(a)
	if err != nil {
		return web.AddressWhy{}, fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	out := web.AddressWhy{Address: addr.String()}
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) { out.Why = p.Why(addr) })
	return out, addressError(err)
}

// AddressCounts implements web.Node.
func (n *Node) AddressCounts(ctx context.Context) (out web.AddressCounts, err error) {
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) {
		c := p.Counts()
		out = web.AddressCounts{Given: c.Given, Refused: c.Refused, Donated: c.Blocks, Received: c.Received, Conflicts: c.Conflict, Foreign: c.Foreign}
		for _, pl := range p.Pools() {
			q := web.PoolCounts{Subnet: pl.Subnet, Able: pl.Able, Blocks: pl.Blocks, Free: pl.Free, Allocated: pl.Allocated, Entries: pl.Entries, DryS: pl.Exhaustion}
			if pl.Exhaustion == 1<<32-1 {
				q.DryS = 0
			}
			out.Pools = append(out.Pools, q)
		}
	})
	return out, addressError(err)
}

// patience of a request by hand.
const patience = 5 * time.Second

// AllocateAddress implements web.Node.
func (n *Node) AllocateAddress(ctx context.Context, q web.AddressRequest) (web.Address, error) {
	r := ipam.Request{Owner: q.Owner, For: time.Duration(q.ForS) * time.Second, Patience: patience}
	var err error
	if q.Address != "" {
		if r.Addr, err = netip.ParseAddr(q.Address); err != nil {
			return web.Address{}, fmt.Errorf("%w: address: %w", web.ErrInvalid, err)
		}
	} else if r.Subnet, err = n.subnetFor(ctx, q.Subnet); err != nil {
		return web.Address{}, err
	}
	a, err := n.allocateProbed(ctx, r)
	if err != nil {
		return web.Address{}, addressError(err)
	}
	n.changed.tell()
	return n.addressOf(ipam.Row{Addr: a.Addr, Use: "allocated", Owner: q.Owner, Until: n.addresses.Time(a.Until)}), nil
}

// allocateProbed looks on the wire for who uses an address before it is given for the first time. A claim by hand is not
// looked for: most often it is made for somebody who uses the address already.
func (n *Node) allocateProbed(ctx context.Context, r ipam.Request) (a ipam.Answer, err error) {
	if r.Addr.IsValid() {
		return n.addresses.Allocate(ctx, r)
	}
	have, err := n.givenTo(ctx, r.Subnet, r.Owner)
	if err != nil {
		return a, err
	}
	for range mostTaken {
		if a, err = n.addresses.Allocate(ctx, r); err != nil || a.Addr == have {
			return a, err
		}
		if err = n.probe(ctx, r.Subnet, a.Addr); !errors.Is(err, ipam.ErrTaken) {
			return a, err
		}
	}
	return a, err
}

// subnetFor is the subnet that is meant: the only one, when none was named. Who was told that a configuration is in force may ask
// at once, and the voters divide a new subnet a second later: it is waited for.
func (n *Node) subnetFor(ctx context.Context, named string) (netip.Prefix, error) {
	p, err := n.subnetMeant(named)
	if err != nil {
		return p, err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		known, changed := n.addresses.Subnets()
		if slices.Contains(known, p) || !slices.Contains(configured(n.network.inForce()), p) {
			return p, nil // of one that is in neither it is said what is wrong with it
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-late.C:
			return p, fmt.Errorf("%w: subnet %s is in the configuration, but the voters have divided nothing of it: see drawbridge voters", web.ErrUnavailable, p)
		case <-changed:
		}
	}
}

func (n *Node) subnetMeant(named string) (p netip.Prefix, err error) {
	if named != "" {
		if p, err = netip.ParsePrefix(named); err != nil {
			err = fmt.Errorf("%w: subnet: %w", web.ErrInvalid, err)
		}
		return p, err
	}
	switch all := configured(n.network.inForce()); len(all) {
	case 0:
		return p, fmt.Errorf("%w: the network has no subnet: add [[subnet]] with drawbridge config edit", web.ErrInvalid)
	case 1:
		return all[0], nil
	default:
		return p, fmt.Errorf("%w: the network has %d subnets: name one of %v", web.ErrInvalid, len(all), all)
	}
}

// configured are the subnets of a configuration.
func configured(d *netconfig.Document) (all []netip.Prefix) {
	for _, s := range d.Subnets {
		if p, err := netip.ParsePrefix(s.CIDR); err == nil && !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// ReleaseAddress implements web.Node.
func (n *Node) ReleaseAddress(ctx context.Context, a string) error {
	err := n.releaseHere(ctx, a)
	if !errors.Is(err, web.ErrNotFound) {
		return err
	}
	for _, row := range n.addressesOfOthers(ctx) {
		if row.Address != a || !slices.Contains([]string{ipam.Mine.String(), ipam.Borrowed.String(), ipam.Foreign.String()}, row.Use) {
			continue
		}
		for _, p := range n.reachablePeers() {
			if p.Name == drawbridge.PeerName(row.At) {
				_, err = n.askAddresses(ctx, p.ID, addressQuestion{Op: opRelease, Address: a})
				return err
			}
		}
	}
	return err
}

// releaseHere frees an address that this peer gave.
func (n *Node) releaseHere(ctx context.Context, text string) error {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	var failed error
	err = n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) { failed = p.Release(now, a) })
	n.changed.tell()
	return addressError(errors.Join(err, failed))
}
