package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// Port is an interface on which stations are.
type Port struct {
	Ifindex int
	Self    Short                // number of the attachment that frames from here carry
	Segment drawbridge.SegmentID // 0: a guest port
	Gate    int                  // descriptor of the map of the port's gate (gate.Kernel.Memory); -1: a guest port without one
}

// AddPort begins to forward on an interface. A port that is there already gets the new description.
func (e *Engine) AddPort(p Port) error {
	link, gate, err := e.checkPort(p)
	if err != nil {
		return err
	}
	if gate != nil {
		defer gate.Close()
	}
	c := constants{
		Ifindex: uint32(p.Ifindex), Self: uint32(p.Self), Segment: uint32(p.Segment), Tunnel: uint32(e.tunnel.Attrs().Index),
		Settle: uint64(e.options.Settle), MAC: mac{MAC: drawbridge.MAC(link.Attrs().HardwareAddr)},
	}
	in := hook{"from_port", netlink.HANDLE_MIN_INGRESS}
	hooks := []hook{in}
	if gate != nil {
		c.Gated = 1
		hooks = []hook{{"to_port", netlink.HANDLE_MIN_EGRESS}, in} // out first: nothing is injected unjudged
	}
	a, err := e.attach(link, c, gate, []string{programChoose}, hooks...)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.ports[p.Ifindex]; old != nil {
		err = old.close()
	}
	e.ports[p.Ifindex] = a
	return errors.Join(err, e.listPort(p))
}

// Enter has the kernel flood a frame for many as if a station at the port had sent it: a frame that this process writes to the interface
// leaves there. It is a test run of the port's program, which copies a flood to where it belongs; a frame for one station would stay in it.
func (e *Engine) Enter(ifindex int, f drawbridge.Frame) error {
	e.mu.Lock()
	a := e.ports[ifindex]
	e.mu.Unlock()
	if a == nil {
		return fmt.Errorf("interface %d is no port of the kernel engine", ifindex)
	}
	if _, err := a.programs["from_port"].Run(&ebpf.RunOptions{Data: f}); err != nil {
		return fmt.Errorf("interface %d: enter a frame: %w", ifindex, err)
	}
	return nil
}

// checkPort opens what the description names.
func (e *Engine) checkPort(p Port) (link netlink.Link, gate *ebpf.Map, err error) {
	if p.Self == 0 || p.Self > MaxShort {
		return nil, nil, fmt.Errorf("interface %d: short id %d is not 1 to %d", p.Ifindex, p.Self, MaxShort)
	}
	if link, err = e.links.LinkByIndex(p.Ifindex); err != nil {
		return nil, nil, fmt.Errorf("interface %d: %w", p.Ifindex, err)
	}
	if len(link.Attrs().HardwareAddr) != 6 {
		return nil, nil, fmt.Errorf("interface %s is no Ethernet", link.Attrs().Name)
	}
	if p.Gate < 0 {
		if p.Segment != 0 {
			return nil, nil, fmt.Errorf("interface %s: a segment port needs a gate", link.Attrs().Name)
		}
		return link, nil, nil
	}
	fd, err := unix.FcntlInt(uintptr(p.Gate), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("interface %s: gate: %w", link.Attrs().Name, err)
	}
	if gate, err = ebpf.NewMapFromFD(fd); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("interface %s: the gate is none that the kernel obeys: %w", link.Attrs().Name, err), unix.Close(fd))
	}
	return link, gate, nil
}

// RemovePort ends forwarding on an interface. Its addresses are for Forget.
func (e *Engine) RemovePort(ifindex int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.ports[ifindex]
	if a == nil {
		return fmt.Errorf("interface %d is no port", ifindex)
	}
	delete(e.ports, ifindex)
	return errors.Join(e.unlistPort(uint32(ifindex)), a.detach(e.links))
}

// listPort makes floods go to the port.
func (e *Engine) listPort(p Port) error {
	var l ports
	if err := e.maps[mapLocal].Lookup(uint32(0), &l); err != nil {
		return fmt.Errorf("local ports: %w", err)
	}
	if err := l.add(port{uint32(p.Ifindex), uint32(p.Segment)}); err != nil {
		return err
	}
	if p.Segment != 0 {
		if err := e.changeSegment(p.Segment, func(s *segment) { s.Port = uint32(p.Ifindex) }); err != nil {
			return err
		}
	}
	return e.maps[mapLocal].Put(uint32(0), l)
}

func (e *Engine) unlistPort(ifindex uint32) error {
	var l ports
	if err := e.maps[mapLocal].Lookup(uint32(0), &l); err != nil {
		return fmt.Errorf("local ports: %w", err)
	}
	p, ok := l.remove(ifindex)
	if !ok {
		return nil
	}
	if p.Segment != 0 {
		if err := e.changeSegment(drawbridge.SegmentID(p.Segment), func(s *segment) { s.Port = 0 }); err != nil {
			return err
		}
	}
	return e.maps[mapLocal].Put(uint32(0), l)
}

// add puts p in, in place of an entry of the same interface.
func (l *ports) add(p port) error {
	for i := range l.N {
		if l.Port[i].Ifindex == p.Ifindex {
			l.Port[i] = p
			return nil
		}
	}
	if l.N == maxPorts {
		return fmt.Errorf("interface %d: an overlay has at most %d ports here", p.Ifindex, maxPorts)
	}
	l.Port[l.N] = p
	l.N++
	return nil
}

func (l *ports) remove(ifindex uint32) (p port, ok bool) {
	for i := range l.N {
		if p = l.Port[i]; p.Ifindex == ifindex {
			l.N--
			l.Port[i], l.Port[l.N] = l.Port[l.N], port{}
			return p, true
		}
	}
	return port{}, false
}

// changeSegment changes a segment's row, which a port and the table have each a part of.
func (e *Engine) changeSegment(id drawbridge.SegmentID, change func(*segment)) error {
	var s segment
	if err := e.maps[mapSegments].Lookup(uint32(id), &s); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("segment %d: %w", id, err)
	}
	change(&s)
	if s == (segment{}) {
		return absent(e.maps[mapSegments].Delete(uint32(id)))
	}
	return e.maps[mapSegments].Put(uint32(id), s)
}

// absent takes a key that is not there for removed.
func absent(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}
