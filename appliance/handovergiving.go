package appliance

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/keep"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/web"
)

// causeHanding says of a gate that it is shut while its segment is handed over: until the other gate is open, peers go on
// sending here, and nothing of it is lost.
const causeHanding = "handing over"

// giving is one move away from this gateway.
type giving struct {
	node    *Node
	op      *operation
	port    *port
	segment drawbridge.SegmentID
	to      string
	toID    drawbridge.PeerID
	id      uint64
	machine handover.Giver
	talk    *talk
	keep    *keep.Giver
	held    time.Duration // when the hold began
	epoch   drawbridge.Epoch
	opened  drawbridge.Epoch
	pause   time.Duration
	buffers bool // frames are kept: the kernel does not carry them past what would keep them
	counts  *handover.Counts
	steps   []web.Step // done, and not told: frames wait
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
		node: n, op: op, port: p, segment: segment, to: string(to), toID: toID, id: binary.BigEndian.Uint64(id[:]), talk: newTalk(conn),
		machine: handover.Giver{Term: n.term()},
	}
	g.epoch, _ = p.gate.Permit()
	g.keep = keep.NewGiver(p.kept(), uint32(g.id), g.talk.post)
	g.buffers = g.keep.Keeps() && !n.engines.path(p.vni()).takesSome()
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
	marked, views := g.keep.Marked(), g.node.changed.watch()
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
			g.paused(now())
			g.carry(g.machine.Marked(now()))
		case <-views:
			views = g.node.changed.watch()
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
		g.step("ready", g.to, g.to+" is ready and holds what it hears")
		g.carry(g.machine.Ready(now))
	case handover.Refuse, handover.Abort:
		g.carry(g.machine.Refused(g.to + ": " + m.Text))
	case handover.Opened:
		g.opened = m.Epoch
		g.paused(now)
		g.port.stations.at.Store(time.Now().UnixMilli()) // nobody knows them better so far
		g.carry(g.machine.Opened(now))
		g.step("opened", g.to, fmt.Sprintf("the gate of %s is open under tenure %s; %s", g.to, m.Epoch, g.lasted()))
	case handover.Account:
		g.counts = &m.Counts
		g.node.moves.pass(g.segment)
	}
}

// carry does what the machine wants done, and tells it what came of it.
func (g *giving) carry(do []handover.Do) {
	for _, d := range do {
		switch d {
		case handover.DoList:
			g.keep.List()
		case handover.DoPrepare:
			g.talk.post(&handover.Message{
				Kind: handover.Prepare, ID: g.id, Segment: g.segment, VNI: g.port.vni(), Epoch: g.epoch,
				Micros: uint32(handover.HoldFor / time.Microsecond),
			})
			g.node.sendStations(g.port, func(m *handover.Message) { g.talk.post(m) })
		case handover.DoHold:
			g.held = g.node.elapsed()
			g.node.moves.hold(g.segment)
			g.port.moving.Store(uint64(g.epoch))
			g.keep.Hold()
			g.carry(g.machine.Held(g.node.elapsed()))
		case handover.DoYield:
			g.port.mover.set(whyMoved(g.to, g.op.read()))
			had := g.node.voter.agent.Yield(g.segment, g.toID)
			g.carry(g.machine.Yielded(g.node.elapsed(), had))
		case handover.DoShut:
			g.port.released(g.epoch) // at once: the taker's ALONE waits for our hello
			g.talk.post(&handover.Message{Kind: handover.Shut, ID: g.id, Epoch: g.epoch})
			g.step("shut", string(g.node.creds.Name), "the gate is shut and the lease is given to "+g.to)
		case handover.DoNarrow:
			g.keep.Narrow()
		case handover.DoEnd, handover.DoDrop:
			g.keep.End()
			g.node.moves.pass(g.segment)
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

// step notes that something was done just now.
func (g *giving) step(name, peer, text string) {
	g.steps = append(g.steps, web.Step{Name: name, Time: time.Now().UTC(), Peer: peer, Text: text})
}

// report tells of what was done when no frame waits any more, and ends the operation as soon as its outcome is known, here too; the
// trail of frames goes on behind it.
func (g *giving) report() {
	if g.machine.State == handover.GiverTrailing || g.machine.State == handover.GiverDone {
		g.op.stepped(g.steps...)
		g.steps = nil
	}
	over := g.machine.State == handover.GiverDone || g.machine.State == handover.GiverTrailing && g.counts != nil && g.known()
	if g.told || !over || g.machine.Result != handover.Moved {
		return
	}
	g.told = true
	r := &web.HandoverResult{Pause: web.MillisecondsOf(g.pause), Buffered: g.buffers}
	if g.opened != 0 { // or the stream ended after the marker, and before the word
		r.Epoch = g.opened.String()
	}
	if c := g.counts; c != nil {
		r.Handed, r.Kept, r.Twice, r.Dropped = c.Handed, c.Kept, c.Twice, c.Dropped
	}
	r.Dropped += g.keep.Lost()
	g.node.moved(g.port.segment.Name, g.to, g.pause)
	g.op.change(func(v *web.Operation) { v.Handover = r })
	g.op.end(web.OperationDone, fmt.Sprintf("%s moved from %s to %s; %s", g.port.segment.Name, g.node.creds.Name, g.to, g.lasted()))
}

// known reports whether this peer has heard of the new tenure from the mesh as well: whoever asks it then who is active, is told so.
func (g *giving) known() bool {
	return slices.ContainsFunc(g.node.segmentViews(), func(v segmentView) bool { return v.id == g.segment && v.epoch >= g.opened })
}

// paused notes when it was first heard that the other gate is open, by the word or by the marker.
func (g *giving) paused(now time.Duration) {
	if g.pause == 0 {
		g.pause = now - g.held
	}
}

// lasted says what became of frames between the two gates.
func (g *giving) lasted() string {
	if !g.buffers {
		return fmt.Sprintf("no gate was open for %.1f ms at most, and frames of that time are lost", g.pause.Seconds()*1000)
	}
	return fmt.Sprintf("frames were held for %.1f ms", g.pause.Seconds()*1000)
}
