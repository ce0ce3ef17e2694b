package appliance

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/web"
)

// handoverService is the name under which gateways hand segments to each other.
const handoverService = "handover"

// causeHanding says of a gate that it is shut while its segment is handed over: until the other gate is open, peers go on
// sending here, and nothing of it is lost.
const causeHanding = "handing over"

// moves are the planned moves that are under way here.
type moves struct {
	mu     sync.Mutex // guards what follows
	giving map[drawbridge.SegmentID]bool
	taking map[drawbridge.SegmentID]chan drawbridge.Epoch
}

// errMoving refuses a second move of a segment.
var errMoving = errors.New("the segment is being moved already")

// startGiving claims a segment for one move.
func (m *moves) startGiving(id drawbridge.SegmentID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.giving[id] || m.taking[id] != nil {
		return false
	}
	if m.giving == nil {
		m.giving = map[drawbridge.SegmentID]bool{}
	}
	m.giving[id] = true
	return true
}

// awaitGiving claims a segment for one move, as soon as the trail of the last one has ended.
func (m *moves) awaitGiving(ctx context.Context, id drawbridge.SegmentID) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*handover.TrailFor)
	defer cancel()
	again := time.NewTicker(handover.Watch)
	defer again.Stop()
	for !m.startGiving(id) {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
	}
	return true
}

func (m *moves) endGiving(id drawbridge.SegmentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.giving, id)
}

// startTaking claims a segment, and answers where the beginning of the tenure will be told; nil: it is moving already.
func (m *moves) startTaking(id drawbridge.SegmentID) chan drawbridge.Epoch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taking[id] != nil {
		return nil
	}
	if m.taking == nil {
		m.taking = map[drawbridge.SegmentID]chan drawbridge.Epoch{}
	}
	m.taking[id] = make(chan drawbridge.Epoch, 1)
	return m.taking[id]
}

func (m *moves) endTaking(id drawbridge.SegmentID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taking, id)
}

// under reports whether a segment is being moved, either way.
func (m *moves) under(id drawbridge.SegmentID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.giving[id] || m.taking[id] != nil
}

// tenure hears from the lease agent that a gate here has opened or shut. It must not wait.
func (m *moves) tenure(segment drawbridge.SegmentID, epoch drawbridge.Epoch, held bool) {
	if !held {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.taking[segment] <- epoch:
	default: // nobody waits for it
	}
}

// elapsed is the clock of planned moves.
func (n *Node) elapsed() time.Duration { return time.Since(n.started) }

// talk is one end of a handover's stream. Messages leave in the order of post.
type talk struct {
	conn  net.Conn
	heard chan handover.Message
	ended chan struct{} // heard is complete

	mu     sync.Mutex // guards what follows
	wake   sync.Cond
	buf    []byte
	closed bool
}

// maxPosted bounds what waits to be sent: 4 MiB, as in docs/protocol/handover.md.
const maxPosted = 4 << 20

func newTalk(conn net.Conn) *talk {
	t := &talk{conn: conn, heard: make(chan handover.Message, 256), ended: make(chan struct{})}
	t.wake.L = &t.mu
	return t
}

// run carries messages both ways until the stream ends or ctx does. hear is called first for each, and keeps what it
// answers true for; the rest is for the move's own goroutine.
func (t *talk) run(ctx context.Context, hear func(*handover.Message) bool) {
	stop := context.AfterFunc(ctx, t.close)
	defer stop()
	var both sync.WaitGroup
	both.Go(t.write)
	both.Go(func() {
		defer close(t.ended)
		defer t.close()
		t.read(ctx, hear)
	})
	both.Wait()
}

func (t *talk) read(ctx context.Context, hear func(*handover.Message) bool) {
	var header [handover.HeaderSize]byte
	var m handover.Message
	buf := make([]byte, 0, handover.HeaderSize+handover.MaxBody)
	for {
		if _, err := io.ReadFull(t.conn, header[:]); err != nil {
			return
		}
		size, err := handover.BodyLen(header[:])
		if err != nil {
			return
		}
		buf = append(buf[:0], header[:]...)
		buf = buf[:handover.HeaderSize+size]
		if _, err := io.ReadFull(t.conn, buf[handover.HeaderSize:]); err != nil || handover.Parse(buf, &m) != nil {
			return
		}
		if hear(&m) {
			continue
		}
		select {
		case t.heard <- m:
		case <-ctx.Done():
			return
		}
	}
}

