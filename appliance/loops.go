package appliance

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/microscope"
	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/web"
)

// A guest that moves from host to host makes an echo or two as well. What goes round makes more, and goes on.
const (
	circlingFrom = 10
	circlingFor  = 10 * time.Second
)

// Loops implements web.Node.
func (n *Node) Loops() web.Loops {
	out := n.heardLoops()
	out.Elsewhere = n.loopsElsewhere()
	return out
}

// heardLoops is what this peer hears itself.
func (n *Node) heardLoops() web.Loops {
	out := web.Loops{Circles: []web.Circle{}, Blocked: []web.LoopPort{}}
	circles, missed := n.sw.Circles()
	out.Missed = missed
	if len(circles) > 0 {
		names, segments := n.names(), n.segmentNames()
		end := func(w forwarder.Where) (e web.LoopEnd) {
			e.At, e.Port, e.Peer, e.Segment = n.macPlace(w, names, segments)
			return e
		}
		for _, c := range circles {
			out.Circles = append(out.Circles, circleView(&c, time.Now().UTC(), end))
		}
	}
	for _, p := range n.ports {
		if reason, blocked := p.verdict(); blocked {
			out.Blocked = append(out.Blocked, web.LoopPort{Port: p.name(), Reason: string(reason), Problem: p.blockedProblem(reason)})
		}
	}
	for _, c := range out.Circles {
		if c.Circling && !out.Circling {
			out.Circling, out.Remedy = true, circleRemedy(c.Heard, c.Known)
		}
	}
	return out
}

func circleView(c *forwarder.Circle, now time.Time, end func(forwarder.Where) web.LoopEnd) web.Circle {
	return web.Circle{
		Source: c.From.String(), Destination: c.To.String(), Type: fmt.Sprintf("%04x", c.Type), VNI: uint32(c.VNI),
		Heard: end(c.Heard), Known: end(c.Known), Circling: c.Count >= circlingFrom && c.Last < circlingFor,
		Count: c.Count, PerSecond: float64(c.Count) / max(1, (c.First-c.Last).Seconds()), Since: now.Add(-c.First), Last: now.Add(-c.Last),
	}
}

func circleRemedy(heard, known web.LoopEnd) string {
	return fmt.Sprintf("something beside this network joins %s and %s: look for a cable between them, a bridge or a second gateway that is not of this network; nothing is multiplied, each copy is dropped",
		heard, known)
}

// loopProblems are frames that go round just now.
func (n *Node) loopProblems() []web.Problem {
	l := n.heardLoops()
	for _, c := range l.Circles {
		if c.Circling {
			return []web.Problem{{
				Summary: fmt.Sprintf("frames go round: those of %s come in at %s, %.0f a second, and the station is at %s", c.Source, c.Heard, c.PerSecond, c.Known),
				Remedy:  l.Remedy + "; drawbridge loops shows all",
			}}
		}
	}
	return nil
}

// lookEvery is how often somebody looks through the microscope who is to tell of what begins and ends: the data path notes, and tells nobody.
const lookEvery = time.Second

// loopsOn are the loops that go on, as conditions and other peers learn of them.
type loopsOn struct {
	mu  sync.Mutex // guards what follows
	all []microscope.Loop
}

// followLoops notes when loops begin and end.
func (n *Node) followLoops(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var watch microscope.Watch
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		began, ended := watch.Look(time.Now().UTC(), n.heardLoops().Circles)
		n.loopsOn.mu.Lock()
		n.loopsOn.all = watch.On()
		n.loopsOn.mu.Unlock()
		for _, l := range began {
			n.event(loopEvent(&l, web.LevelWarn, notify.KindLoop, fmt.Sprintf("frames go round between %s and %s, first those of %s", l.Heard, l.Known, l.Source)))
		}
		for _, l := range ended {
			n.event(loopEvent(&l, web.LevelInfo, notify.KindNoLoop,
				fmt.Sprintf("frames no longer go round between %s and %s: %d copies in %s were dropped", l.Heard, l.Known, l.Copies, l.Last.Sub(l.Since).Round(time.Second))))
		}
	}
}

func loopEvent(l *microscope.Loop, level, kind, text string) web.Event {
	return web.Event{Level: level, Kind: kind, Text: text, Peer: l.Heard.Peer, Port: l.Heard.Port, Segment: l.Segment(), Reason: fmt.Sprintf("overlay %d", l.VNI)}
}

// loopConditions are loops that go on as this peer hears.
func (a *alerting) loopConditions(c *conditions) {
	on := &a.node.loopsOn
	on.mu.Lock()
	defer on.mu.Unlock()
	for _, l := range on.all {
		k := c.add(notify.Warn, "frames_circle", l.Heard.Name()+"-"+l.Known.Name(), circleRemedy(l.Heard, l.Known), "frames go round between %s and %s", l.Heard, l.Known)
		k.Port, k.Peer, k.Segment = l.Heard.Port, l.Heard.Peer, l.Segment()
	}
}
