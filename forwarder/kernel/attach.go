package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// filterPriority and filterName are where the programs hang and how Clean knows them. Lower priorities run first; the
// gate of the user-space engine has its own.
const (
	filterPriority = 0x4442
	filterName     = "drawbridge-kernel"
)

// attachment is the programs of one interface.
type attachment struct {
	*copied
	link    netlink.Link
	filters []*netlink.BpfFilter
}

// hook is where a program hangs on an interface.
type hook struct {
	program string
	parent  uint32
}

// attach loads a copy of the programs for the interface and hangs them up, in place of an earlier process's; those named in beside are
// loaded only. gate is nil where there is none.
func (e *Engine) attach(link netlink.Link, c constants, gate *ebpf.Map, beside []string, hooks ...hook) (a *attachment, err error) {
	names := slices.Clone(beside)
	for _, h := range hooks {
		names = append(names, h.program)
	}
	a = &attachment{link: link}
	if a.copied, err = e.copyOf(c, gate, names...); err != nil {
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

// filter names a program's place. The handle is fixed, so that replacing it is one step without a gap.
func filter(link netlink.Link, parent uint32, fd int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: link.Attrs().Index, Parent: parent, Handle: 1, Priority: filterPriority, Protocol: unix.ETH_P_ALL,
		},
		Fd: fd, Name: filterName, DirectAction: true,
	}
}

// classify adds the clsact hook that filters hang on.
func classify(links *netlink.Handle, link netlink.Link) error {
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := links.QdiscAdd(q); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("interface %s: add the clsact hook (CONFIG_NET_SCH_INGRESS): %w: %w", link.Attrs().Name, ErrNotSupported, err)
	}
	return nil
}

// detach takes the programs down in the opposite order, so that what is judged on its way out is so to the last.
func (a *attachment) detach(links *netlink.Handle) error {
	var errs []error
	for i := len(a.filters) - 1; i >= 0; i-- {
		if err := gone(links.FilterDel(a.filters[i])); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: detach: %w", a.link.Attrs().Name, err))
		}
	}
	return errors.Join(append(errs, a.close())...)
}

// gone takes the absence of what was to be removed for success.
func gone(err error) error {
	for _, absent := range []error{unix.ENOENT, unix.ENODEV, unix.EINVAL} { // EINVAL: the interface has no clsact
		if errors.Is(err, absent) {
			return nil
		}
	}
	return err
}
