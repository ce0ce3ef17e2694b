package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// tunnelMTU lets super-frames and full-size frames into the device; what does not fit the underlay is answered before,
// or fragmented after.
const tunnelMTU = 65000

// openTunnel makes the device that carries any number to any neighbour, in place of one that is there. One device
// with metadata for each frame is as fast as one for each neighbour (docs/adr/0018), and tells who sent a frame.
func (e *Engine) openTunnel() (netlink.Link, error) {
	if link, err := e.links.LinkByName(e.options.Device); err == nil {
		if v, ok := link.(*netlink.Vxlan); !ok || !v.FlowBased || v.Port != int(e.options.Port) {
			return nil, fmt.Errorf("interface %s is in the way: it is a %s, not ours; remove it or choose another name", e.options.Device, link.Type())
		}
		if err := e.links.LinkDel(link); err != nil {
			return nil, fmt.Errorf("remove the old VXLAN device %s: %w", e.options.Device, err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = e.options.Device, tunnelMTU
	v := &netlink.Vxlan{LinkAttrs: attrs, FlowBased: true, Port: int(e.options.Port), UDP6ZeroCSumTx: true, UDP6ZeroCSumRx: true}
	if err := e.links.LinkAdd(v); err != nil {
		return nil, fmt.Errorf("add VXLAN device %s on UDP port %d (CONFIG_VXLAN): %w: %w", v.Name, v.Port, ErrNotSupported, err)
	}
	link, err := e.links.LinkByName(v.Name)
	if err != nil {
		return nil, fmt.Errorf("VXLAN device %s: %w", v.Name, err)
	}
	return link, e.links.LinkSetUp(link)
}

func (e *Engine) guardTunnel() (err error) {
	index := uint32(e.tunnel.Attrs().Index)
	c := constants{Ifindex: index, Tunnel: index, Settle: uint64(e.options.Settle)}
	if e.options.Inner.IsValid() {
		c.Inner = addressOf(e.options.Inner)
	}
	e.guard, err = e.attach(e.tunnel, c, nil, nil, hook{"from_tunnel", netlink.HANDLE_MIN_INGRESS})
	return err
}
