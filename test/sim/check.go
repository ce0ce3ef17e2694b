package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// What must always hold, and when it need not.

// maxCopies is how often one frame may be written to segments, whatever happens: three layers make it one, and the last
// of them alone makes it at most three.
const maxCopies = 3

// alarm is one of ALONE's.
type alarm struct {
	n *node
	alone.Alarm
}

// excuse says when a station may hear a frame twice. docs/how-to/simulate.md lists the cases.
type excuse struct {
	standing int   // faults under way that excuse it
	until    int64 // and until when others do
	loose    int64 // until then a loop may turn: somebody has just plugged a cable in
}

func (e *excuse) now(t int64) bool { return e.standing > 0 || t < e.until }

// thawed is how long copies are excused after a paused machine goes on: a hello interval and what it takes to be
// woken.
const thawed = 12 * ms

// maxTurns is how often a frame may go round in the time that ALONE needs to hear of a cable, one hello.
const (
	noticed  = 30 * ms
	maxTurns = 200
)

func (w *world) cap() int {
	if w.now < w.excuse.loose {
		return maxTurns
	}
	return maxCopies
}

func (w *world) excused(d int64) { w.excuse.until = max(w.excuse.until, w.now+d) }

// checkCopy looks at a frame that a station has heard for the nth time.
func (w *world) checkCopy(r *record, s *station, n int) {
	switch {
	case n > w.cap():
		w.violated("%s heard probe %d of %v %d times", s.name, r.sequence, r.flow, n)
	case !r.forgiving && !w.excuse.now(w.now):
		w.violated("%s heard probe %d of %v twice", s.name, r.sequence, r.flow)
	}
	w.duplicates++
}

// checkLoop looks at a frame that its sender has heard.
func (w *world) checkLoop(r *record, s *station) {
	if !r.forgiving && !w.excuse.now(w.now) {
		w.violated("%s heard its own probe %d", s.name, r.sequence)
	}
	w.loops++
}

// checkCapture looks at a probe that a switch takes in. One that is taken in again while that is excused, in a loop that
// somebody has just cabled, is excused wherever its copies wait then, and no other is.
func (w *world) checkCapture(r *record) {
	if r.captured++; r.captured > 1 && w.excuse.now(w.now) {
		r.forgiving = true
	}
}

// writing is what gateways have written of one probe to one segment.
type writing struct {
	copies int
	by     *node // the last time
	under  drawbridge.Epoch
}

// checkWriting looks at a probe that a gateway injects.
func (w *world) checkWriting(p *port, h *header, r *record, e drawbridge.Epoch) {
	s, was := p.segment, r.written[p.segment.id]
	r.forgiving = r.forgiving || was.copies == 1 && p.overtaken(h, was, e)
	r.written[s.id] = writing{was.copies + 1, p.n, e}
	w.copies = max(w.copies, was.copies+1)
	if was.copies >= w.cap() || was.copies > 0 && !r.forgiving && !w.excuse.now(w.now) {
		w.violated("probe %d of %v was written to segment %d %d times", r.sequence, r.flow, s.id, was.copies+1)
	}
}

// overtaken reports whether a flood that another gateway has written in an earlier tenure waited for a busy peer on its way
// here, so that the takeover was faster. Only a planned move has a list of what was written (docs/protocol/handover.md, "Attack
// it here"), and must compare with it however long a frame waited.
func (p *port) overtaken(h *header, was writing, e drawbridge.Epoch) bool {
	return h.waited && h.dest == 0 && was.by != p.n && e > was.under && p.keeper == nil
}

// checkPassage looks at a frame that a segment port captures or injects.
func (w *world) checkPassage(p *port, f *frame, e drawbridge.Epoch, verb string) {
	s := p.segment
	switch {
	case p.forced:
	case e != p.held && e != p.regent && !p.n.leaseless(p):
		w.violated("%s %s on segment %d under %v and holds %v", p.n.name, verb, s.id, e, p.held)
	case e < s.passed || e == s.passed && s.passedBy != p.n:
		if !p.shaky() {
			w.violated("%s %s on segment %d under %v after %s did under %v", p.n.name, verb, s.id, e, s.passedBy.name, s.passed)
		} else if late := w.now - p.n.wokenAt; late > thawed {
			w.violated("%s %s on segment %d under %v, %v after it went on", p.n.name, verb, s.id, e, time.Duration(late))
		}
	default:
		s.passed, s.passedBy = e, p.n
	}
}

// past is a tenure as a peer came to know it.
type past struct {
	tenure
	at int64 // clock
}

// remember keeps what the switch knows now.
func (s *forwarder) remember(id drawbridge.SegmentID) {
	s.pasts[id] = append(s.pasts[id], past{s.tenures[id], s.n.read()})
}

