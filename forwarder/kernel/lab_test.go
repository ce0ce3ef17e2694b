package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// space makes a namespace that goes with the test.
func space(t *testing.T, name string) *netlab.Namespace {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	name = fmt.Sprintf("kern%d-%s", os.Getpid(), name)
	must(t, netlab.Delete(name))
	n, err := netlab.Create(name)
	must(t, err)
	t.Cleanup(func() { must(t, n.Close(), netlab.Delete(name)) })
	return n
}

// node is a peer with an engine, a guest host, and perhaps a port on the segment.
type node struct {
	short Short // of the guests; the segment port has 100 more
	ns    *netlab.Namespace
	e     *Engine
	host  *station
	gate  *gate.Kernel // of the segment port
	ports map[string]int
}

// lab is peers that are joined as a tree.
type lab struct {
	t     *testing.T
	nodes map[Short]*node
	wires [][2]Short
	vlan  *netlab.Namespace
	hosts *netlab.Namespace // all stations: they speak raw Ethernet, so one does not hear the other
}

const (
	theSegment = drawbridge.SegmentID(7)
	behind     = 100 // what a segment port's number is above its peer's
)

// newLab makes peers 1 to n with these wires between them, on one underlay.
func newLab(t *testing.T, n int, wires ...[2]Short) *lab {
	t.Helper()
	l := &lab{t: t, nodes: map[Short]*node{}, wires: wires, hosts: space(t, "hosts")}
	wan := space(t, "wan")
	must(t, wan.Bridge("br0"))
	for i := range n {
		l.nodes[Short(i+1)] = l.newNode(wan, i+1)
	}
	l.apply()
	return l
}

func underlay(i int) netip.Addr { return netip.AddrFrom4([4]byte{172, 31, 77, byte(i)}) }

func (l *lab) newNode(wan *netlab.Namespace, i int) *node {
	t, up := l.t, fmt.Sprint("p", i)
	d := &node{short: Short(i), ns: space(t, up), ports: map[string]int{}}
	must(t,
		netlab.Wire(netlab.End{In: d.ns, Name: "wan0"}, netlab.End{In: wan, Name: up}),
		wan.Attach(up, "br0"),
		d.ns.Address("wan0", netip.PrefixFrom(underlay(i), 24)),
	)
	d.host = l.station(d.ns, "lan0", fmt.Sprint("h", i), byte(i))
	must(t, d.ns.Do(func() (err error) {
		d.e, err = Load(Options{Device: "dbk0", Port: 4790, Settle: 300 * time.Millisecond})
		return err
	}))
	t.Cleanup(func() { must(t, d.e.Close()) })
	must(t, d.e.Take(Everything), d.e.Renew(time.Hour), d.addPort("lan0", Port{Self: d.short, Gate: -1}))
	return d
}

func (d *node) addPort(name string, p Port) (err error) {
	if p.Ifindex, err = d.ns.IndexOf(name); err != nil {
		return err
	}
	d.ports[name] = p.Ifindex
	return d.e.AddPort(p)
}

// onSegment gives peers a port on one segment, with gates that are shut, and a host there.
func (l *lab) onSegment(peers ...Short) *station {
	l.vlan = space(l.t, "vlan")
	must(l.t, l.vlan.Bridge("br0"))
	for _, s := range peers {
		d, port := l.nodes[s], fmt.Sprint("p", s)
		must(l.t,
			netlab.Wire(netlab.End{In: d.ns, Name: "seg0"}, netlab.End{In: l.vlan, Name: port}),
			l.vlan.Attach(port, "br0"),
		)
		var err error
		d.gate, err = gate.New()
		must(l.t, err)
		l.t.Cleanup(func() { must(l.t, d.gate.Close()) })
		must(l.t, d.addPort("seg0", Port{Self: s + behind, Segment: theSegment, Gate: d.gate.Memory()}))
	}
	host := l.station(l.vlan, "v1", "v1", 0xa1)
	must(l.t, l.vlan.Attach("v1", "br0"))
	l.apply()
	return host
}

// gateway makes a peer the segment's active gateway everywhere, for an hour.
func (l *lab) gateway(s Short) {
	l.t.Helper()
	if !l.nodes[s].gate.Open(1, gate.Now().Add(time.Hour)) {
		l.t.Fatal("the gate does not open")
	}
	for _, d := range l.nodes {
		table := l.table(d.short)
		p := table.Peers[s+behind]
		p.MaySend = true
		table.Peers[s+behind] = p
		table.Gateways = map[drawbridge.SegmentID]Short{theSegment: s + behind}
		must(l.t, d.e.Apply(table))
	}
}

func (l *lab) apply() {
	l.t.Helper()
	for _, d := range l.nodes {
		must(l.t, d.e.Apply(l.table(d.short)))
	}
}

