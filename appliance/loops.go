package appliance

import (
	"fmt"
	"time"

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
			out.Circling, out.Remedy = true, circleRemedy(&c)
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

func circleRemedy(c *web.Circle) string {
	return fmt.Sprintf("something beside this network joins %s and %s: look for a cable between them, a bridge or a second gateway that is not of this network; nothing is multiplied, each copy is dropped",
		endWords(c.Heard), endWords(c.Known))
}

func endWords(e web.LoopEnd) string {
	switch e.At {
	case web.AtSegment:
		return "segment " + e.Segment
	case web.AtPort:
		return "port " + e.Port
	}
	return "a port of " + e.Peer
}

// loopProblems are frames that go round just now.
func (n *Node) loopProblems() []web.Problem {
	l := n.Loops()
	for _, c := range l.Circles {
		if c.Circling {
			return []web.Problem{{
				Summary: fmt.Sprintf("frames go round: those of %s come in at %s, %.0f a second, and the station is at %s", c.Source, endWords(c.Heard), c.PerSecond, endWords(c.Known)),
				Remedy:  l.Remedy + "; drawbridge loops shows all",
			}}
		}
	}
	return nil
}
