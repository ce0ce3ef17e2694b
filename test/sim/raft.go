package sim

import (
	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// raft stands for the Raft group: one log, of which only the last configuration matters. Who reaches a majority of the voters
// both ways can have something decided, and everybody hears of it when a link allows it.
type raft struct {
	config lease.Config
	want   []drawbridge.PeerID // voters that an operator wants; nil: those that there are
	floor  uint32              // to be raised in the second step of a change
}

const (
	// decideFor is what a decision takes on a LAN: a disk and a round trip.
	decideFor = 4 * ms
	// pollEvery is how often a node looks for what it has missed.
	pollEvery = 100 * ms
)

// majority reports whether n reaches a majority of the voters of every set.
func (w *world) majority(n *node) bool {
	for _, set := range w.raft.config.Sets {
		up := 0
		for _, id := range set {
			if w.reach(n, w.nodes[id-1]) {
				up++
			}
		}
		if up <= len(set)/2 {
			return false
		}
	}
	return true
}

// decide has a configuration committed, after which everybody hears of it.
func (w *world) decide(n *node, change func(*lease.Config)) {
	c := w.raft.config
	c.Sets = append([][]drawbridge.PeerID(nil), c.Sets...)
	change(&c)
	c.Generation++
	w.raft.config = c
	w.note("%s has generation %d decided: %v, floor %d", n.name, c.Generation, c.Sets, c.Floor)
	for _, o := range w.nodes {
		if w.reach(n, o) {
			o.later(w.now+w.rnd.Int64N(2*ms), control, o.catchUp)
		}
	}
}

// poll keeps a node in step, whatever it missed, and has its own run decided first.
func (n *node) poll() {
	w := n.w
	if !n.bornAsked && w.majority(n) {
		n.bornAsked = true
		n.later(w.now+decideFor+w.rnd.Int64N(decideFor), control, func() {
			if !w.majority(n) {
				n.bornAsked = false
				return
			}
			n.born = max(n.born, w.raft.config.Generation)
			if w.plan.Without.Births {
				n.born = 0
			}
			w.decide(n, func(*lease.Config) {})
		})
	}
	for _, o := range w.nodes {
		if o != n && w.reach(n, o) && o.knows() > n.lease.Generation() {
			n.later(w.now+w.rnd.Int64N(5*ms), control, n.catchUp)
			break
		}
	}
	n.steward()
	n.later(w.now+pollEvery, control, n.poll)
}

// knows is the newest generation that a node has heard of.
func (n *node) knows() uint32 {
	if n.lease == nil {
		return 0
	}
	return n.lease.Generation()
}

// catchUp takes the newest configuration, if it was decided after this run began.
func (n *node) catchUp() {
	c := n.w.raft.config
	if c.Generation <= n.born || n.lease.Generation() >= c.Generation {
		return
	}
	n.withLease(func(now lease.Instant, l *lease.Node, out *lease.Output) {
		if err := l.SetConfig(now, c, out); err != nil {
			n.w.violated("%s: %v", n.name, err)
		}
	})
	n.stand()
}

// steward takes the next step of a change of voters, as failover/steward does.
func (n *node) steward() {
	w := n.w
	c := w.raft.config
	if !w.majority(n) || n.lease.Generation() != c.Generation {
		return
	}
	switch {
	case len(c.Sets) > 1 && c.Floor < w.raft.floor:
		w.decide(n, func(c *lease.Config) { c.Floor = w.raft.floor })
	case len(c.Sets) > 1:
		if n.lease.Retired(n.instant(), c.Sets[1], c.Floor) {
			w.decide(n, func(c *lease.Config) { c.Sets = c.Sets[:1] })
		}
	case w.raft.want != nil:
		want := w.raft.want
		w.raft.want = nil
		w.raft.floor = c.Generation + 1
		w.decide(n, func(c *lease.Config) { c.Sets = [][]drawbridge.PeerID{want, c.Sets[0]} })
	}
}