// table is what peer self knows: the tree is every origin's.
func (l *lab) table(self Short) Table {
	t := Table{Peers: map[Short]Peer{}, Children: map[Short][]Short{}}
	for s, d := range l.nodes {
		via := l.towards(self, s)
		p := Peer{MaySend: true, Local: s == self, Via: via, Parent: via, MTU: 1450}
		if !p.Local {
			p.Remote = underlay(int(via))
		}
		t.Peers[s] = p
		for _, n := range l.neighbours(self) {
			if n != via {
				t.Children[s] = append(t.Children[s], n)
			}
		}
		if d.gate != nil {
			p.Segment, p.MaySend = theSegment, false
			t.Peers[s+behind], t.Children[s+behind] = p, t.Children[s]
		}
	}
	return t
}

func (l *lab) neighbours(s Short) (all []Short) {
	for _, w := range l.wires {
		if i := slices.Index(w[:], s); i >= 0 {
			all = append(all, w[1-i])
		}
	}
	return all
}

// towards is the neighbour of from that leads to to.
func (l *lab) towards(from, to Short) Short {
	var leads func(at, before Short) bool
	leads = func(at, before Short) bool {
		return at == to || slices.ContainsFunc(l.neighbours(at), func(n Short) bool { return n != before && leads(n, at) })
	}
	for _, n := range l.neighbours(from) {
		if leads(n, from) {
			return n
		}
	}
	return 0
}

// dump logs all counters, for a test that fails.
func (l *lab) dump() {
	for _, s := range slices.Sorted(func(yield func(Short) bool) {
		for s := range l.nodes {
			if !yield(s) {
				return
			}
		}
	}) {
		c, err := l.nodes[s].e.Counters()
		l.t.Log("peer", s, c, err)
	}
}

func (l *lab) count(s Short, name string) uint64 {
	l.t.Helper()
	c, err := l.nodes[s].e.Counters()
	must(l.t, err)
	return c[name]
}

// station is a host that speaks raw Ethernet.
type station struct {
	t    *testing.T
	name string
	mac  drawbridge.MAC
	fd   int
	n    uint16
}

// station wires a host to an interface.
func (l *lab) station(at *netlab.Namespace, port, name string, id byte) *station {
	s := &station{t: l.t, name: name, mac: drawbridge.MAC{2, 0, 0, 0, 1, id}}
	must(l.t, netlab.Wire(netlab.End{In: l.hosts, Name: name, MAC: s.mac, MTU: 9000}, netlab.End{In: at, Name: port, MTU: 9000}))
	must(l.t, l.hosts.Silence(name), at.Silence(port))
	must(l.t, l.hosts.Do(func() (err error) {
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(binary.NativeEndian.Uint16([]byte{0, 3}))); err != nil {
			return err
		}
		dev, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
			unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0, 3}), Ifindex: dev.Index}))
	}))
	l.t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

// frame makes one with a body of its own.
func (s *station) frame(to drawbridge.MAC, tags ...uint32) drawbridge.Frame {
	s.n++
	f := append(append(drawbridge.Frame{}, to[:]...), s.mac[:]...)
	for _, tag := range tags {
		f = binary.BigEndian.AppendUint32(f, tag)
	}
	f = append(f, 0x88, 0xb5) // IEEE 802 local experimental 1
	f = append(f, fmt.Sprintf("%s/%d", s.mac, s.n)...)
	return append(f, make([]byte, 64)...)
}

func (s *station) send(f drawbridge.Frame) {
	s.t.Helper()
	if _, err := unix.Write(s.fd, f); err != nil {
		s.t.Fatal("send:", err)
	}
}

// hear reads the next frame that came in, tag in line; nil when the time is over.
func (s *station) hear(until time.Time) drawbridge.Frame {
	buf, oob := make([]byte, 70000), make([]byte, 128)
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1); n <= 0 {
			continue
		}
		n, oobn, _, from, err := unix.Recvmsg(s.fd, buf, oob, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); !ok || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		return retag(bytes.Clone(buf[:n]), oob[:oobn])
	}
}

// retag puts the tag that the kernel took out back in (struct tpacket_auxdata, linux/if_packet.h).
func retag(f, oob []byte) drawbridge.Frame {
	msgs, _ := unix.ParseSocketControlMessage(oob)
	for _, m := range msgs {
		if m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20 && binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			tci, tpid := binary.NativeEndian.Uint16(m.Data[16:]), binary.NativeEndian.Uint16(m.Data[18:])
			f = slices.Insert(f, 12, byte(tpid>>8), byte(tpid), byte(tci>>8), byte(tci))
		}
	}
	return f
}

// patience is how long a test waits for what must come.
const patience = 5 * time.Second

// copies counts f among what came in until the mark arrived.
func (s *station) copies(f, mark drawbridge.Frame) (n int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		switch g := s.hear(deadline); {
		case g == nil:
			s.t.Fatalf("%s: the mark did not come", s.name)
		case bytes.Equal(g, f):
			n++
		case bytes.Equal(g, mark):
			return n
		}
	}
}
