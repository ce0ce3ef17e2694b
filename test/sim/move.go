package sim

import (
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
)

// A planned move: the real machines of failover/handover, and a model of the stream and of the frames that both keep.

// move is one planned move of a segment.
type move struct {
	w            *world
	giver, taker *keeper
	g            handover.Giver
	t            handover.Taker
	epoch        drawbridge.Epoch // that is handed over: peers go on hearing of it, or they would drop what is kept for them
	arrival      [2]int64         // of the latest message, to the giver and to the taker: a stream keeps its order
	broken       bool
}

// keeper keeps the frames of one of the two ports, by direction: 0 captured, 1 to be injected.
type keeper struct {
	m       *move
	port    *port
	run     int
	giving  bool
	listing bool
	holding bool
	since   int64 // clock: floods that came before are not shown to it
	tenure  int64 // clock: when the gate was opened under which it keeps; 0: it is not yet
	until   int64 // clock: when the kernel ends the hold
	narrow  bool
	lists   [2]handover.List
	echoes  handover.List
	own     [2][]kept
	given   [2][]kept
	passes  [2]bool
	open    bool
	marked  bool
}

// kept is a frame in memory.
type kept struct {
	h     header
	f     *frame
	flood bool // both gateways may have it
}

// turned tells the giver, once it waits for it, that its switch has turned to the taker.
func (m *move) turned() {
	if m.giver.marked {
		m.give(m.g.Marked(m.giver.port.n.since()))
	}
}

// hash stands for the octets of a frame.
func (f *frame) hash() uint64 {
	if f.kind != probe {
		return uint64(f.kind)<<32 | uint64(f.src)
	}
	return uint64(f.record.flow.index)<<32 | uint64(f.record.sequence)<<8 | 1
}

// moveTo begins a planned move of the segment of p to another gateway.
func (p *port) moveTo(o *node) *move {
	q := o.gateOf(p.segment.id)
	if p.keeper != nil || q == nil || q.keeper != nil || p.n == o || !o.alive() || !p.n.alive() {
		return nil
	}
	m := &move{w: p.n.w}
	m.giver = &keeper{m: m, port: p, run: p.n.run, giving: true}
	m.taker = &keeper{m: m, port: q, run: o.run}
	m.g.Term = p.n.w.raft.config.Term
	p.n.w.note("%s moves segment %d to %s", p.n.name, p.segment.id, o.name)
	p.n.enter(control, func() { m.give(m.g.Begin(p.n.since())) })
	return m
}

// say sends a message of the stream.
func (m *move) say(to *keeper, do func()) {
	from, i := m.giver, 1
	if to == m.giver {
		from, i = m.taker, 0
	}
	w := m.w
	if !w.reach(from.port.n, to.port.n) {
		m.breakOff()
		return
	}
	at := max(w.now+w.links[from.port.n.index][to.port.n.index].delay+w.rnd.Int64N(30e3), m.arrival[i]+1)
	m.arrival[i] = at
	w.at(at, func() {
		if to.port.n.run == to.run {
			to.port.n.enter(control, do)
		}
	})
}

// breakOff ends the stream at both ends.
func (m *move) breakOff() {
	if m.broken {
		return
	}
	m.broken = true
	for _, k := range []*keeper{m.giver, m.taker} {
		if k.port.n.run != k.run {
			continue
		}
		k.port.n.later(m.w.now+ms, control, func() {
			if k.giving {
				m.give(m.g.Broken("the stream ended"))
			} else {
				m.take(m.t.Broken("the stream ended"))
			}
		})
	}
}

// arm has a machine look at the clock again.
func (m *move) arm(k *keeper) {
	deadline, tick := m.t.Deadline(), func() { m.take(m.t.Tick(k.port.n.since())) }
	if k.giving {
		deadline, tick = m.g.Deadline(), func() { m.give(m.g.Tick(k.port.n.since())) }
	}
	if deadline == handover.Never || k.port.n.run != k.run {
		return
	}
	k.port.n.later(k.port.n.clock.when(m.w.now, int64(deadline)), control, tick)
}

