package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// presence is where frames for a node come by, and the address that its own frames have there. A node behind a router
// is present on the router's outside as the router.
type presence struct {
	medium    string
	space     string // name of a switch, router or node
	iface     string
	direction netlab.Direction // of frames for the node
	mac       drawbridge.MAC
}

func (p *plan) presences(node string) (all []presence) {
	for _, g := range p.plugsOf(node) {
		if g.wire >= 0 {
			all = append(all, presence{g.medium, node, g.iface, netlab.In, g.mac})
			continue
		}
		all = append(all, presence{g.medium, g.medium, g.port, netlab.Out, g.mac})
		if _, isRouter := p.topo.router(g.medium); isRouter {
			all = append(all, p.presences(g.medium)...)
		}
	}
	return all
}

// meetings are the places at which frames of two nodes meet the other, in both directions.
func (p *plan) meetings(a, b string) (m [][2]presence) {
	for _, at := range p.presences(a) {
		for _, other := range p.presences(b) {
			if at.medium == other.medium && at.mac != other.mac {
				m = append(m, [2]presence{at, other})
			}
		}
	}
	return m
}

// cutSlot distinguishes the cuts of a node by whom from. Loss is in a later slot.
func (p *plan) cutSlot(from string) uint16 {
	return uint16(1 + slices.IndexFunc(p.topo.Nodes, func(n Node) bool { return n.Name == from }))
}

// Cut interrupts the underlay between two nodes in both directions, or, when b is a segment of a, unplugs a from that
// VLAN: the port of the VLAN's switch goes down. What was cut already stays cut.
func Cut(name, a, b string) error {
	return change(name, func(l *Lab) error {
		c, err := l.cutOf(a, b)
		if err != nil {
			return err
		}
		if err := l.apply(c, true); err != nil {
			return err
		}
		if !slices.Contains(l.Cuts, c) {
			l.Cuts = append(l.Cuts, c)
		}
		return nil
	})
}

// Heal undoes one cut, or all when a and b are empty.
func Heal(name, a, b string) error {
	return change(name, func(l *Lab) error {
		if a == "" && b == "" {
			var errs []error
			for _, c := range l.Cuts {
				errs = append(errs, l.apply(c, false))
			}
			l.Cuts = nil
			return errors.Join(errs...)
		}
		c, err := l.cutOf(a, b)
		if err != nil {
			return err
		}
		if !slices.Contains(l.Cuts, c) {
			return fmt.Errorf("%s is not cut; %s", c, l.describeCuts())
		}
		l.Cuts = slices.DeleteFunc(l.Cuts, func(other cut) bool { return other == c })
		return l.apply(c, false)
	})
}

// change runs f on a lab while nobody else works on it, and saves what it did.
func change(name string, f func(*Lab) error) error {
	unlock, err := lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := open(name)
	if err != nil {
		return err
	}
	return errors.Join(f(l), l.save())
}

// cutOf finds out what a and b are. Two nodes are kept in the order of their names, so that "x y" is "y x".
func (l *Lab) cutOf(a, b string) (cut, error) {
	n, ok := l.plan.topo.node(a)
	if !ok {
		return cut{}, fmt.Errorf("%q is not a node; those are %s", a, nodeNames(l.plan.topo))
	}
	if _, ok := n.segment(b); ok {
		return cut{A: a, Segment: b}, nil
	}
	if _, ok := l.plan.topo.node(b); !ok || a == b {
		return cut{}, fmt.Errorf("%q is neither another node (%s) nor a segment of %s", b, nodeNames(l.plan.topo), a)
	}
	if len(l.plan.meetings(a, b)) == 0 {
		return cut{}, fmt.Errorf("nothing to cut: there is no underlay between %s and %s", a, b)
	}
	return cut{A: min(a, b), B: max(a, b)}, nil
}

func (c cut) String() string {
	if c.Segment != "" {
		return c.A + " from " + c.Segment
	}
	return c.A + "-" + c.B
}

func (l *Lab) describeCuts() string {
	if len(l.Cuts) == 0 {
		return "nothing is cut"
	}
	var all []string
	for _, c := range l.Cuts {
		all = append(all, c.String())
	}
	return "cut are " + strings.Join(all, ", ")
}

// apply makes a cut, or undoes it.
func (l *Lab) apply(c cut, on bool) error {
	if c.Segment != "" {
		return l.plug(c, !on)
	}
	for _, m := range l.plan.meetings(c.A, c.B) {
		if err := errors.Join(l.keepAway(m[0], c.B, m[1].mac, on), l.keepAway(m[1], c.A, m[0].mac, on)); err != nil {
			return err
		}
	}
	return nil
}

// keepAway drops at one place what comes from the hardware address under which another node appears there.
func (l *Lab) keepAway(at presence, from string, mac drawbridge.MAC, on bool) error {
	return l.within(at.space, func(n *netlab.Namespace) error {
		if on {
			return n.Fault(at.iface, at.direction, netlab.Block(l.plan.cutSlot(from), mac))
		}
		return n.Mend(at.iface, at.direction, l.plan.cutSlot(from))
	})
}

// plug moves a node's cable to a segment, at the switch.
func (l *Lab) plug(c cut, in bool) error {
	n, _ := l.plan.topo.node(c.A)
	s, _ := n.segment(c.Segment)
	i := slices.IndexFunc(n.Segments, func(s Segment) bool { return s.Name == c.Segment })
	return l.within(s.Switch, func(sw *netlab.Namespace) error {
		if in {
			return sw.Up(segmentPort(c.A, i))
		}
		return sw.Down(segmentPort(c.A, i))
	})
}

// within opens the namespace of a node, host, switch or router for f.
func (l *Lab) within(name string, f func(*netlab.Namespace) error) error {
	n, err := netlab.Open(l.plan.space(name))
	if err != nil {
		return err
	}
	defer n.Close()
	return f(n)
}
