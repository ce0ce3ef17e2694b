package appliance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// comparisonChannel is the name under which gateways of a segment that do not hear each other tell what they hear.
const comparisonChannel = "wires"

const (
	// lookAtOthers is how often ports are compared when nothing has changed on a wire.
	lookAtOthers = time.Second
	// keepEar is how long stations are listened to after the wire was whole again.
	keepEar = 5 * time.Second
	// earEvery spares the process a storm on the segment: the ear is asked who spoke no more often.
	earEvery = time.Millisecond
)

// comparing is a port's part in comparing the segment's ports. The goroutine of compareWires owns what is not atomic.
type comparing struct {
	alone.Comparison
	cut      handover.CutOff
	ear      *ear          // nil: none
	apartAt  time.Duration // when another gateway was last not heard both ways
	reportAt time.Duration // not before
	lookAt   time.Duration // at the latest
	recused  atomic.Int64  // until then, by elapsed
	found    atomic.Pointer[string]
}

// wireNews is what compareWires hears: a report, or a station; with neither, a neighbour is heard otherwise than before.
type wireNews struct {
	port    *port
	report  *alone.Report
	station *alone.Sighting // Ago is when, by elapsed
}

// tellWire hands news to compareWires. It never waits: what is lost is said again.
func (n *Node) tellWire(w wireNews) {
	select {
	case n.wireNews <- w:
	default:
	}
}

// heardOtherwise hears, in ALONE's goroutine, that a neighbour on a port's wire is heard better or worse than before.
func (n *Node) heardOtherwise(id alone.PortID) {
	if p := n.portOf(id); p != nil && p.segment != nil {
		n.tellWire(wireNews{port: p})
	}
}

// compareWires compares the ports of the segments' gateways, and leaves a segment to another one that serves it better.
func (n *Node) compareWires(ctx context.Context) error {
	var ears sync.WaitGroup
	defer ears.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-n.wireNews:
			n.hearWire(&w)
		case <-timer.C:
		}
		now := n.elapsed()
		next := now + lookAtOthers
		for _, p := range n.ports {
			if p.segment == nil {
				continue
			}
			if c := &p.comparing; now >= c.lookAt {
				p.compare(ctx, now, &ears)
			}
			next = min(next, p.comparing.lookAt)
		}
		timer.Reset(next - now)
	}
}

// hearWire takes news, and has the port looked at when they may change something.
func (n *Node) hearWire(w *wireNews) {
	c := &w.port.comparing
	switch now := n.elapsed(); {
	case w.report != nil:
		c.Told(now, *w.report)
		c.lookAt = now
	case w.station != nil:
		if c.Sight(w.station.Ago, w.station.MAC) {
			c.lookAt, c.reportAt = now, now
		}
	default:
		c.lookAt, c.reportAt = now, now
	}
}

// compare looks at the port beside those of the other gateways, and does what follows.
func (p *port) compare(ctx context.Context, now time.Duration, ears *sync.WaitGroup) {
	n, c := p.node, &p.comparing
	own, clear := p.ownWire()
	var others []drawbridge.PeerID
	if clear {
		others = n.comparable(p.segment.Name)
	}
	c.Term = n.term()
	a := c.Look(now, &own, others)
	c.lookAt = now + lookAtOthers
	if a.Apart {
		c.apartAt, c.lookAt = now, now+alone.ReportEvery
	}
	p.listen(ctx, now, a.Apart, ears)
	if a.Apart && now >= c.reportAt {
		c.reportAt = now + alone.ReportEvery
		p.report(now, &own, others)
	}
	if a.Yield != 0 {
		p.leave(now, &a)
	}
	p.leaveCutOff(now)
	for _, alarm := range a.Alarms {
		p.tellFinding(&alarm)
	}
	if !a.Apart && now-c.apartAt > keepEar {
		c.found.Store(nil)
	}
}

// tellFinding tells of what has been found for a while.
func (p *port) tellFinding(a *alone.Alarm) {
	text := fmt.Sprintf("%s and %s do not hear each other both ways: %s", p.node.creds.Name, p.node.names()[a.From.Peer], a.Text)
	p.comparing.found.Store(&text)
	p.node.log.Warn("gateways do not hear each other both ways", "port", p.name(), "peer", a.From.Peer, "reason", a.Reason)
	p.node.event(web.Event{
		Level: web.LevelWarn, Kind: "wire_one_way", Port: p.name(), Segment: p.segment.Name, Reason: string(a.Reason),
		Text: fmt.Sprintf("segment %s: %s", p.segment.Name, text),
	})
}

// ownWire is what this gateway knows of its port; clear: it has listened, and nothing blocks it.
func (p *port) ownWire() (own alone.Own, clear bool) {
	n := p.node
	s, ok := n.wire(p)
	own.Port, own.Unsure = alone.Place{Peer: n.creds.ID(), Port: p.aloneID()}, s.Unsure
	for _, b := range s.Neighbours {
		if !b.Port.Guest() {
			own.Hears = append(own.Hears, b)
		}
	}
	if ok {
		spoke, now := n.alone.Spoke(p.aloneID())
		own.Spoke = spoke.By(n.elapsed() - now)
	}
	_, open := p.gate.Permit()
	own.Ours = func(m drawbridge.MAC) bool {
		known, behind := n.sw.Where(p.vni(), m)
		return open && known && !behind || m == p.stationAddress()
	}
	return own, ok && s.Carrier && s.State != alone.Init && s.State != alone.Listen && s.State != alone.Blocked
}

