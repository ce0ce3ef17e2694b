package lab

import (
	"errors"
	"net/netip"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// stage is the name of the switch on which nodes join that have no way to the founder of their own: an operator would
// do the same on a desk, before carrying them to where they belong. It is gone before they start to run.
const stage = "(stage)"

// stageNet are the addresses on it (RFC 5737).
var stageNet = netip.MustParsePrefix("203.0.113.0/24")

const stageInterface = "stage"

// stage plugs those of joining that cannot call the founder, and the founder, into one switch. clear takes it away.
func (l *Lab) stage(joining []Node) (clear func() error, err error) {
	founder := l.plan.topo.founder().Name
	var far []string
	for _, n := range joining {
		if !l.plan.calls(n.Name, founder) {
			far = append(far, n.Name)
		}
	}
	if len(far) == 0 {
		return func() error { return nil }, nil
	}
	sw, err := netlab.Create(l.plan.space(stage))
	if err != nil {
		return nil, err
	}
	var plugged []string
	clear = func() error {
		var errs []error
		for _, port := range plugged { // the kernel would take them away too, but later
			errs = append(errs, sw.Remove(port))
		}
		return errors.Join(append(errs, sw.Close(), netlab.Delete(sw.Name()))...)
	}
	if err := sw.Bridge(bridge); err != nil {
		return nil, errors.Join(err, clear())
	}
	for i, name := range append([]string{founder}, far...) {
		if err := l.enter(sw, i, name, i > 0); err != nil {
			return nil, errors.Join(err, clear())
		}
		plugged = append(plugged, name)
	}
	return clear, nil
}

// enter plugs a node in; with a route, the founder's addresses are that way.
func (l *Lab) enter(sw *netlab.Namespace, i int, name string, routed bool) error {
	n, err := netlab.Open(l.plan.space(name))
	if err != nil {
		return err
	}
	defer n.Close()
	err = errors.Join(netlab.Wire(netlab.End{In: n, Name: stageInterface}, netlab.End{In: sw, Name: name}),
		sw.Attach(name, bridge), n.Address(stageInterface, number(stageNet, firstStation+i)))
	if err != nil || !routed {
		return err
	}
	for _, g := range l.plan.plugsOf(l.plan.topo.founder().Name) {
		if err := n.Route(netip.PrefixFrom(g.addr.Addr(), g.addr.Addr().BitLen()), number(stageNet, firstStation).Addr()); err != nil {
			return err
		}
	}
	return nil
}
