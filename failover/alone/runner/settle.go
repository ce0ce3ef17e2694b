package runner

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// settle brings the machine in line with what other goroutines have told.
func (r *Runner) settle(ctx context.Context) {
	table := *r.table.Load()
	for _, p := range slices.Clone(r.own.ports) {
		if table[p.ID] != p {
			r.forget(p)
		}
	}
	for _, p := range table {
		if !r.knows(p) {
			r.adopt(ctx, p)
		}
	}
	r.own.machine.SetTerm(time.Duration(r.term.Load()))
	for _, p := range r.own.ports {
		r.followCarrier(p)
		r.followRule(p)
		r.followClear(p)
	}
	r.carryOut(r.own.machine.Tick(r.cfg.Now()))
	r.own.changed = true
}

// adopt tells the machine of a port and opens its socket. Sequence numbers go on where a removed port of the same id
// ended: the machine counts from 1 again, which neighbours would take for a replay until they have forgotten the
// port, for a minute.
func (r *Runner) adopt(ctx context.Context, p *port) {
	p.base = r.own.spent[p.ID]
	p.last = p.base
	p.seenDown, p.seenClear = p.downs.Load(), p.clears.Load()
	r.own.ports = append(r.own.ports, p)
	slices.SortFunc(r.own.ports, func(a, b *port) int { return cmp.Compare(a.ID, b.ID) })
	r.own.machine.AddPort(alone.Port{ID: p.ID, Segment: p.Segment, Score: p.Score})
	ctx, p.cancel = context.WithCancel(ctx)
	r.own.keepers.Go(func() { r.keep(ctx, p) })
}

func (r *Runner) forget(p *port) {
	p.up = false
	r.perform(r.own.machine.Carrier(r.cfg.Now(), p.ID, false))
	r.own.spent[p.ID] = p.last
	r.own.machine.RemovePort(p.ID)
	r.own.ports = slices.DeleteFunc(r.own.ports, func(o *port) bool { return o == p })
	p.clear.Store(0)
	p.cancel()
}

// followCarrier tells the machine of carriers: a port has one while it is told so and its socket is open.
func (r *Runner) followCarrier(p *port) {
	downs := p.downs.Load()
	up := p.wire != nil && p.carrier.Load()
	if p.up && (!up || downs != p.seenDown) {
		p.up = false
		r.perform(r.own.machine.Carrier(r.cfg.Now(), p.ID, false))
	}
	p.seenDown = downs
	if up && !p.up {
		r.refreshMAC(p)
		p.up = true
		r.perform(r.own.machine.Carrier(r.cfg.Now(), p.ID, true))
	}
}

func (r *Runner) followClear(p *port) {
	if n := p.clears.Load(); n != p.seenClear {
		p.seenClear = n
		r.perform(r.own.machine.Clear(r.cfg.Now(), p.ID))
	}
}

// followLease tells the machine of the lease once the port has listened, and tells it again after whatever made the
// machine forget: the lease layer speaks once a tenure. The wait for an older holder to fall silent counts from then.
func (r *Runner) followLease(p *port) {
	want := drawbridge.Epoch(p.lease.Load())
	drain := p.draining.Load() && want != 0
	if want == p.told && drain == p.drains && (want == 0 || p.clear.Load() != 0) {
		return
	}
	now, m, before := r.cfg.Now(), r.own.machine, p.told
	state := r.stateOf(now, p.ID)
	p.drains = state == alone.Drain
	switch {
	case want == 0 && p.told != 0 && p.lapsed.Swap(0) == uint64(p.told):
		lapsed := p.told
		p.told, p.drains = 0, false
		r.perform(m.Draining(now, p.ID, false))
		r.perform(m.Lapsed(now, p.ID, lapsed))
	case want == 0:
		p.told, p.drains = 0, false
		r.perform(m.Draining(now, p.ID, false)) // or the machine would stay in DRAIN without a lease
		r.perform(m.Lease(now, p.ID, 0))
	case state == alone.Init || state == alone.Listen || state == alone.Blocked:
		p.told = 0
	case want != p.told || state == alone.Passive:
		p.told = want
		r.perform(m.Lease(now, p.ID, want))
	}
	if p.told != 0 && drain != p.drains && (!drain || p.clear.Load() != 0) {
		p.drains = drain
		r.perform(m.Draining(now, p.ID, drain))
		r.own.changed = true
	}
	r.own.changed = r.own.changed || p.told != before
}

// stateOf is asked only while a lease and the machine's view of it differ: listing allocates.
func (r *Runner) stateOf(now time.Duration, id alone.PortID) alone.State {
	for _, s := range r.own.machine.Ports(now) {
		if s.ID == id {
			return s.State
		}
	}
	return alone.Init
}
