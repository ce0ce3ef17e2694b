package lab

import (
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// spaces are open namespaces by the name of the node, host, switch or router.
type spaces map[string]*netlab.Namespace

func (s spaces) close() {
	for _, n := range s {
		n.Close() // the namespace stays; there is nothing to be done about an error
	}
}

// build makes the network of a plan. After an error the caller removes what was made.
func (p *plan) build() (err error) {
	s := spaces{}
	defer s.close()
	for _, name := range p.names() {
		if s[name], err = netlab.Create(p.space(name)); err != nil {
			delete(s, name)
			return err
		}
	}
	for _, step := range []func(spaces) error{p.buildSwitches, p.buildRouters, p.buildNodes, p.buildPlugs, p.buildWires, p.buildSegments, p.buildHosts} {
		if err := step(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) buildSwitches(s spaces) error {
	for _, sw := range p.topo.Switches {
		if err := s[sw.Name].Bridge(bridge); err != nil {
			return err
		}
	}
	return nil
}

// buildRouters leaves the translation itself to a process that up starts.
func (p *plan) buildRouters(s spaces) error {
	for _, r := range p.topo.Routers {
		n := s[r.Name]
		if err := errors.Join(n.Bridge(bridge), n.Address(bridge, number(r.Inside, insideRouter)), n.Sysctl("ipv4/ip_forward", "1")); err != nil {
			return err
		}
	}
	return nil
}

// buildNodes makes sure that the kernel does not relay for a node: that is what Drawbridge is for. A new namespace
// inherits forwarding from the machine.
func (p *plan) buildNodes(s spaces) error {
	for _, n := range p.topo.Nodes {
		if err := s[n.Name].Sysctl("ipv4/ip_forward", "0"); err != nil {
			return err
		}
	}
	return nil
}

// lossSlot is where the loss of a wire stands among the faults; cuts are before it.
const lossSlot = 1000

func (p *plan) buildPlugs(s spaces) error {
	for _, g := range p.plugs {
		if g.wire >= 0 {
			continue
		}
		n, far := s[g.owner], s[g.medium]
		err := p.wire(netlab.End{In: n, Name: g.iface, MAC: g.mac, MTU: p.topo.UnderlayMTU}, netlab.End{In: far, Name: g.port, MTU: p.topo.UnderlayMTU})
		if err = errors.Join(err, far.Attach(g.port, bridge), n.Address(g.iface, g.addr)); err != nil {
			return err
		}
		if g.via.IsValid() {
			err = n.Route(everywhere, g.via)
		}
		if g.loss > 0 {
			err = errors.Join(err, far.Fault(g.port, netlab.Out, netlab.Loss(lossSlot, g.loss)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) buildWires(s spaces) error {
	ends := map[int]plug{}
	for _, g := range p.plugs {
		if g.wire < 0 {
			continue
		}
		near, met := ends[g.wire]
		if ends[g.wire] = g; !met {
			continue
		}
		if err := p.wire(p.endOf(s, near), p.endOf(s, g)); err != nil {
			return err
		}
		for _, e := range []plug{near, g} {
			err := s[e.owner].Address(e.iface, e.addr)
			if e.loss > 0 {
				err = errors.Join(err, s[e.owner].Fault(e.iface, netlab.In, netlab.Loss(lossSlot, e.loss)))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *plan) endOf(s spaces, g plug) netlab.End {
	return netlab.End{In: s[g.owner], Name: g.iface, MAC: g.mac, MTU: p.topo.UnderlayMTU}
}

// wire makes one, with or without offloads.
func (p *plan) wire(a, b netlab.End) error {
	if err := netlab.Wire(a, b); err != nil || p.topo.Offload {
		return err
	}
	return errors.Join(a.In.Offload(a.Name, netlab.Offloads{}), b.In.Offload(b.Name, netlab.Offloads{}))
}

func (p *plan) buildSegments(s spaces) error {
	for _, n := range p.topo.Nodes {
		for i, seg := range n.Segments {
			near, far, port := s[n.Name], s[seg.Switch], segmentPort(n.Name, i)
			err := p.wire(netlab.End{In: near, Name: segmentInterface(seg.Name)}, netlab.End{In: far, Name: port})
			if err = errors.Join(err, near.Silence(segmentInterface(seg.Name)), far.Attach(port, bridge)); err != nil {
				return err
			}
			if seg.VLAN != 0 {
				if err := far.Trunk(port, seg.VLAN); err != nil {
					return fmt.Errorf("trunk of %s: %w", n.Name, err)
				}
			}
		}
	}
	return nil
}

func (p *plan) buildHosts(s spaces) error {
	for _, h := range p.hosts {
		n, far := s[h.Name], s[h.At]
		port := h.Name
		_, isGuest := p.topo.node(h.At)
		if isGuest {
			port = guestInterface(h.Name)
		}
		err := p.wire(netlab.End{In: n, Name: hostInterface, MAC: h.mac, MTU: p.topo.MTU}, netlab.End{In: far, Name: port, MTU: p.topo.MTU})
		switch {
		case err != nil:
		case isGuest:
			err = far.Silence(port)
		default:
			err = far.Attach(port, bridge)
		}
		for _, a := range h.addrs {
			err = errors.Join(err, n.Address(hostInterface, a))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
