package appliance

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/ipam/dhcp"
)

// leases is the address management as the DHCP server needs it.
type leases struct{ n *Node }

var _ dhcp.Leases = leases{}

// Patience of requests: below the four seconds after which a client asks again (RFC 2131 §4.1), and for a wanted address
// short enough that another can be found in time.
const (
	wantedFor = time.Second
	anyFor    = 2 * time.Second
	// movedFor bounds how long a new guest waits for what other peers know of it; they answer within a round trip.
	movedFor = 500 * time.Millisecond
)

// mostTaken is how many addresses in a row may turn out to be somebody else's before the guest has to ask again.
const mostTaken = 3

// Allocate implements dhcp.Leases. An address that the guest does not have yet is looked for on the wire before it is
// offered; one that somebody else uses is foreign from then on.
func (l leases) Allocate(ctx context.Context, subnet netip.Prefix, c dhcp.Client, wanted netip.Addr, hold time.Duration) (netip.Addr, time.Time, error) {
	l.n.noteGuest(c)
	r := ipam.Request{Subnet: subnet, Owner: c.Key, For: hold, Patience: anyFor}
	have, err := l.n.givenTo(ctx, subnet, c.Key)
	if err != nil {
		return netip.Addr{}, time.Time{}, err
	}
	if have.IsValid() {
		return l.ask(ctx, r)
	}
	if had := l.n.hadElsewhere(ctx, subnet, c.Key); had.IsValid() {
		if until, err := l.claim(ctx, r, had); err == nil {
			return had, until, nil
		}
	}
	if subnet.Contains(wanted) {
		w := r
		w.Addr, w.Patience = wanted, wantedFor
		if a, until, err := l.askProbed(ctx, w, c.MAC); err == nil {
			return a, until, nil
		}
	}
	for range mostTaken {
		a, until, err := l.askProbed(ctx, r, c.MAC)
		if !errors.Is(err, dhcp.ErrTaken) {
			return a, until, err
		}
	}
	return netip.Addr{}, time.Time{}, dhcp.ErrTaken
}

// Renew implements dhcp.Leases. A guest that has moved here takes along what another peer gave it.
func (l leases) Renew(ctx context.Context, subnet netip.Prefix, c dhcp.Client, addr netip.Addr, lease time.Duration) (time.Time, error) {
	l.n.noteGuest(c)
	if !subnet.Contains(addr) {
		return time.Time{}, dhcp.ErrUnknown
	}
	r := ipam.Request{Subnet: subnet, Owner: c.Key, Addr: addr, For: lease, Patience: anyFor}
	have, err := l.n.givenTo(ctx, subnet, c.Key)
	if err != nil {
		return time.Time{}, err
	}
	if !have.IsValid() {
		switch had := l.n.hadElsewhere(ctx, subnet, c.Key); {
		case had == addr:
			return l.claim(ctx, r, addr)
		case had.IsValid():
			return time.Time{}, dhcp.ErrTaken // it is offered the one that it has, once it looks for any
		}
		_, until, err := l.askProbed(ctx, r, c.MAC)
		return until, err
	}
	_, until, err := l.ask(ctx, r)
	return until, err
}

// claim takes over an address that the guest had at another peer: it is the guest's, so nobody is asked on the wire. A
// borrowed one is on its way back to its lender for a moment.
func (l leases) claim(ctx context.Context, r ipam.Request, a netip.Addr) (until time.Time, err error) {
	const tries, pause = 8, 100 * time.Millisecond
	r.Addr = a
	for range tries {
		if _, until, err = l.ask(ctx, r); !errors.Is(err, dhcp.ErrTaken) {
			return until, err
		}
		select {
		case <-ctx.Done():
			return until, ctx.Err()
		case <-time.After(pause):
		}
	}
	return until, err
}