// comparable are the other gateways of a segment whose ports should be heard.
func (n *Node) comparable(segment string) (ids []drawbridge.PeerID) {
	for _, o := range n.gatewaysOf(segment) {
		works := func(w wire.Port) bool {
			return w.Kind == wire.PortSegment && w.SegmentName == segment && (w.Ready || w.Open)
		}
		if slices.ContainsFunc(o.Ports, works) {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// report tells the other gateways what this one hears.
func (p *port) report(now time.Duration, own *alone.Own, others []drawbridge.PeerID) {
	p.mu.Lock()
	fit := p.problem == nil && len(p.reasons) == 0
	p.mu.Unlock()
	fit = fit && p.node.voter.agent.Status().Quorum
	for _, o := range others {
		r := p.comparing.Report(now, own, o)
		r.Segment, r.Fit = drawbridge.SegmentIDOf(p.segment.Name), fit
		if err := p.node.router.Send(o, comparisonChannel, r.Append(nil)); err != nil {
			p.node.log.Debug("what is heard on the segment was not told", "peer", o, "err", err)
		}
	}
}

// leave gives the segment to the gateway that serves it better. That one takes it as after a release: a planned move needs a wire that
// carries both ways.
func (p *port) leave(now time.Duration, a *alone.Advice) {
	n := p.node
	epoch, open := p.gate.Permit()
	if !open || p.mode() != modeAuto || n.voter == nil || p.moving.Load() != 0 || p.regent.Load() != 0 || n.departure.begun.Load() {
		return
	}
	p.comparing.Yielded(now)
	p.comparing.recused.Store(int64(p.comparing.RecusedTo()))
	why := chain(fmt.Sprintf("left to %s, which serves the segment better", n.names()[a.Yield]), a.Finding.String())
	p.mover.set(why)
	n.log.Warn("the segment is left to another gateway", "port", p.name(), "peer", a.Yield, "epoch", epoch, "reason", a.Finding)
	n.event(web.Event{
		Level: web.LevelWarn, Kind: "left_to_better", Port: p.name(), Segment: p.segment.Name, Epoch: epoch.String(), Reason: a.Finding.String(),
		Text: fmt.Sprintf("segment %s is left to %s: %s", p.segment.Name, n.names()[a.Yield], a.Finding),
	})
	n.voter.agent.Yield(drawbridge.SegmentIDOf(p.segment.Name), a.Yield)
	n.changed.tell()
}

// recusal says for how long this gateway asks last since it left the segment to another one; empty: it does not.
func (p *port) recusal() string {
	left := time.Duration(p.comparing.recused.Load()) - p.node.elapsed()
	if left <= 0 {
		return ""
	}
	return fmt.Sprintf("left the segment to a gateway that it serves better; first again in %d s", int(left.Seconds())+1)
}

// wireProblems tells of segments that gateways do not hear alike.
func (n *Node) wireProblems() (all []web.Problem) {
	for _, p := range n.ports {
		if text := p.comparing.found.Load(); text != nil {
			all = append(all, web.Problem{
				Summary: fmt.Sprintf("segment %s: %s", p.segment.Name, *text),
				Remedy:  "look at the VLAN of the switch ports, and at the switches between them; drawbridge ports shows who is heard",
			})
		}
	}
	return all
}

// ear listens to what stations of the segment say to everybody, while the gate may be shut.
type ear struct {
	cancel context.CancelFunc
	open   atomic.Bool
}

// listen opens an ear when it is wanted, and closes it when it was not for a while.
func (p *port) listen(ctx context.Context, now time.Duration, wanted bool, ears *sync.WaitGroup) {
	c := &p.comparing
	switch {
	case wanted && c.ear == nil:
		ctx, cancel := context.WithCancel(ctx)
		c.ear = &ear{cancel: cancel}
		e := c.ear
		ears.Go(func() { p.hearStations(ctx, e) })
	case !wanted && c.ear != nil && now-c.apartAt > keepEar:
		c.ear.cancel()
		c.ear = nil
	}
	c.Listen(now, wanted && c.ear.open.Load())
}

// hearStations tells of stations until ctx ends. An ear that cannot be opened hears nobody, and then nobody is to blame.
func (p *port) hearStations(ctx context.Context, e *ear) {
	for ctx.Err() == nil {
		w, err := runner.OpenEar(runner.PortConfig{Interface: p.interfaceName(), VLAN: p.segment.VLAN})
		if err != nil {
			p.node.log.Debug("stations of the segment are not listened to", "port", p.name(), "err", err)
			pause(ctx, reopenEvery)
			continue
		}
		e.open.Store(true)
		p.node.tellWire(wireNews{port: p})
		stop := context.AfterFunc(ctx, w.Interrupt)
		for {
			stations, err := w.Hear()
			if err != nil {
				break
			}
			now := p.node.elapsed()
			for _, s := range stations {
				p.node.tellWire(wireNews{port: p, station: &alone.Sighting{MAC: s.MAC, Ago: now - s.Ago}})
			}
			pause(ctx, earEvery)
		}
		e.open.Store(false)
		stop()
		if err := w.Close(); err != nil {
			p.node.log.Debug("close the ear", "port", p.name(), "err", err)
		}
	}
}

// wireReports is the channel on which other gateways tell what they hear.
type wireReports struct{ node *Node }

var _ mesh.Channel = wireReports{}

// Receive hands a report on.
func (c wireReports) Receive(from drawbridge.PeerID, msg []byte) {
	r, err := alone.ParseReport(from, msg)
	if err != nil {
		c.node.log.Debug("what is heard on a segment was not understood", "peer", from, "err", err)
		return
	}
	for _, p := range c.node.ports {
		if p.segment != nil && drawbridge.SegmentIDOf(p.segment.Name) == r.Segment {
			c.node.tellWire(wireNews{port: p, report: &r})
		}
	}
}

// State is empty: it is told again soon.
func (wireReports) State() []byte { return nil }

// Merge has nothing to do.
func (wireReports) Merge(drawbridge.PeerID, []byte) {}