func (m *move) give(do []handover.Do) {
	k, n := m.giver, m.giver.port.n
	for _, d := range do {
		switch d {
		case handover.DoList:
			k.port.keeper, k.listing, k.since = k, true, int64(k.port.gate.Since())
			k.tenure = k.since
		case handover.DoPrepare:
			stations := n.sw.table
			m.say(m.taker, func() { m.prepare(stations) })
		case handover.DoHold:
			k.listing, k.holding, k.until = false, true, n.read()+holdFor
			captured, injected := k.lists[0].All(), k.lists[1].All()
			m.say(m.taker, func() { m.taker.seen(captured, injected) })
			m.give(m.g.Held(n.since()))
			return
		case handover.DoYield:
			m.epoch = k.port.held
			had := k.port.held != 0
			k.port.yield(m.taker.port.n.id)
			m.give(m.g.Yielded(n.since(), had))
			return
		case handover.DoNarrow:
			k.narrow = true
			m.say(m.taker, func() { m.take(m.t.End(m.taker.port.n.since(), 1)) })
		case handover.DoEnd, handover.DoDrop:
			k.end()
			m.say(m.taker, func() { m.take(m.t.End(m.taker.port.n.since(), 2)) })
		case handover.DoAbort, handover.DoClose:
			k.end()
			m.say(m.taker, func() { m.take(m.t.Broken("the giver gave up")) })
		}
	}
	m.arm(k)
}

// prepare is the taker's answer to PREPARE, and takes over the giver's stations.
func (m *move) prepare(stations [maxStations]address) {
	k, n := m.taker, m.taker.port.n
	refusal := n.whyNot(k.port)
	if k.port.keeper != nil {
		refusal = "another move"
	}
	for i, a := range stations {
		if at := &n.sw.table[i]; a.known && !at.known && a.at.peer != n.id {
			*at = address{place{peer: a.at.peer, segment: a.at.segment}, n.read() - settle, true}
			if a.at.port != nil {
				at.at = place{peer: m.giver.port.n.id}
			}
		}
	}
	m.take(m.t.Prepare(n.since(), refusal))
}

func (m *move) take(do []handover.Do) {
	k, n := m.taker, m.taker.port.n
	for _, d := range do {
		switch d {
		case handover.DoHold:
			k.port.keeper, k.holding, k.since, k.until = k, true, n.read(), n.read()+holdFor
		case handover.DoReady:
			m.say(m.giver, func() { m.give(m.g.Ready(m.giver.port.n.since())) })
		case handover.DoRefuse, handover.DoAbort:
			m.say(m.giver, func() { m.give(m.g.Refused(m.t.Reason)) })
		case handover.DoOpen:
			m.say(m.giver, func() {
				m.give(m.g.Opened(m.giver.port.n.since()))
				m.turned() // the marker may have been faster
			})
			n.sw.tell(k.port.segment.id, n.id, k.port.held)
			k.openUp()
			n.publish()
			k.port.announceStations()
			k.port.put(k.port.ownFrame(marker))
		case handover.DoRelease:
			k.drain(0)
			k.drain(1)
		case handover.DoDrop, handover.DoClose:
			if d == handover.DoDrop || !k.open {
				k.end()
			} else {
				n.later(m.w.now+2*int64(handover.SettleFor), control, k.end)
			}
			m.say(m.giver, func() { m.give(m.g.Broken("the taker ended")) })
		}
	}
	m.arm(k)
}

// end ends the hold, and drops what is still kept.
func (k *keeper) end() {
	if k.port.keeper == k {
		k.port.keeper = nil
	}
	k.listing, k.holding = false, false
	if k.giving && k.m.epoch != 0 {
		k.m.epoch = 0
		k.port.n.publish()
	}
}

// holdFor is how long the kernel holds at most, as in appliance/keep.
const holdFor = int64(handover.HoldFor + handover.SettleFor)

// holds reports whether frames of the segment are kept although the gate is shut.
func (k *keeper) holds() bool { return k != nil && k.holding && !k.narrow }

// hears reports whether the kernel lets them in for that.
func (k *keeper) hears() bool { return k.holds() && k.port.n.read() < k.until }

