package doctor

import (
	"encoding/binary"
	"errors"
	"fmt"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// BPDU is what a bridge says of the port that it is sent from.
type BPDU struct {
	Version    uint8  `json:"version"` // 0 STP (802.1D-1998), 2 RSTP, 3 MSTP
	PVST       bool   `json:"pvst"`    // Cisco's, one tree for each VLAN
	Change     bool   `json:"change"`  // a topology change is under way
	Forwarding bool   `json:"forwarding"`
	Learning   bool   `json:"learning"`
	Root       string `json:"root"`   // priority and address of the root bridge
	Bridge     string `json:"bridge"` // of the sender
	Port       uint16 `json:"port"`
	Forward    uint16 `json:"forward_delay_s"`
}

var errNoBPDU = errors.New("no BPDU")

// Where BPDUs go, and what stands before them: IEEE 802.1D-2004 §9.3 in LLC, Cisco's PVST+ in SNAP.
var (
	toBridges = [6]byte{0x01, 0x80, 0xc2, 0, 0, 0}
	toPVST    = [6]byte{0x01, 0, 0x0c, 0xcc, 0xcc, 0xcd}
	llc       = "\x42\x42\x03"
	snap      = "\xaa\xaa\x03\x00\x00\x0c\x01\x0b"
)

// ParseBPDU reads a frame, from its destination on.
func ParseBPDU(f []byte) (BPDU, error) {
	if len(f) < 17 {
		return BPDU{}, errNoBPDU
	}
	at, pvst := 12, [6]byte(f) == toPVST
	if [6]byte(f) != toBridges && !pvst {
		return BPDU{}, errNoBPDU
	}
	if binary.BigEndian.Uint16(f[12:]) == 0x8100 {
		at += 4
	}
	head := llc
	if pvst {
		head = snap
	}
	at += 2 // length
	if len(f) < at+len(head)+4 || string(f[at:at+len(head)]) != head {
		return BPDU{}, errNoBPDU
	}
	b, err := parseBody(f[at+len(head):])
	b.PVST = pvst
	return b, err
}

// parseBody is IEEE 802.1D-2004 §9.3.1 to §9.3.3.
func parseBody(b []byte) (BPDU, error) {
	if binary.BigEndian.Uint16(b) != 0 {
		return BPDU{}, fmt.Errorf("%w: protocol %d", errNoBPDU, binary.BigEndian.Uint16(b))
	}
	out := BPDU{Version: b[2]}
	if b[3] == 0x80 { // topology change notification: nothing follows
		out.Change = true
		return out, nil
	}
	if len(b) < 35 {
		return BPDU{}, fmt.Errorf("%w: cut off", errNoBPDU)
	}
	flags := b[4]
	out.Change = flags&1 != 0
	// Configuration BPDUs of 1998 have no such flags; only a forwarding or a listening port sends them.
	out.Learning, out.Forwarding = flags&0x10 != 0, flags&0x20 != 0
	out.Root, out.Bridge = bridgeID(b[5:13]), bridgeID(b[17:25])
	out.Port = binary.BigEndian.Uint16(b[25:])
	out.Forward = binary.BigEndian.Uint16(b[33:]) / 256
	return out, nil
}

func bridgeID(b []byte) string {
	return fmt.Sprintf("%d.%02x:%02x:%02x:%02x:%02x:%02x", binary.BigEndian.Uint16(b), b[2], b[3], b[4], b[5], b[6], b[7])
}

// kind is what the protocol is called.
func (b *BPDU) kind() string {
	names := map[uint8]string{0: "STP", 2: "RSTP", 3: "MSTP"}
	name, ok := names[b.Version]
	if !ok {
		name = fmt.Sprintf("bridge protocol %d", b.Version)
	}
	if b.PVST {
		name += " for each VLAN"
	}
	return name
}

const edgePort = "make it an edge port on the switch (portfast, admin-edge) without BPDU guard, or a gateway carries nothing for the first 30 s after its cable is plugged in"

func judgeSTP(f *Facts) (all []Result) {
	for _, w := range f.Wires {
		switch {
		case w.Error != "":
			all = append(all, unknown(w.Interface, "could not listen: "+w.Error, asRoot))
		case w.Listened == 0:
			all = append(all, unknown(w.Interface, "not listened to", "run drawbridge doctor without --quick"))
		case w.BPDUs == 0 || w.Last == nil:
			all = append(all, fine(w.Interface, fmt.Sprintf("no bridge protocol frame in %.1f s: the switch port speaks none, or is an edge port", w.Listened.Seconds())))
		case w.Last.Version >= 2 && w.Last.Root != "" && !w.Last.Forwarding:
			all = append(all, wrong(w.Interface, fmt.Sprintf("the switch port (%s, bridge %s, port %d) does not forward yet", w.Last.kind(), w.Last.Bridge, w.Last.Port), "wait 30 s and look again; then "+edgePort))
		default:
			all = append(all, advice(w.Interface, fmt.Sprintf("the switch port runs %s (bridge %s, port %d)", w.Last.kind(), w.Last.Bridge, w.Last.Port), edgePort))
		}
	}
	return all
}

func judgeTwins(f *Facts) (all []Result) {
	for _, w := range f.Wires {
		switch {
		case w.Error != "":
			all = append(all, unknown(w.Interface, "could not listen: "+w.Error, asRoot))
		case w.Listened == 0:
			all = append(all, unknown(w.Interface, "not listened to", "run drawbridge doctor without --quick"))
		case w.Twins > 0:
			all = append(all, wrong(w.Interface, drawbridge.Counted(w.Twins, "frame")+" came in under its own MAC address: the other gateway has the same one, or the wire is a loop",
				"give one of the two hosts another address (a cloned virtual machine keeps its original's), or look for the loop"))
		default:
			all = append(all, fine(w.Interface, fmt.Sprintf("nobody else used its address for %.1f s", w.Listened.Seconds())))
		}
	}
	return append(all, f.equalPorts()...)
}

// equalPorts finds two wires of this host with one address.
func (f *Facts) equalPorts() (all []Result) {
	owner := map[string]string{}
	for _, p := range f.Ports {
		name := f.base(p.Interface)
		i := f.iface(name)
		if i == nil || i.MAC == "" || p.Segment == "" {
			continue
		}
		if other := owner[i.MAC]; other != "" && other != name {
			all = append(all, wrong(name, "it has the MAC address of "+other+", "+i.MAC, "give one of the two another address: ip link set "+name+" address …"))
		}
		owner[i.MAC] = name
	}
	return all
}