// askProbed asks for an address that the guest does not have yet, and answers it when nobody on the wire has it.
func (l leases) askProbed(ctx context.Context, r ipam.Request, guest drawbridge.MAC) (netip.Addr, time.Time, error) {
	a, until, err := l.ask(ctx, r)
	if err != nil {
		return a, until, err
	}
	if err = l.n.probe(ctx, r.Subnet, a, guest); err != nil {
		return netip.Addr{}, time.Time{}, leaseError(err)
	}
	return a, until, nil
}

// Release implements dhcp.Leases.
func (l leases) Release(ctx context.Context, subnet netip.Prefix, c dhcp.Client, addr netip.Addr) error {
	return l.giveUp(ctx, subnet, c, addr, func(p *ipam.Peer, now ipam.Instant) error { return p.Release(now, addr) })
}

// Decline implements dhcp.Leases.
func (l leases) Decline(ctx context.Context, subnet netip.Prefix, c dhcp.Client, addr netip.Addr) error {
	return l.giveUp(ctx, subnet, c, addr, func(p *ipam.Peer, now ipam.Instant) error {
		return p.Foreign(now, addr, "somebody whom "+c.MAC.String()+" found there", true)
	})
}

func (l leases) giveUp(ctx context.Context, subnet netip.Prefix, c dhcp.Client, addr netip.Addr, do func(*ipam.Peer, ipam.Instant) error) error {
	have, err := l.n.givenTo(ctx, subnet, c.Key)
	if err != nil || have != addr {
		return errors.Join(err, dhcp.ErrUnknown)
	}
	var failed error
	err = l.n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) { failed = do(p, now) })
	l.n.addresses.lookouts.forget(addr)
	return leaseError(errors.Join(err, failed))
}

func (l leases) ask(ctx context.Context, r ipam.Request) (netip.Addr, time.Time, error) {
	a, err := l.n.addresses.Allocate(ctx, r)
	if err != nil {
		return netip.Addr{}, time.Time{}, leaseError(err)
	}
	return a.Addr, l.n.addresses.Time(a.Until), nil
}

// leaseError is an error of the address management in the words of the server. Whoever cannot be asked keeps its lease.
func leaseError(err error) error {
	for from, to := range map[error]error{ipam.ErrTaken: dhcp.ErrTaken, ipam.ErrOutside: dhcp.ErrUnknown, ipam.ErrUnknown: dhcp.ErrUnknown} {
		if errors.Is(err, from) {
			return errors.Join(to, err)
		}
	}
	return err
}

// givenTo is the address of a subnet that this peer gave an owner; invalid when there is none.
func (n *Node) givenTo(ctx context.Context, subnet netip.Prefix, owner string) (have netip.Addr, err error) {
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) {
		all := p.Lookup(owner)
		if i := slices.IndexFunc(all, subnet.Contains); i >= 0 {
			have = all[i]
		}
	})
	return have, err
}

// hadElsewhere asks all other peers at once whether one of them gave an owner an address of a subnet, and tells that one that the
// owner is here now; invalid when none says so in time.
func (n *Node) hadElsewhere(ctx context.Context, subnet netip.Prefix, owner string) (had netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, movedFor)
	defer cancel()
	peers := n.reachablePeers()
	answers := make(chan string, len(peers))
	for _, p := range peers {
		go func() {
			r, err := n.askAddresses(ctx, p.ID, addressQuestion{Op: opMoved, Owner: owner, Subnet: subnet.String()})
			if err != nil {
				n.log.Debug("not heard whether a guest has moved", "peer", p.Name, "err", err)
			}
			answers <- r.Address
		}()
	}
	for range peers {
		select {
		case a := <-answers:
			if addr, err := netip.ParseAddr(a); err == nil && subnet.Contains(addr) {
				return addr
			}
		case <-ctx.Done():
			return had
		}
	}
	return had
}

// movedHere answers such a question.
func (n *Node) movedHere(ctx context.Context, q addressQuestion) (r addressReply, err error) {
	subnet, err := netip.ParsePrefix(q.Subnet)
	if err != nil {
		return r, err
	}
	err = n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) {
		if a, ok := p.Moved(now, subnet, q.Owner); ok {
			r.Address = a.String()
		}
	})
	return r, err
}