// captured takes a frame of the segment, and answers whether it may go on.
func (k *keeper) captured(f *frame) bool {
	switch {
	case k.listing:
		k.lists[0].Add(f.hash())
	case k.giving && k.holding && !k.narrow:
		k.giveCaptured(f)
		return false
	case !k.giving && k.holding:
		return k.fresh(0, kept{f: f, flood: k.flooded(f)})
	}
	return true
}

func (k *keeper) giveCaptured(f *frame) {
	n, m := k.port.n, k.m
	if f.kind == marker {
		if f.src == m.taker.port.mac && !k.marked {
			k.marked = true
			n.later(m.w.now, control, m.turned)
		}
		return
	}
	if !n.elsewhere(f.src) {
		m.say(m.taker, func() { m.taker.theirs(0, kept{f: f}) })
	}
}

// elsewhere reports whether an address is known to be somewhere in the overlay, not behind the segment.
func (n *node) elsewhere(a mac) bool {
	at := n.sw.table[a]
	return at.known && at.at.segment == 0
}

// flooded reports whether a frame of the segment may have reached the giver, too.
func (k *keeper) flooded(f *frame) bool { return f.dst == everybody || !k.port.n.elsewhere(f.dst) }

// injected takes a frame that is to be written to the segment, and answers whether it may go on.
func (k *keeper) injected(h *header, f *frame) bool {
	flood := h.dest == 0
	switch {
	case k.listing:
		k.lists[1].Add(f.hash())
	case k.giving && k.holding:
		if !k.narrow || !flood {
			to := *h
			k.m.say(k.m.taker, func() { k.m.taker.theirs(1, kept{to, f, flood}) })
		}
		return false
	case !k.giving && k.holding:
		return k.fresh(1, kept{*h, f, flood})
	}
	return true
}

// fresh keeps a frame of the taker's own, or lets it pass.
func (k *keeper) fresh(d int, x kept) bool {
	x.flood = x.flood || !k.open
	if !k.passes[d] {
		k.own[d] = append(k.own[d], x)
		return false
	}
	return !x.flood || !k.listed(d, x.f)
}

// listed reports whether the giver has forwarded a frame that both have.
func (k *keeper) listed(d int, f *frame) bool {
	return k.lists[d].Take(f.hash()) && !k.m.w.plan.Without.List
}

// theirs hears a frame that the giver kept.
func (k *keeper) theirs(d int, x kept) {
	if d == 0 && k.port.n.elsewhere(x.f.src) {
		return
	}
	k.lists[d].Add(x.f.hash())
	if !k.open {
		k.given[d] = append(k.given[d], x)
		return
	}
	k.pass(d, x)
}

// seen hears what the giver has forwarded itself.
func (k *keeper) seen(captured, injected []uint64) {
	for _, h := range captured {
		k.lists[0].Add(h)
	}
	for _, h := range injected {
		k.lists[1].Add(h)
		k.echoes.Add(h)
	}
}

// openUp hails, and then forwards what the giver has kept.
func (k *keeper) openUp() {
	k.port.n.sw.capture(k.port, k.port.ownFrame(hail))
	for _, d := range []int{1, 0} {
		for _, x := range k.given[d] {
			k.pass(d, x)
		}
		k.given[d] = nil
	}
	k.open, k.tenure = true, int64(k.port.gate.Since())
}

// drain forwards what the taker kept itself, less what the giver had.
func (k *keeper) drain(d int) {
	all := k.own[d]
	k.own[d], k.passes[d] = nil, true
	for _, x := range all {
		if x.flood && k.listed(d, x.f) || d == 0 && k.echoes.Take(x.f.hash()) {
			continue
		}
		k.pass(d, x)
	}
}

func (k *keeper) pass(d int, x kept) {
	if d == 0 {
		k.port.n.sw.capture(k.port, x.f)
	} else {
		k.port.inject(&x.h, x.f)
	}
}

// tenureBegan tells a move that waits for it that the gate is open.
func (p *port) tenureBegan() {
	k := p.keeper
	if k != nil && k.giving { // it came back: frames are not the other's any more
		p.n.later(p.n.w.now, control, func() { k.m.give(k.m.g.Broken("the lease came back")) })
		k.end()
	}
	if k != nil && !k.giving {
		p.n.later(p.n.w.now+20e3, control, func() { k.m.take(k.m.t.Opened(time.Duration(p.n.read()))) })
	}
}
