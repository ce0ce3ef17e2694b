package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// Direction of frames as the interface sees them.
type Direction int

const (
	In  Direction = iota // from the wire
	Out                  // to the wire
)

func (d Direction) parent() uint32 {
	if d == In {
		return netlink.HANDLE_MIN_INGRESS
	}
	return netlink.HANDLE_MIN_EGRESS
}

// Verdicts of a direct-action classifier (linux/pkt_cls.h).
const (
	actNext = -1 // TC_ACT_UNSPEC: no opinion, ask the filter with the next priority
	actDrop = 2  // TC_ACT_SHOT
)

// Fault is a rule on one direction of an interface. Several may stand on the same one.
type Fault struct {
	// Slot distinguishes faults of one direction of one interface, and orders them: 1 is asked first. Setting
	// a fault in a used slot replaces it.
	Slot uint16
	code asm.Instructions
	what string
}

// Block drops frames that come from a hardware address.
func Block(slot uint16, source drawbridge.MAC) Fault {
	const behindDestination = 6
	return blockAt(slot, behindDestination, source, "block ")
}

// BlockTo drops frames for a hardware address.
func BlockTo(slot uint16, destination drawbridge.MAC) Fault {
	return blockAt(slot, 0, destination, "block to ")
}

// blockAt drops frames with an address at a place.
func blockAt(slot uint16, at int32, m drawbridge.MAC, what string) Fault {
	return Fault{slot, asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), // LD_ABS reads the frame of the context in R6, in host order
		asm.LoadAbs(at, asm.Word),
		asm.JNE.Imm32(asm.R0, int32(binary.BigEndian.Uint32(m[:4])), "next"),
		asm.LoadAbs(at+4, asm.Half),
		asm.JNE.Imm(asm.R0, int32(binary.BigEndian.Uint16(m[4:])), "next"),
		asm.Mov.Imm(asm.R0, actDrop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, actNext).WithSymbol("next"),
		asm.Return(),
	}, what + m.String()}
}

// Silent drops every frame.
func Silent(slot uint16) Fault {
	return Fault{slot, asm.Instructions{asm.Mov.Imm(asm.R0, actDrop), asm.Return()}, "silent"}
}

// Loss drops frames at random with the given probability, 0 to 1, each independently of the others.
func Loss(slot uint16, probability float64) Fault {
	threshold := uint32(min(max(probability, 0), 1) * math.MaxUint32)
	return Fault{slot, asm.Instructions{
		asm.FnGetPrandomU32.Call(),
		asm.JGT.Imm32(asm.R0, int32(threshold), "next"),
		asm.Mov.Imm(asm.R0, actDrop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, actNext).WithSymbol("next"),
		asm.Return(),
	}, fmt.Sprintf("loss %g", probability)}
}

// Reflect sends every frame that comes in back out of the same port too, as a switch with a looped cable behind it does.
func Reflect(slot uint16) Fault {
	return Fault{slot, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbIfindex, asm.Word),
		asm.Mov.Imm(asm.R3, 0), // out of it
		asm.FnCloneRedirect.Call(),
		asm.Mov.Imm(asm.R0, actNext),
		asm.Return(),
	}, "reflect"}
}

// offset of fields in struct __sk_buff (linux/bpf.h).
const (
	skbIfindex     = 40
	skbVLANPresent = 20
	skbVLANTCI     = 24
)

// vlanMask is the VLAN number in a tag control information (IEEE 802.1Q §9.6); the rest is priority.
const vlanMask = 0xfff

// tag puts an 802.1Q tag on every frame.
func tag(slot uint16, vlan uint16) Fault {
	return Fault{slot, asm.Instructions{
		asm.Mov.Imm(asm.R2, int32(htons(unix.ETH_P_8021Q))), // in network order
		asm.Mov.Imm(asm.R3, int32(vlan)),
		asm.FnSkbVlanPush.Call(),
		asm.Mov.Imm(asm.R0, actNext),
		asm.Return(),
	}, fmt.Sprintf("tag %d", vlan)}
}

// untag takes the tag off frames of one VLAN and drops all others.
func untag(slot uint16, vlan uint16) Fault {
	return Fault{slot, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, skbVLANPresent, asm.Word),
		asm.JEq.Imm(asm.R2, 0, "drop"),
		asm.LoadMem(asm.R2, asm.R1, skbVLANTCI, asm.Word),
		asm.And.Imm(asm.R2, vlanMask),
		asm.JNE.Imm(asm.R2, int32(vlan), "drop"),
		asm.FnSkbVlanPop.Call(),
		asm.Mov.Imm(asm.R0, actNext),
		asm.Return(),
		asm.Mov.Imm(asm.R0, actDrop).WithSymbol("drop"),
		asm.Return(),
	}, fmt.Sprintf("untag %d", vlan)}
}

// trunkSlot is after all faults that people set.
const trunkSlot = math.MaxUint16

// Trunk makes a switch port the trunk port of a switch that is one VLAN: what leaves is tagged, what comes in has to
// be. It stands in for bridge vlan_filtering, which not every kernel has.
func (n *Namespace) Trunk(port string, vlan uint16) error {
	if err := n.Fault(port, Out, tag(trunkSlot, vlan)); err != nil {
		return err
	}
	return n.Fault(port, In, untag(trunkSlot, vlan))
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// Fault puts a rule on an interface. It needs CAP_BPF outside of any user namespace.
func (n *Namespace) Fault(name string, d Direction, f Fault) error {
	l, err := n.link(name)
	if err != nil {
		return err
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "netlab_fault", Type: ebpf.SchedCLS, Instructions: f.code, License: "GPL"})
	if err != nil {
		return fmt.Errorf("%s on %s:%s: %w", f.what, n.name, name, err)
	}
	defer p.Close() // the filter holds it from then on
	if err := n.classify(l); err != nil {
		return fmt.Errorf("%s on %s:%s: %w", f.what, n.name, name, err)
	}
	if err := n.links.FilterReplace(filter(l, d, f.Slot, p.FD())); err != nil {
		return fmt.Errorf("%s on %s:%s: %w", f.what, n.name, name, err)
	}
	return nil
}

// classify adds the clsact hook that filters hang on.
func (n *Namespace) classify(l netlink.Link) error {
	q := &netlink.GenericQdisc{QdiscType: "clsact", QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := n.links.QdiscAdd(q); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("clsact: %w", err)
	}
	return nil
}

func filter(l netlink.Link, d Direction, slot uint16, fd int) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: l.Attrs().Index, Parent: d.parent(), Handle: 1, Priority: slot, Protocol: unix.ETH_P_ALL,
		},
		Fd: fd, Name: "netlab", DirectAction: true,
	}
}

// Mend takes the rule in a slot away; none there is no error.
func (n *Namespace) Mend(name string, d Direction, slot uint16) error {
	l, err := n.link(name)
	if err != nil {
		return err
	}
	err = n.links.FilterDel(filter(l, d, slot, -1))
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) { // EINVAL: no clsact
		return fmt.Errorf("mend %s:%s: %w", n.name, name, err)
	}
	return nil
}