// post queues a message; false: there is no room, or the stream has ended.
func (t *talk) post(m *handover.Message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.buf) > maxPosted {
		return false
	}
	t.buf = m.Append(t.buf)
	t.wake.Signal()
	return true
}

func (t *talk) write() {
	var out []byte
	for {
		t.mu.Lock()
		for len(t.buf) == 0 && !t.closed {
			t.wake.Wait()
		}
		out, t.buf = t.buf, out[:0]
		closed := t.closed
		t.mu.Unlock()
		if len(out) > 0 {
			if _, err := t.conn.Write(out); err != nil {
				t.close()
				return
			}
		}
		if closed {
			_ = t.conn.Close()
			return
		}
	}
}

// close sends what is queued and then ends the stream.
func (t *talk) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	t.wake.Signal()
	// What hangs must not hang for ever.
	_ = t.conn.SetDeadline(time.Now().Add(talkEnd))
}

// talkEnd is how long the last messages may take.
const talkEnd = time.Second

// giving is one move away from this gateway.
type giving struct {
	node    *Node
	op      *operation
	port    *port
	to      string
	toID    drawbridge.PeerID
	id      uint64
	machine handover.Giver
	talk    *talk
	keep    *keeper
	held    time.Duration // when the hold began
	epoch   drawbridge.Epoch
	opened  drawbridge.Epoch
	pause   time.Duration
	counts  *handover.Counts
	told    bool
}

