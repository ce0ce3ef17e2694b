package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// Slots of the faults that rows set, behind those that `lab cut` sets by the number of a node.
const (
	slotMute    = 500
	slotReflect = 520
	slotEat     = 530
	slotDeaf    = 540
)

// in opens a namespace of the lab.
func (f *field) in(name string, do func(*netlab.Namespace) error) {
	f.t.Helper()
	f.do(inside(f.Name, name, do))
}

func inside(labName, name string, do func(*netlab.Namespace) error) error {
	n, err := netlab.Open(labName + "-" + name)
	if err != nil {
		return err
	}
	return errors.Join(do(n), n.Close())
}

// processes of a node: the lease agent first, then its daemon.
func (f *field) processes(who string) (pids []int) {
	f.t.Helper()
	pids, err := netlab.Pids(f.Name + "-" + f.node(who))
	f.do(err)
	rank := func(pid int) int {
		if isAgent(pid) {
			return 0
		}
		return 1
	}
	slices.SortFunc(pids, func(x, y int) int { return rank(x) - rank(y) })
	return pids
}

func isAgent(pid int) bool {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // gone: it is none
	return strings.Contains(string(line), "lease-agent")
}

func (f *field) signalWhole(who string, s syscall.Signal) {
	f.t.Helper()
	for _, pid := range f.processes(who) {
		f.do(syscall.Kill(pid, s))
	}
}

// powerOff kills everything of a node at once, the lease agent first, so that nothing is released.
func (f *field) powerOff(who string) {
	f.t.Helper()
	f.j.died(f.node(who))
	f.signalWhole(who, syscall.SIGKILL)
	eventually(f.t, reachLimit, "the daemon of "+f.node(who)+" is dead", func() bool {
		s, err := lab.StatusOf(f.Name)
		f.do(err)
		return slices.ContainsFunc(s.Nodes, func(n lab.NodeStatus) bool { return n.Name == f.node(who) && n.Pid == 0 })
	})
}

// freeze stops a daemon, freezeWhole its lease agent, too.
func (f *field) freeze(who string) {
	f.t.Helper()
	f.do(lab.Freeze(f.Name, f.node(who)))
	f.j.note(f.node(who), "frozen")
}

func (f *field) freezeWhole(who string) {
	f.t.Helper()
	f.signalWhole(who, syscall.SIGSTOP)
	f.j.note(f.node(who), "frozen")
}

func (f *field) thaw(who string) {
	f.t.Helper()
	f.j.note(f.node(who), "thawed")
	f.do(lab.Thaw(f.Name, f.node(who)))
}

func (f *field) thawWhole(who string) {
	f.t.Helper()
	f.j.note(f.node(who), "thawed")
	f.signalWhole(who, syscall.SIGCONT)
}

// signalAgent hits the lease agent alone.
func (f *field) signalAgent(who string, s os.Signal) {
	f.t.Helper()
	for _, pid := range f.processes(who) {
		if isAgent(pid) {
			f.do(syscall.Kill(pid, s.(syscall.Signal)))
			return
		}
	}
	f.t.Fatalf("%s has no lease agent", who)
}

// mute drops on the underlay what one node sends to another; the other direction goes on.
func (f *field) mute(who, to string)   { f.t.Helper(); f.muted(who, to, true) }
func (f *field) unmute(who, to string) { f.t.Helper(); f.muted(who, to, false) }

func (f *field) muted(who, to string, on bool) {
	f.t.Helper()
	from, port := f.node(who), f.node(to)
	var mac drawbridge.MAC
	f.in(from, func(n *netlab.Namespace) (err error) {
		mac, err = n.MACOf("eth-net")
		return err
	})
	slot := uint16(slotMute) + uint16(from[0]) // one for each sender
	f.in("net", func(n *netlab.Namespace) error {
		if on {
			return n.Fault(port, netlab.Out, netlab.Block(slot, mac))
		}
		return n.Mend(port, netlab.Out, slot)
	})
}

// reflect has the switch send back to a gateway what comes from it.
func (f *field) reflect(who string, on bool) {
	f.t.Helper()
	f.in("vlan", func(n *netlab.Namespace) error {
		if on {
			return n.Fault(f.at(who), netlab.In, netlab.Reflect(slotReflect))
		}
		return n.Mend(f.at(who), netlab.In, slotReflect)
	})
}

