package appliance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/microscope"
	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/web"
)

// circlingFor is how old the last copy may be of what goes round just now.
const circlingFor = 10 * time.Second

// Loops implements web.Node.
func (n *Node) Loops() web.Loops {
	out := n.heardLoops()
	out.Elsewhere = n.loopsElsewhere()
	out.Remedy = n.loopRemedy(&out)
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
	out.Circling = slices.ContainsFunc(out.Circles, func(c web.Circle) bool { return c.Circling })
	return out
}

func circleView(c *forwarder.Circle, now time.Time, end func(forwarder.Where) web.LoopEnd) web.Circle {
	loop := c.Count >= microscope.Enough
	return web.Circle{
		Source: c.From.String(), Destination: c.To.String(), Type: fmt.Sprintf("%04x", c.Type), VNI: uint32(c.VNI),
		Heard: end(c.Heard), Known: end(c.Known), Loop: loop, Circling: loop && c.Last < circlingFor,
		Count: c.Count, PerSecond: float64(c.Count) / max(1, (c.First-c.Last).Seconds()), Since: now.Add(-c.First), Last: now.Add(-c.Last),
	}
}

// loopRemedy is what to do about what goes round; empty when nothing does.
func (n *Node) loopRemedy(l *web.Loops) string {
	return joinedRemedy(microscope.Join(circling(string(n.creds.Name), l)))
}

// circling is what goes round just now, as self and all others hear.
func circling(self string, l *web.Loops) (all []microscope.Heard) {
	add := func(peer string, circles []web.Circle) {
		for _, c := range circles {
			if c.Circling {
				all = append(all, microscope.Heard{By: peer, Circle: c})
			}
		}
	}
	add(self, l.Circles)
	for _, p := range l.Elsewhere {
		if p.Circling {
			add(p.Peer, p.Circles)
		}
	}
	return all
}

func joinedRemedy(joined []microscope.Joined) string {
	if len(joined) == 0 {
		return ""
	}
	return fmt.Sprintf("something beside this network joins %s: look for a cable between them, a bridge or a second gateway that is not of this network; nothing is multiplied, each copy is dropped",
		microscope.Places(joined))
}

// loopProblems are frames that go round just now.
func (n *Node) loopProblems() []web.Problem {
	l := n.heardLoops()
	i := slices.IndexFunc(l.Circles, func(c web.Circle) bool { return c.Circling })
	if i < 0 {
		return nil
	}
	c := l.Circles[i]
	l.Elsewhere = n.loopsElsewhere()
	return []web.Problem{{
		Summary: fmt.Sprintf("frames go round: those of %s come in at %s, %.0f a second, and the station is at %s", c.Source, c.Heard, c.PerSecond, c.Known),
		Remedy:  n.loopRemedy(&l) + "; drawbridge loops shows all",
	}}
}

// lookEvery is how often somebody looks through the microscope who is to tell of what begins and ends: the data path notes, and tells nobody.
const lookEvery = time.Second

// loopsOn are the loops that go on, as conditions and other peers learn of them.
type loopsOn struct {
	mu  sync.Mutex // guards what follows
	all []microscope.Loop
}

// present are those that go on; nobody changes them.
func (l *loopsOn) present() []microscope.Loop {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
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
				fmt.Sprintf("frames no longer go round between %s and %s: %s in %s dropped", l.Heard, l.Known, drawbridge.Counted(l.Copies, "copy was", "copies were"), l.Last.Sub(l.Since).Round(time.Second))))
		}
	}
}

func loopEvent(l *microscope.Loop, level, kind, text string) web.Event {
	return web.Event{Level: level, Kind: kind, Text: text, Peer: l.Heard.Peer, Port: l.Heard.Port, Segment: l.Segment(), Reason: fmt.Sprintf("overlay %d", l.VNI)}
}

// loopConditions are loops that go on as this peer hears.
func (a *alerting) loopConditions(c *conditions) {
	on := a.node.loopsOn.present()
	if len(on) == 0 {
		return
	}
	told := a.node.Loops()
	self := string(a.node.creds.Name)
	heard := circling(self, &told)
	for _, l := range on {
		remedy := joinedRemedy(microscope.JoinOf(microscope.Heard{By: self, Circle: web.Circle{VNI: l.VNI, Heard: l.Heard, Known: l.Known}}, heard))
		k := c.add(notify.Warn, "frames_circle", l.Heard.Name()+"-"+l.Known.Name(), remedy, "frames go round between %s and %s", l.Heard, l.Known)
		k.Port, k.Peer, k.Segment = l.Heard.Port, l.Heard.Peer, l.Segment()
	}
}