// give moves a segment to another gateway. It returns when the move is over; the operation may have ended before.
func (n *Node) give(ctx context.Context, op *operation, p *port, to drawbridge.PeerName, toID drawbridge.PeerID) error {
	segment := drawbridge.SegmentIDOf(p.segment.Name)
	if !n.moves.awaitGiving(ctx, segment) {
		return errMoving
	}
	defer n.moves.endGiving(segment)
	conn, err := n.router.Open(toID, handoverService)
	if err != nil {
		return err
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails, by its contract
	g := &giving{
		node: n, op: op, port: p, to: string(to), toID: toID, id: binary.BigEndian.Uint64(id[:]), talk: newTalk(conn),
		machine: handover.Giver{Term: n.term()},
	}
	g.epoch, _ = p.gate.Permit()
	g.keep = newGiverKeeper(p, g.talk, uint32(g.id))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var talking sync.WaitGroup
	talking.Go(func() { g.talk.run(ctx, func(*handover.Message) bool { return false }) })
	g.run(ctx)
	stop()
	talking.Wait()
	if g.machine.Result != handover.Moved {
		return errors.New(g.machine.Reason)
	}
	return nil
}

// term is how long a lease lasts by what was decided.
func (n *Node) term() time.Duration {
	state, _ := n.voter.group.State()
	return state.Timers.Length
}

func (g *giving) run(ctx context.Context) {
	now := g.node.elapsed
	marked := g.keep.marked
	g.carry(g.machine.Begin(now()))
	for g.machine.State != handover.GiverDone {
		timer := time.NewTimer(g.machine.Deadline() - now())
		select {
		case <-ctx.Done():
			g.carry(g.machine.Broken("this peer is stopping"))
		case m := <-g.talk.heard:
			g.hear(&m)
		case <-g.talk.ended:
			g.drain()
			g.carry(g.machine.Broken("the connection to " + g.to + " ended"))
		case <-marked:
			marked = nil // closed for good: it is heard once
			g.carry(g.machine.Marked(now()))
		case <-timer.C:
			g.carry(g.machine.Tick(now()))
		}
		timer.Stop()
		g.report()
	}
}

// drain hears what came before the stream ended.
func (g *giving) drain() {
	for {
		select {
		case m := <-g.talk.heard:
			g.hear(&m)
		default:
			return
		}
	}
}

func (g *giving) hear(m *handover.Message) {
	now := g.node.elapsed()
	switch m.Kind {
	case handover.Ready:
		g.op.step("ready", g.to, g.to+" is ready and holds what it hears")
		g.carry(g.machine.Ready(now))
	case handover.Refuse, handover.Abort:
		g.carry(g.machine.Refused(g.to + ": " + m.Text))
	case handover.Opened:
		g.opened, g.pause = m.Epoch, now-g.held
		g.port.stations.at.Store(time.Now().UnixMilli()) // nobody knows them better so far
		g.carry(g.machine.Opened(now))
		g.op.step("opened", g.to, fmt.Sprintf("the gate of %s is open under tenure %s; frames were held for %.1f ms", g.to, m.Epoch, g.pause.Seconds()*1000))
	case handover.Account:
		g.counts = &m.Counts
	}
}

// carry does what the machine wants done, and tells it what came of it.
func (g *giving) carry(do []handover.Do) {
	for _, d := range do {
		switch d {
		case handover.DoList:
			g.keep.list()
		case handover.DoPrepare:
			g.talk.post(&handover.Message{
				Kind: handover.Prepare, ID: g.id, Segment: drawbridge.SegmentIDOf(g.port.segment.Name), VNI: g.port.vni(), Epoch: g.epoch,
				Micros: uint32(handover.HoldFor / time.Microsecond),
			})
			g.node.sendStations(g.port, func(m *handover.Message) { g.talk.post(m) })
		case handover.DoHold:
			g.held = g.node.elapsed()
			g.port.moving.Store(uint64(g.epoch))
			g.keep.hold()
			g.carry(g.machine.Held(g.node.elapsed()))
		case handover.DoYield:
			g.port.mover.set(whyMoved(g.to, g.op.read()))
			had := g.node.voter.agent.Yield(drawbridge.SegmentIDOf(g.port.segment.Name), g.toID)
			g.carry(g.machine.Yielded(g.node.elapsed(), had))
		case handover.DoShut:
			g.port.released() // at once: the taker's ALONE waits for our hello
			g.talk.post(&handover.Message{Kind: handover.Shut, ID: g.id, Epoch: g.epoch})
			g.op.step("shut", string(g.node.creds.Name), "the gate is shut and the lease is given to "+g.to)
		case handover.DoNarrow:
			g.keep.narrow()
		case handover.DoEnd, handover.DoDrop:
			g.keep.end()
			if g.port.moving.Swap(0) != 0 {
				g.node.publish()
			}
		case handover.DoAbort:
			g.talk.post(&handover.Message{Kind: handover.Abort, ID: g.id, Text: g.machine.Reason})
		case handover.DoClose:
			g.talk.close()
		}
	}
}

// report ends the operation as soon as its outcome is known; the trail of frames goes on behind it.
func (g *giving) report() {
	over := g.machine.State == handover.GiverDone || g.machine.State == handover.GiverTrailing && g.counts != nil
	if g.told || !over || g.machine.Result != handover.Moved {
		return
	}
	g.told = true
	r := &web.HandoverResult{Epoch: g.opened.String(), Pause: web.MillisecondsOf(g.pause), Buffered: g.keep.attached != nil}
	if c := g.counts; c != nil {
		r.Handed, r.Kept, r.Twice, r.Dropped = c.Handed, c.Kept, c.Twice, c.Dropped
	}
	r.Dropped += g.keep.lost()
	g.node.moved(g.port.segment.Name, g.to, g.pause)
	g.op.change(func(v *web.Operation) { v.Handover = r })
	g.op.end(web.OperationDone, fmt.Sprintf("%s moved from %s to %s; frames were held for %.1f ms", g.port.segment.Name, g.node.creds.Name, g.to, g.pause.Seconds()*1000))
}

// taking is one move to this gateway.
type taking struct {
	node    *Node
	port    *port
	from    drawbridge.PeerID
	id      uint64
	machine handover.Taker
	talk    *talk
	keep    *keeper
	tenure  chan drawbridge.Epoch

	prepared  chan struct{}
	accounted bool // the giver was told what became of the frames
}

// serveHandover takes a segment that another gateway hands over.
func (n *Node) serveHandover(from drawbridge.PeerID, conn net.Conn) {
	t := &taking{node: n, from: from, talk: newTalk(conn), prepared: make(chan struct{})}
	ctx, stop := context.WithCancel(n.life)
	defer stop()
	var talking sync.WaitGroup
	defer talking.Wait()
	talking.Go(func() {
		t.talk.run(ctx, t.frame)
		if t.keep != nil {
			t.keep.close()
		}
	})
	defer t.talk.close()
	select {
	case <-t.prepared:
	case <-t.talk.ended:
		return
	case <-ctx.Done():
		return
	}
	if t.tenure != nil {
		defer n.moves.endTaking(drawbridge.SegmentIDOf(t.port.segment.Name))
		t.run(ctx)
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
		t.keep.theirs(m)
	case handover.Seen:
		t.keep.listed(m)
	case handover.Turn:
		t.keep.turned(m.Turned)
	case handover.Stations:
		t.node.takeStations(t.port, m.Stations)
	default:
		return false
	}
	return true
}

func (t *taking) prepare(m *handover.Message) {
	t.id = m.ID
	p, refusal := t.node.mayTake(m.Segment, t.from)
	if refusal == "" {
		if t.tenure = t.node.moves.startTaking(m.Segment); t.tenure == nil {
			refusal = errMoving.Error()
		}
	}
	t.port = p
	if refusal == "" {
		t.keep = newTakerKeeper(p)
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
	now := t.node.elapsed
	ended := t.talk.ended
	for t.machine.State != handover.TakerDone {
		wait := t.machine.Deadline() - now()
		if t.keep.waits() {
			wait = min(wait, lookAgain)
		}
		timer := time.NewTimer(wait)
		select {
		case <-t.keep.again:
		case <-ctx.Done():
			t.carry(t.machine.Broken("this peer is stopping"))
		case epoch := <-t.tenure:
			t.opened(epoch)
		case m := <-t.talk.heard:
			t.hear(&m)
		case <-ended:
			ended = nil
			for len(t.talk.heard) > 0 {
				m := <-t.talk.heard
				t.hear(&m)
			}
			t.carry(t.machine.Broken("the connection to the other gateway ended"))
		case <-timer.C:
			t.carry(t.machine.Tick(now()))
		}
		timer.Stop()
		if t.keep.waits() {
			t.release()
		}
	}
}

// lookAgain is how often it is seen whether a turn whose mark was lost has timed out.
const lookAgain = 5 * time.Millisecond

// release forwards what can be forwarded of our own, and tells the giver when that was all.
func (t *taking) release() {
	if t.keep.release() && !t.accounted {
		t.accounted = true
		t.talk.post(&handover.Message{Kind: handover.Account, Counts: t.keep.account()})
	}
}

func (t *taking) opened(epoch drawbridge.Epoch) {
	// Before anything else: frames wait.
	t.talk.post(&handover.Message{Kind: handover.Opened, ID: t.id, Epoch: epoch})
	t.node.sw.SetSegment(drawbridge.SegmentIDOf(t.port.segment.Name), t.port.vni(), t.node.creds.ID(), epoch)
	t.carry(t.machine.Opened(t.node.elapsed()))
}

func (t *taking) hear(m *handover.Message) {
	now := t.node.elapsed()
	switch m.Kind {
	case handover.End:
		t.carry(t.machine.End(now, m.Phase))
	case handover.Abort:
		t.carry(t.machine.Broken(m.Text))
	}
}

func (t *taking) carry(do []handover.Do) {
	for _, d := range do {
		switch d {
		case handover.DoHold:
			t.keep.hold()
		case handover.DoReady:
			t.talk.post(&handover.Message{Kind: handover.Ready, ID: t.id})
		case handover.DoRefuse:
			t.talk.post(&handover.Message{Kind: handover.Refuse, ID: t.id, Text: t.machine.Reason})
		case handover.DoOpen:
			t.keep.openUp(uint32(t.id))
			t.keep.announce(uint32(t.id))
			go t.node.tellStations()
		case handover.DoRelease:
			t.release()
		case handover.DoDrop:
			t.port.mover.take()
			t.keep.end()
		case handover.DoAbort:
			t.talk.post(&handover.Message{Kind: handover.Abort, ID: t.id, Text: t.machine.Reason})
		case handover.DoClose:
			if t.keep != nil { // it refused
				t.keep.end()
			}
			t.talk.close()
		}
	}
}
