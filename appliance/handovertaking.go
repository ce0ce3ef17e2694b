package appliance

import (
	"context"
	"net"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/keep"
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/failover/handover"
)

// taking is one move to this gateway. Its own goroutine waits, for what the giver says and for the clock; the thread that hears of the
// lease opens.
type taking struct {
	// Set at construction, then constant.
	node *Node
	from drawbridge.PeerID
	talk *talk

	// Set by PREPARE, then constant.
	prepared chan struct{}
	port     *port
	segment  drawbridge.SegmentID
	id       uint64
	claimed  bool // the segment, for this move
	keep     *keep.Taker

	mu        sync.Mutex // guards what follows, and is held while it is done what machine wants
	machine   handover.Taker
	accounted bool          // the giver was told what became of the frames
	moved     chan struct{} // machine has, by another goroutine than run's: its deadline is another
}

// serveHandover takes a segment that another gateway hands over.
func (n *Node) serveHandover(from drawbridge.PeerID, conn net.Conn) {
	t := &taking{node: n, from: from, talk: newTalk(conn), prepared: make(chan struct{}), moved: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(n.life)
	defer stop()
	var talking sync.WaitGroup
	defer talking.Wait()
	talking.Go(func() {
		t.talk.run(ctx, t.frame)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.keep != nil {
			t.keep.Close()
		}
	})
	defer t.talk.close()
	if t.begun(ctx) && t.claimed {
		defer n.moves.endTaking(t.segment)
		t.run(ctx)
	}
}

// begun waits for PREPARE. A stream that ended right after it has begun a move, too, which must be ended.
func (t *taking) begun(ctx context.Context) bool {
	select {
	case <-t.prepared:
	case <-t.talk.ended:
	case <-ctx.Done():
	}
	select {
	case <-t.prepared:
		return true
	default:
		return false
	}
}

// frame hears, in the stream's goroutine, what need not pass through the machine.
func (t *taking) frame(m *handover.Message) bool {
	if t.keep == nil {
		if m.Kind == handover.Prepare && t.id == 0 {
			t.prepare(m)
			close(t.prepared)
		}
		return true
	}
	switch m.Kind {
	case handover.Frame:
		t.keep.Given(m)
	case handover.Seen:
		t.keep.Listed(m)
	case handover.Turn:
		t.keep.Ended(m.Turned)
	case handover.Stations:
		t.node.takeStations(t.port, m.Stations)
	default:
		return false
	}
	return true
}

func (t *taking) prepare(m *handover.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.id, t.segment = m.ID, m.Segment
	p, refusal := t.node.mayTake(m.Segment, t.from)
	if refusal == "" {
		if t.claimed = t.node.moves.startTaking(m.Segment, t.opened); !t.claimed {
			refusal = errMoving.Error()
		}
	}
	t.port = p
	if refusal == "" {
		t.keep = keep.NewTaker(p.kept())
		p.mover.set(chain("handed over by "+string(t.node.names()[t.from]), p.preempt.why()))
	}
	t.carry(t.machine.Prepare(t.node.elapsed(), refusal))
}

// mayTake looks whether this gateway would take a segment from another just now.
func (n *Node) mayTake(segment drawbridge.SegmentID, from drawbridge.PeerID) (*port, string) {
	for _, p := range n.ports {
		if p.segment == nil || drawbridge.SegmentIDOf(p.segment.Name) != segment {
			continue
		}
		if p.mode() == modeManual {
			return nil, "mode = \"active-manual\" in the node file"
		}
		for _, c := range n.checks(p, from) {
			if !c.OK && c.Name != checkDamped { // whether that is reason enough is for who gives to say
				return nil, c.Name + ": " + c.Value + ", needed: " + c.Need
			}
		}
		return p, ""
	}
	return nil, "it has no port on the segment"
}

func (t *taking) run(ctx context.Context) {
	ended := t.talk.ended
	for wait, more := t.next(); more; wait, more = t.next() {
		timer := time.NewTimer(wait)
		select {
		case <-t.keep.Again():
		case <-t.moved:
		case <-ctx.Done():
			t.broken("this peer is stopping")
		case m := <-t.talk.heard:
			t.hear(&m)
		case <-ended:
			ended = nil
			for len(t.talk.heard) > 0 {
				m := <-t.talk.heard
				t.hear(&m)
			}
			t.broken("the connection to the other gateway ended")
		case <-timer.C:
			t.tick()
		}
		timer.Stop()
	}
}

// next forwards what can be, and answers how long there is nothing to do unless something is heard; false: never again.
func (t *taking) next() (wait time.Duration, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine.State == handover.TakerDone {
		return 0, false
	}
	wait = t.machine.Deadline() - t.node.elapsed()
	if t.keep.Waits() {
		t.release()
		wait = min(wait, lookAgain)
	}
	return wait, true
}

// lookAgain is how often it is seen whether a turn whose mark was lost has timed out.
const lookAgain = 5 * time.Millisecond

// release forwards what can be forwarded of our own, and tells the giver when that was all. The caller holds mu.
func (t *taking) release() {
	if t.keep.Release() && !t.accounted {
		t.accounted = true
		t.node.moves.pass(t.segment)
		t.talk.post(&handover.Message{Kind: handover.Account, Counts: t.keep.Account()})
	}
}

// opened hears that the gate is open, on the thread of the lease's news: frames wait.
func (t *taking) opened(epoch drawbridge.Epoch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.talk.ended:
		return // run is about to see it
	default:
	}
	if t.machine.State != handover.TakerReady {
		return
	}
	t.talk.post(&handover.Message{Kind: handover.Opened, ID: t.id, Epoch: epoch})
	t.carry(t.machine.Opened(t.node.elapsed()))
	t.moved <- struct{}{} // has room: a move opens once
}

func (t *taking) hear(m *handover.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch m.Kind {
	case handover.End:
		t.carry(t.machine.End(t.node.elapsed(), m.Phase))
	case handover.Abort:
		t.carry(t.machine.Broken(m.Text))
	}
}

func (t *taking) broken(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carry(t.machine.Broken(reason))
}

func (t *taking) tick() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carry(t.machine.Tick(t.node.elapsed()))
}

// carry does what the machine wants done. The caller holds mu.
func (t *taking) carry(do []handover.Do) {
	for _, d := range do {
		switch d {
		case handover.DoHold:
			t.node.moves.hold(t.segment)
			t.keep.Hold()
		case handover.DoReady:
			t.talk.post(&handover.Message{Kind: handover.Ready, ID: t.id})
		case handover.DoRefuse:
			t.talk.post(&handover.Message{Kind: handover.Refuse, ID: t.id, Text: t.machine.Reason})
		case handover.DoOpen:
			t.keep.Open(uint32(t.id))
			t.keep.Announce(t.port.announcements(announce.Planned), uint32(t.id))
		case handover.DoRelease:
			t.release()
			go t.node.tellStations()
		case handover.DoDrop:
			t.port.mover.take()
			t.keep.End()
			t.node.moves.pass(t.segment)
		case handover.DoAbort:
			t.talk.post(&handover.Message{Kind: handover.Abort, ID: t.id, Text: t.machine.Reason})
		case handover.DoClose:
			if t.keep != nil { // it refused
				t.keep.End()
			}
			t.talk.close()
		}
	}
}
