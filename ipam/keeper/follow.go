package keeper

import (
	"context"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/ipam"
)

// wish is what the peer wants of the voters.
type wish struct {
	mu    sync.Mutex // guards what follows
	admit ipam.Holder
	need  uint32 // others have applied decisions up to this number
	able  bool
}

// set reports whether it is something new to ask for.
func (w *wish) set(admit ipam.Holder, need uint32, able bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	news := admit != w.admit && admit != ipam.Holder{} || need > w.need || w.able && !able
	w.admit, w.need, w.able = admit, need, able
	return news
}

func (w *wish) get() (admit ipam.Holder, behind, able bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.admit, w.need != 0, w.able
}

// Rhythm of asking the voters. A question that failed is asked again soon and ever more seldom, so that a thousand peers
// of a network without a majority do not keep its voters busy.
const (
	askSoon   = 250 * time.Millisecond
	askSeldom = 15 * time.Second
	// renewals in one lease: a peer that is cut off keeps at least fifteen sixteenths of it.
	renewals = 16
	// confirmAgain bounds what a peer that cannot renew costs the voters: each confirmed read is an entry of their log.
	confirmAgain = time.Second
)

// follow keeps the peer's decisions up to date and its space lease renewed until ctx ends.
func (k *Keeper) follow(ctx context.Context) {
	pause, renewAt := askSoon, ipam.Instant(0) // renewAt: no read is confirmed before
	for ctx.Err() == nil {
		changed := k.c.Decisions.Changed()
		d, err := k.once(ctx, &renewAt)
		admit, behind, able := k.wish.get()
		switch {
		case err != nil:
			k.c.Log.Debug("decisions about addresses not heard", "err", err)
			fallthrough
		case admit != ipam.Holder{} || behind || !able:
			pause = min(2*pause, askSeldom)
		default:
			pause = askSoon
		}
		wait := pause
		if err == nil && able && !behind {
			wait = max(askSoon, min(time.Duration(renewAt-k.c.Now()), time.Duration(d.Lease)))
		}
		k.await(ctx, changed, wait, &pause)
	}
}

// await returns when it is time to ask again. What is new is worth asking soon, but not at once every time.
func (k *Keeper) await(ctx context.Context, changed <-chan struct{}, wait time.Duration, pause *time.Duration) {
	floor := time.NewTimer(askSoon / 5)
	defer floor.Stop()
	select {
	case <-ctx.Done():
		return
	case <-floor.C:
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
		*pause = askSoon
	case <-k.kick:
		*pause = askSoon
	case <-t.C:
	}
}

// once asks: to be admitted, when the peer wants that; then what is decided, confirmed by a majority when the space
// lease is due.
func (k *Keeper) once(ctx context.Context, renewAt *ipam.Instant) (d ipam.Decided, err error) {
	if admit, _, _ := k.wish.get(); admit != (ipam.Holder{}) {
		if err := k.c.Decisions.Admit(ctx, admit); err != nil {
			return d, err
		}
	}
	asked := k.c.Now()
	confirm := asked >= *renewAt
	if d, err = k.c.Decisions.Known(ctx); err != nil {
		return d, err
	}
	var member bool
	for _, m := range d.Members {
		member = member || m.Peer == k.c.Peer.Self && m.Removed == 0
	}
	if confirm = confirm && member; confirm { // the others have no lease to renew
		asked = k.c.Now()
		*renewAt = asked.Add(confirmAgain) // if this one fails, or does not make the peer able
		if d, err = k.c.Decisions.Confirmed(ctx); err != nil {
			return d, err
		}
	}
	if d.Number == 0 {
		return d, nil
	}
	var refused error
	if err = k.Do(ctx, func(p *ipam.Peer, now ipam.Instant) {
		if refused = p.Decide(now, d); refused == nil && confirm {
			p.Renewed(now, asked)
		}
		k.subnets.set(p.Subnets())
	}); err != nil {
		return d, err
	}
	if refused != nil {
		k.c.Log.Error("decisions about addresses cannot be applied", "reason", refused)
		return d, refused
	}
	if _, _, able := k.wish.get(); confirm && able {
		*renewAt = asked.Add(time.Duration(d.Lease) / renewals)
	}
	return d, nil
}
