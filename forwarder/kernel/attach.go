package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// filterPriority is where the programs hang. Lower runs first; hostnet's gate for the user-space engine has its own.
const filterPriority = 0x4442

// tunnelMTU lets super-frames and full-size frames into the device; what does not fit the underlay is answered or
// fragmented there.
const tunnelMTU = 65000

// attachment is the programs of one interface.
type attachment struct {
	link     netlink.Link
	programs map[string]*ebpf.Program
	filters  []*netlink.BpfFilter
}

// Port describes one interface on which stations are.
type Port struct {
	Ifindex int
	Self    Short                // number of the attachment that frames from here carry
	Segment drawbridge.SegmentID // 0: a guest port
	Gate    int                  // descriptor of the gate's map; a guest port has none
}

// AddPort begins to forward on an interface.
func (e *Engine) AddPort(p Port) error {
	link, err := e.links.LinkByIndex(p.Ifindex)
	if err != nil {
		return fmt.Errorf("interface %d: %w", p.Ifindex, err)
	}
	c := constants{
		Ifindex: uint32(p.Ifindex), Self: uint32(p.Self), Segment: uint32(p.Segment), Tunnel: uint32(e.tunnel.Attrs().Index),
		Settle: uint64(e.options.Settle), MAC: mac{MAC: drawbridge.MAC(link.Attrs().HardwareAddr)},
	}
	hooks := []hook{{"from_port", netlink.HANDLE_MIN_INGRESS}}
	if p.Segment != 0 {
		hooks = []hook{{"to_port", netlink.HANDLE_MIN_EGRESS}, hooks[0]} // out first: nothing is injected unjudged
	}
	a, err := e.attach(link, c, p.Gate, hooks...)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ports[p.Ifindex] = a
	return e.putPort(port{uint32(p.Ifindex), uint32(p.Segment)})
}

func (e *Engine) putPort(p port) error {
	var l ports
	if err := e.maps[mapLocal].Lookup(uint32(0), &l); err != nil {
		return fmt.Errorf("local ports: %w", err)
	}
	if l.N == maxPorts {
		return fmt.Errorf("interface %d: an overlay has at most %d ports here", p.Ifindex, maxPorts)
	}
	l.Port[l.N] = p
	l.N++
	if p.Segment != 0 {
		if err := e.updateSegment(p.Segment, func(s *segment) { s.Port = p.Ifindex }); err != nil {
			return err
		}
	}
	return e.maps[mapLocal].Put(uint32(0), l)
}

func (e *Engine) updateSegment(id uint32, change func(*segment)) error {
	var s segment
	if err := e.maps[mapSegments].Lookup(id, &s); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("segment %d: %w", id, err)
	}
	change(&s)
	return e.maps[mapSegments].Put(id, s)
}

// hook is where a program hangs on an interface.
type hook struct {
	program string
	parent  uint32
}

func (e *Engine) attach(link netlink.Link, c constants, gate int, hooks ...hook) (a *attachment, err error) {
	var names []string
	for _, h := range hooks {
		names = append(names, h.program)
	}
	var own *ebpf.Map
	if c.Segment != 0 {
		fd, err := unix.FcntlInt(uintptr(gate), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("interface %s: gate: %w", link.Attrs().Name, err)
		}
		if own, err = ebpf.NewMapFromFD(fd); err != nil {
			return nil, fmt.Errorf("interface %s: the gate is no kernel gate: %w", link.Attrs().Name, err)
		}
		defer own.Close()
	}
	a = &attachment{link: link}
	if a.programs, err = e.copyOf(c, own, names...); err != nil {
		return nil, fmt.Errorf("interface %s: %w", link.Attrs().Name, err)
	}
	if err := classify(e.links, link); err != nil {
		return nil, errors.Join(err, a.close())
	}
	for _, h := range hooks {
		f := filter(link, h.parent, a.programs[h.program].FD())
		if err := e.links.FilterReplace(f); err != nil {
			return nil, errors.Join(fmt.Errorf("interface %s: attach %s: %w", link.Attrs().Name, h.program, err), a.detach(e.links))
		}
		a.filters = append(a.filters, f)
	}
	return a, nil
}

func filter(link netlink.Link, parent uint32, fd int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: link.Attrs().Index, Parent: parent, Handle: 1, Priority: filterPriority, Protocol: unix.ETH_P_ALL,
		},
		Fd: fd, Name: "drawbridge-kernel", DirectAction: true,
	}
}

// classify adds the clsact hook that filters hang on.
func classify(links *netlink.Handle, link netlink.Link) error {
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := links.QdiscAdd(q); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("interface %s: add the clsact hook: %w: %w", link.Attrs().Name, ErrNotSupported, err)
	}
	return nil
}

func (a *attachment) detach(links *netlink.Handle) error {
	var errs []error
	for _, f := range a.filters {
		err := links.FilterDel(f)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("interface %s: detach: %w", a.link.Attrs().Name, err))
		}
	}
	return errors.Join(append(errs, a.close())...)
}

func (a *attachment) close() error {
	var errs []error
	for _, p := range a.programs {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// openTunnel makes the device that carries any number to any neighbour.
func (e *Engine) openTunnel() (netlink.Link, error) {
	v := e.device(e.options.Device)
	v.FlowBased, v.Port = true, int(e.options.Port)
	return e.addDevice(v)
}

func (e *Engine) device(name string) *netlink.Vxlan {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, tunnelMTU
	return &netlink.Vxlan{LinkAttrs: attrs, Learning: false}
}

func (e *Engine) addDevice(v *netlink.Vxlan) (netlink.Link, error) {
	if err := e.links.LinkAdd(v); err != nil {
		return nil, fmt.Errorf("add VXLAN device %s: %w: %w", v.Name, ErrNotSupported, err)
	}
	link, err := e.links.LinkByName(v.Name)
	if err == nil {
		err = e.links.LinkSetUp(link)
	}
	if err != nil {
		return nil, fmt.Errorf("VXLAN device %s: %w", v.Name, err)
	}
	return link, nil
}

func (e *Engine) guardTunnel() (err error) {
	index := uint32(e.tunnel.Attrs().Index)
	c := constants{Ifindex: index, Tunnel: index, Settle: uint64(e.options.Settle)}
	e.guard, err = e.attach(e.tunnel, c, -1, hook{"from_tunnel", netlink.HANDLE_MIN_INGRESS})
	return err
}
