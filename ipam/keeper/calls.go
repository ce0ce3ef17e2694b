package keeper

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
)

// Do has f called with the peer, and returns when all that it changed is on disk. f must not keep the peer.
func (k *Keeper) Do(ctx context.Context, f func(p *ipam.Peer, now ipam.Instant)) error {
	c := call{f, make(chan struct{})}
	select {
	case k.calls <- c:
	case <-k.ended:
		return ErrEnded
	case <-ctx.Done():
		return fmt.Errorf("address management is busy: %w", ctx.Err())
	}
	select {
	case <-c.done:
		return nil
	case <-k.ended:
		return ErrEnded
	case <-ctx.Done():
		return fmt.Errorf("address management is busy: %w", ctx.Err())
	}
}

// Allocate answers a request; its number is the keeper's business. It waits for the disk, and for other peers as long as
// the request has patience. When ctx ends before, the address may have been allocated nevertheless: it is found again
// by its owner.
func (k *Keeper) Allocate(ctx context.Context, r ipam.Request) (ipam.Answer, error) {
	answer := make(chan ipam.Answer, 1)
	err := k.Do(ctx, func(p *ipam.Peer, now ipam.Instant) {
		k.number++
		r.Number = k.number
		k.waiting[r.Number] = answer
		p.Allocate(now, r)
	})
	if err != nil {
		return ipam.Answer{}, err
	}
	select {
	case a := <-answer:
		return a, a.Err
	case <-k.ended:
		return ipam.Answer{}, ErrEnded
	case <-ctx.Done():
		return ipam.Answer{}, fmt.Errorf("allocate from %v for %q: %w", r.Subnet, r.Owner, ctx.Err())
	}
}

// Receive takes a message of another peer. When too many wait it is lost, as on the way: it never waits.
func (k *Keeper) Receive(from drawbridge.PeerID, msg []byte) {
	b := bytes.Clone(msg)
	c := call{do: func(p *ipam.Peer, now ipam.Instant) {
		if err := p.Receive(now, from, b); err != nil {
			k.c.Log.Warn("IPAM message refused", "peer", from, "err", err)
		}
	}}
	select {
	case k.calls <- c:
	default:
	}
}

// Wake has the decisions asked for now.
func (k *Keeper) Wake() { k.ask() }

// Time is an instant of the peer's clock as a time of the wall clock; zero for the zero instant.
func (k *Keeper) Time(t ipam.Instant) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(t - k.c.Now()))
}