// clear takes ALONE's verdict on a port back, as an operator does.
func (f *field) clear(who, port string) {
	f.t.Helper()
	f.do(f.api(f.node(who)).ClearPort(within(f.t, reachLimit), port, web.ClearRequest{By: "test"}))
}

// oneWay has the switch drop what comes from a gateway's port (In), or what goes to it (Out). The carrier stays.
func (f *field) oneWay(who string, d netlab.Direction, on bool) {
	f.t.Helper()
	f.in("vlan", func(n *netlab.Namespace) error {
		if on {
			return n.Fault(f.at(who), d, netlab.Silent(slotDeaf))
		}
		return n.Mend(f.at(who), d, slotDeaf)
	})
}

// restart ends a daemon and starts it: it then knows nothing of what it has done before.
func (f *field) restart(who string) { f.t.Helper(); f.kill(who); f.start(who) }

// unblock takes every verdict of ALONE on a gateway's ports back.
func (f *field) unblock(who string) {
	f.t.Helper()
	ports, err := f.api(f.node(who)).Ports(within(f.t, reachLimit))
	f.do(err)
	for _, p := range ports {
		if p.Blocked != "" {
			f.clear(who, p.Name)
		}
	}
}

// patch plugs a cable between two switches of the lab, or of two labs.
func (f *field) patch(one, otherLab, other string) {
	f.t.Helper()
	f.in(one, func(n *netlab.Namespace) error {
		return inside(otherLab, other, func(o *netlab.Namespace) error {
			return errors.Join(netlab.Wire(netlab.End{In: n, Name: "patch"}, netlab.End{In: o, Name: "patch"}),
				n.Attach("patch", "br0"), o.Attach("patch", "br0"))
		})
	})
}

func (f *field) unpatch(one string) {
	f.t.Helper()
	f.in(one, func(n *netlab.Namespace) error { return n.Remove("patch") })
}

// aloneGroup is the address that most hellos go to (docs/protocol/alone.md, "Frame").
var aloneGroup = drawbridge.MAC{0x03, 0x44, 0x42, 0x41, 0x4c, 0x4f}

// cable joins the network of the guest w1 and the VLAN. A bridge that eats groups lets every tenth hello through only.
func (f *field) cable(eats bool) {
	f.t.Helper()
	f.in("w1", func(guest *netlab.Namespace) error {
		return inside(f.Name, "vlan", func(vlan *netlab.Namespace) error {
			err := errors.Join(guest.Bridge("br0"), guest.Attach("eth0", "br0"),
				netlab.Wire(netlab.End{In: guest, Name: "cable"}, netlab.End{In: vlan, Name: "stray"}))
			if eats {
				err = errors.Join(err, guest.Fault("cable", netlab.In, netlab.BlockTo(slotEat, aloneGroup)))
			}
			return errors.Join(err, guest.Attach("cable", "br0"), vlan.Attach("stray", "br0"))
		})
	})
}

func (f *field) uncable() {
	f.t.Helper()
	f.in("w1", func(guest *netlab.Namespace) error {
		err := errors.Join(guest.Remove("cable"), guest.Remove("br0"), guest.Sysctl("ipv6/conf/eth0/disable_ipv6", "0"))
		for _, a := range f.host("w1").Addrs {
			if a.Is6() { // went with the switch
				err = errors.Join(err, guest.Address("eth0", netip.PrefixFrom(a, 64)))
			}
		}
		return err
	})
	f.clear("W", "port-w1")
}

// twoSwitches makes the VLAN two switches with a trunk between them: a and host1 on one, b and host2 on the other.
func (f *field) twoSwitches() {
	f.t.Helper()
	f.in("vlan", func(n *netlab.Namespace) error {
		return errors.Join(n.Bridge("br1"), netlab.Wire(netlab.End{In: n, Name: "trunk0"}, netlab.End{In: n, Name: "trunk1"}),
			n.Attach("trunk0", "br0"), n.Attach("trunk1", "br1"), n.Attach("b.s0", "br1"), n.Attach("host2", "br1"))
	})
}

// split cuts the trunk.
func (f *field) split(on bool) {
	f.t.Helper()
	f.in("vlan", func(n *netlab.Namespace) error {
		if on {
			return n.Down("trunk0")
		}
		return n.Up("trunk0")
	})
}