// checkLate looks at a captured frame that a peer has let in: it is of the newest tenure that the peer knows, or its gateway had
// the one before, sent it to this peer alone, and the peer has known the newest for lateFor at most.
func (s *forwarder) checkLate(h *header) {
	all, w := s.pasts[h.segment], s.n.w
	if len(all) == 0 || w.plan.Without.Fence {
		return
	}
	newest := all[len(all)-1]
	first := slices.IndexFunc(all, func(p past) bool { return p.epoch == newest.epoch })
	switch {
	case h.epoch == newest.epoch:
		return
	case first == 0 || all[first-1].epoch != h.epoch || all[first-1].active != h.origin:
		w.violated("%s lets a frame of peer %d in under %v and knows %v", s.n.name, h.origin, h.epoch, newest.epoch)
	case s.n.read()-all[first].at >= lateFor:
		w.violated("%s lets a frame in under %v, %v after it heard of %v", s.n.name, h.epoch, time.Duration(s.n.read()-all[first].at), newest.epoch)
	case h.dest == 0:
		w.violated("%s lets a flood in under %v and knows %v", s.n.name, h.epoch, newest.epoch)
	}
	w.late++
}

// checkTurn looks at a peer that turns from one tenure to another, or hears again of the one that it knows.
func (s *forwarder) checkTurn(id drawbridge.SegmentID, from, to drawbridge.Epoch) {
	w := s.n.w
	switch {
	case to < from:
		w.violated("%s turns back from %v of segment %d to %v", s.n.name, from, id, to)
	case to > w.segments[id-1].opened:
		w.violated("%s turns to %v of segment %d, under which no gate has been open", s.n.name, to, id)
	}
}

// leaseless is when a gate may be open that no lease holds: between the end of a process and its next start nothing
// passes, so never.
func (n *node) leaseless(*port) bool { return n.w.plan.Without.ShutFirst }

// shaky reports whether the deadline of a gate may rest on what was asked before the machine was paused with its clock: then
// premise P1 of lease.md does not hold. What was asked later ends later.
func (p *port) shaky() bool {
	t := p.n.w.plan.Timing
	longest := t.Term
	if p.asRegent {
		longest = 100 * time.Millisecond // docs/protocol/alone.md, "hold"
	}
	longest -= longest*time.Duration(t.Drift)/1e6 + t.Grace
	return p.n.pausedAt != 0 && p.until <= lease.Instant(p.n.pausedAt).Add(longest)
}

// emits reports whether a frame of the port may still come out onto the segment: until d after the deadline or the
// shutting.
func (p *port) emits() bool {
	if p.until == 0 || p.shutAt >= 0 && p.n.w.now >= p.shutAt+int64(lease.Default.Grace) {
		return false
	}
	return p.n.instant() < p.until.Add(lease.Default.Grace)
}

// checkOverlap looks at a gate that opens or stays open: nobody else's may be.
func (w *world) checkOverlap(p *port, under drawbridge.Epoch) {
	for _, o := range w.nodes {
		q := o.gateOf(p.segment.id)
		if q == nil || q == p || q.shaky() || p.shaky() || !q.emits() {
			continue
		}
		w.violated("%s opens segment %d under %v while %s has it open under %v", p.n.name, p.segment.id, under, o.name, q.last)
	}
	p.shutAt, p.last = -1, under
	p.segment.opened = max(p.segment.opened, under)
}

// checkTenure looks at the number of a tenure that begins.
func (w *world) checkTenure(p *port) {
	s := p.segment
	if p.held <= s.newest && !p.shaky() {
		w.violated("%s begins tenure %v of segment %d after %v", p.n.name, p.held, s.id, s.newest)
	}
	s.newest = max(s.newest, p.held)
	w.tenures++
}

// open lists the gates of a segment that let frames pass now.
func (s *segment) open() (ports []*port) {
	for _, n := range s.host.w.nodes {
		if p := n.gateOf(s.id); p != nil && n.alive() {
			if _, ok := p.permit(); ok && p.usable {
				ports = append(ports, p)
			}
		}
	}
	return ports
}

// settled tells what is wrong when all trouble is over: one gate of each segment is open, and everybody points to it.
func (w *world) settled() error {
	for _, s := range w.segments {
		gates := s.open()
		if len(gates) != 1 {
			return fmt.Errorf("segment %d has %d open gates", s.id, len(gates))
		}
		active := gates[0].n
		for _, n := range w.nodes {
			if t := n.sw.tenures[s.id]; n.alive() && (t.active != active.id || t.epoch != gates[0].tenure()) {
				return fmt.Errorf("%s believes that peer %d is active on segment %d under %v, and %s is under %v", n.name, t.active, s.id, t.epoch, active.name, gates[0].tenure())
			}
		}
	}
	return nil
}

// probeAll looks whether probes arrive, all of them.
func (w *world) probeAll() error {
	w.quickUntil = max(w.quickUntil, w.now+slowdown*w.plan.Pace+60*ms)
	w.run(slowdown*w.plan.Pace + 5*ms) // those that were planned before
	w.mark()
	w.run(40 * ms)
	if len(w.violations) > 0 {
		return fmt.Errorf("%s", w.violations[0])
	}
	for _, f := range w.flows {
		if f.to != nil && (f.got < f.sent-1 || f.got == 0) {
			return fmt.Errorf("%v: %d of %d probes arrived", f, f.got, f.sent)
		}
	}
	return nil
}

// healed is both.
func (w *world) healed() error {
	if err := w.settled(); err != nil {
		return err
	}
	return w.probeAll()
}

// tenure is what the gate of a port is open under.
func (p *port) tenure() drawbridge.Epoch { return max(p.held, p.regent) }
