package runner

import (
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// SetRule tells what a regent of a port's segment goes by.
func (r *Runner) SetRule(id alone.PortID, rule alone.Rule) {
	r.tell(id, func(p *port) { p.rule.Store(&rule) })
}

// Majority tells whether a majority of the voters answers.
func (r *Runner) Majority(id alone.PortID, answers bool) {
	word := int32(noMajority)
	if answers {
		word = majority
	}
	if p := (*r.table.Load())[id]; p != nil && p.majority.Swap(word) != word {
		r.wakeUp()
	}
}

// SetTerm tells how long leases last.
func (r *Runner) SetTerm(term time.Duration) {
	if r.term.Swap(int64(term)) != int64(term) {
		r.wakeUp()
	}
}

// What is known of the majority; at first nothing.
const (
	majority   = 1
	noMajority = 2
)

// Lapsed tells that this peer's own tenure has ended for want of a majority. It stands for Lease with 0, unless a regent
// goes on.
func (r *Runner) Lapsed(id alone.PortID, epoch drawbridge.Epoch) {
	r.tell(id, func(p *port) {
		p.lapsed.Store(uint64(epoch))
		p.lease.CompareAndSwap(uint64(epoch), 0)
	})
}

// followRule tells the machine what regents go by.
func (r *Runner) followRule(p *port) {
	if rule := p.rule.Load(); rule != nil && rule != p.ruled {
		p.ruled = rule
		r.perform(r.own.machine.SetRule(r.cfg.Now(), p.ID, *rule))
	}
	if word := p.majority.Load(); word != 0 && word != p.counted {
		p.counted = word
		r.perform(r.own.machine.Majority(r.cfg.Now(), p.ID, word == majority))
	}
}

// resolution is by how much a deadline must have moved to be told again.
const resolution = time.Millisecond

// stand tells for how long a regent keeps the gate open. A gate that does not open knows of a newer tenure.
func (r *Runner) stand(p *port) {
	epoch, until := r.own.machine.Regency(r.cfg.Now(), p.ID)
	if p.stood != 0 && p.stood != epoch {
		was := p.stood
		p.stood, p.stoodTo = 0, 0
		r.own.changed = true
		r.cfg.Hooks.Stood(p.ID, was)
	}
	if epoch == 0 || until < p.stoodTo+resolution {
		return
	}
	if !r.cfg.Hooks.Stand(p.ID, epoch, until) {
		r.perform(r.own.machine.Lease(r.cfg.Now(), p.ID, 0))
		return
	}
	r.own.changed = r.own.changed || p.stood != epoch
	p.stood, p.stoodTo = epoch, until
}
