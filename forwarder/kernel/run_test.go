package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
)

// Verdicts of a program (linux/pkt_cls.h).
const (
	unspec   = 1<<32 - 1
	shot     = 2
	redirect = 7
)

// nowhere is an interface that cannot exist: copies of floods end there.
const nowhere = 0x7ffffff0

// dry is programs that are attached to nothing and run on frames that a test makes.
type dry struct {
	e                         *Engine
	gate                      *gate.Kernel
	segment, guest, mesh, out *ebpf.Program
	choices                   [2]*ebpf.Program // of guests and segment
}

// The attachments of dry: guests and segment here, two neighbours, one of them the segment's gateway, and a peer behind the first.
const (
	dryGuests, drySegment   = 1, 2
	dryFirst, drySecond     = 3, 4
	dryGateway, dryOldTimer = 5, 6
	dryFar                  = 7
	dryGuestPort            = nowhere
	drySegmentPort          = nowhere + 1
)

func newDry(t testing.TB) *dry {
	if os.Getuid() != 0 {
		t.Skip("needs root, for kernel programs")
	}
	spec, err := object()
	check(t, err)
	d := &dry{e: &Engine{spec: spec, maps: map[string]*ebpf.Map{}}}
	check(t, d.e.createMaps())
	d.gate, err = gate.New()
	check(t, err)
	t.Cleanup(func() { check(t, d.gate.Close()) })
	d.fill(t)
	d.load(t)
	return d
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (d *dry) fill(t testing.TB) {
	near := func(s Short) Peer {
		return Peer{MaySend: true, Remote: netip.MustParseAddr("192.0.2.1"), Via: s, Parent: s, MTU: 1450}
	}
	via := func(s Short, segment drawbridge.SegmentID, may bool) Peer {
		p := near(s)
		p.Segment, p.MaySend = segment, may
		return p
	}
	whole := func(p Peer) Peer { p.Whole = true; return p }
	second := near(drySecond)
	second.Remote = netip.MustParseAddr("2001:db8::4")
	check(t, d.e.Apply(Table{
		Peers: map[Short]Peer{
			dryGuests: {Local: true, Whole: true, MaySend: true}, drySegment: {Local: true, Whole: true, Segment: theSegment},
			dryFirst: whole(near(dryFirst)), drySecond: second, dryFar: via(dryFirst, 0, true),
			dryGateway: whole(via(dryFirst, theSegment, true)), dryOldTimer: via(dryFirst, theSegment, false),
		},
		Children: map[Short][]Short{dryGuests: {dryFirst, drySecond}, drySegment: {dryFirst, drySecond}, dryFirst: {drySecond}, dryFar: {drySecond}, dryGateway: {drySecond}},
		Gateways: map[drawbridge.SegmentID]Short{theSegment: dryGateway},
	}))
	check(t, d.e.listPort(Port{Ifindex: dryGuestPort}))
	check(t, d.e.listPort(Port{Ifindex: drySegmentPort, Segment: theSegment}))
	check(t, errors.Join(d.e.Take(Everything), d.e.Renew(time.Hour)))
}

func (d *dry) load(t testing.TB) {
	c := constants{Ifindex: dryGuestPort, Self: dryGuests, Tunnel: nowhere + 2, Settle: uint64(300 * time.Millisecond)}
	ps, err := d.e.copyOf(c, nil, "from_port", "from_context", programChoose)
	check(t, err)
	d.guest, d.mesh = ps.programs["from_port"], ps.programs["from_context"]
	d.choices[0] = ps.programs[programChoose]
	d.e.ports = map[int]*attachment{dryGuestPort: {copied: ps}}
	fd, err := unix.Dup(d.gate.Memory())
	check(t, err)
	m, err := ebpf.NewMapFromFD(fd)
	check(t, err)
	defer m.Close()
	c.Ifindex, c.Self, c.Segment, c.Gated = drySegmentPort, drySegment, uint32(theSegment), 1
	ps, err = d.e.copyOf(c, m, "from_port", "to_port", programChoose)
	check(t, err)
	d.segment, d.out = ps.programs["from_port"], ps.programs["to_port"]
	d.choices[1] = ps.programs[programChoose]
	d.e.ports[drySegmentPort] = &attachment{copied: ps}
}

// skb is struct __sk_buff up to cb (linux/bpf.h); the kernel wants what it does not take to be zero.
type skb struct {
	Len, PktType, Mark, Queue, Protocol, VLANPresent, VLANTCI, VLANProto, Priority, Ingress, Ifindex, TCIndex uint32
	CB                                                                                                        [5]uint32
	_                                                                                                         [30]uint32
}

// run answers the verdict and which counters rose.
func (d *dry) run(t testing.TB, p *ebpf.Program, f []byte, c skb) (verdict uint32, rose map[string]uint64) {
	t.Helper()
	before, err := d.e.Counters()
	check(t, err)
	verdict, err = p.Run(&ebpf.RunOptions{Data: f, Context: c})
	check(t, err)
	after, err := d.e.Counters()
	check(t, err)
	for name, n := range before {
		if after[name] -= n; after[name] == 0 {
			delete(after, name)
		}
	}
	return verdict, after
}

func dryFrame(to, from drawbridge.MAC) []byte {
	return append(append(append([]byte{}, to[:]...), from[:]...), append([]byte{0x88, 0xb5}, make([]byte, 64)...)...)
}

func guest(i byte) drawbridge.MAC { return drawbridge.MAC{2, 0, 0, 0, 9, i} }

func TestMeshFramesAreJudged(t *testing.T) {
	d := newDry(t)
	must(t, d.e.SetMAC(guest(1), Place{Origin: dryGuests, Port: dryGuestPort}), d.e.SetMAC(guest(2), Place{Origin: drySegment, Port: drySegmentPort, Segment: theSegment}))
	for i, c := range []struct {
		to                      drawbridge.MAC
		origin, dst, from, hops uint32
		verdict                 uint32
		counts                  string
	}{
		{guest(1), dryFirst, dryGuests, dryFirst, 255, redirect, "injected"},
		{guest(1), dryFar, dryGuests, dryFirst, 223, redirect, "injected"},
		{guest(2), dryFirst, drySegment, dryFirst, 255, redirect, "injected"},
		{guest(2), dryGateway, drySegment, dryFirst, 255, shot, "split_horizon"},
		{guest(1), dryOldTimer, dryGuests, dryFirst, 255, shot, "stale_epoch"},
		{guest(1), dryGuests, dryFirst, dryFirst, 255, shot, "echo"},
		{guest(1), drySegment, dryFirst, dryFirst, 255, shot, "echo"},
		{guest(1), 99, dryGuests, dryFirst, 255, shot, "unknown_peer"},
		{guest(1), 0, dryGuests, dryFirst, 255, shot, "unknown_peer"},
		{guest(1), dryFirst, drySecond, dryFirst, 255, redirect, "relayed"},
		{guest(1), dryFirst, drySecond, dryFirst, 33, redirect, "relayed"},
		{guest(1), dryFirst, drySecond, dryFirst, 32, shot, "hop_limit"},
		{guest(1), drySecond, dryFar, dryFirst, 255, shot, "misdirected"},
		{guest(1), dryFirst, 99, dryFirst, 255, shot, "misdirected"},
		{drawbridge.Broadcast, dryFirst, 0, drySecond, 255, shot, "wrong_parent"},
		{drawbridge.Broadcast, dryFar, 0, drySecond, 255, shot, "wrong_parent"},
		{drawbridge.Broadcast, dryFar, 0, dryFirst, 32, shot, "hop_limit"},
		{drawbridge.Broadcast, dryGateway, 0, dryFirst, 223, shot, "split_horizon"},
		{drawbridge.MAC{1, 0x80, 0xc2}, dryFar, 0, dryFirst, 255, shot, "link_local"},
	} {
		f := dryFrame(c.to, drawbridge.MAC{2, 1, 0, 0, 0, byte(i)})
		verdict, rose := d.run(t, d.mesh, f, skb{CB: [5]uint32{c.origin | c.dst<<12, c.from, c.hops}})
		if verdict != c.verdict || rose[c.counts] != 1 {
			t.Errorf("case %d: verdict %d, counts %v; want %d, %s", i, verdict, rose, c.verdict, c.counts)
		}
	}
}

func TestOnlyMarkedFramesNeedTheGate(t *testing.T) {
	d := newDry(t)
	f := dryFrame(guest(1), guest(2))
	for _, c := range []struct {
		open          bool
		mark, verdict uint32
	}{{false, Mark, shot}, {false, 0, unspec}, {true, Mark, unspec}, {true, 0, unspec}} {
		d.gate.Shut()
		if c.open {
			d.gate.Open(1, gate.Now().Add(time.Hour))
		}
		if verdict, _ := d.run(t, d.out, f, skb{Mark: c.mark}); verdict != c.verdict {
			t.Errorf("open %v, mark %x: verdict %d, want %d", c.open, c.mark, verdict, c.verdict)
		}
	}
}

// stays is the rule of forwarder/filter.go, written again: which frames never leave their wire or come from nobody.
func stays(f []byte) bool {
	at, etherType := 12, binary.BigEndian.Uint16(f[12:])
	for i := 0; i < 2 && (etherType == 0x8100 || etherType == 0x88a8) && len(f) >= at+6; i++ {
		at += 4
		etherType = binary.BigEndian.Uint16(f[at:])
	}
	return slices.Contains([]uint16{0x88b6, 0x88cc, 0x8809, 0x8808}, etherType) ||
		bytes.HasPrefix(f, []byte{1, 0x80, 0xc2, 0, 0}) && f[5] < 16 ||
		bytes.HasPrefix(f, []byte{1, 0, 0x0c, 0xcc, 0xcc}) && f[5]|1 == 0xcd ||
		f[6]&1 != 0 || bytes.Equal(f[6:12], make([]byte, 6))
}

// moved is the counters that say that a frame went somewhere.
func moved(rose map[string]uint64) bool {
	return rose["sent"]+rose["injected"]+rose["relayed"]+rose["tunnel_refused"]+rose["port_refused"] > 0
}

// synSeed is IPv4 with a SYN whose options end in the middle of one.
var synSeed = []byte{
	0x08, 0, 0x45, 0, 0, 48, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
	0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x70, 2, 0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 0, 2, 4, 5,
}

// FuzzPrograms runs every program on frames of any kind. Neither the kernel nor our rules may be upset.
func FuzzPrograms(f *testing.F) {
	d := newDry(f)
	f.Add(dryFrame(drawbridge.Broadcast, guest(1)), uint32(dryFirst), uint32(dryFirst), uint32(255), true)
	f.Add(dryFrame(guest(1), guest(3))[:14], uint32(dryFirst|1<<12), uint32(dryFirst), uint32(255), true)
	f.Add(append(dryFrame(guest(1), guest(4))[:12], bytes.Repeat([]byte{0x81, 0, 0, 1}, 20)...), uint32(dryGateway), uint32(dryFirst), uint32(64), false)
	f.Add(append(dryFrame(guest(1), guest(4))[:12], 0x81, 0), uint32(dryOldTimer), uint32(dryFirst), uint32(64), false)
	f.Add(append(dryFrame(guest(1), guest(5)), make([]byte, 3000)...), uint32(dryFirst|drySecond<<12), uint32(dryFirst), uint32(33), true)
	f.Add(append(dryFrame(drawbridge.Broadcast, guest(6))[:12], 0x81, 0, 0, 1, 0x88, 0xb6), uint32(dryFar), uint32(dryFirst), uint32(33), true)
	f.Add(append(dryFrame(guest(1), guest(4))[:12], 0x08, 0, 0x45, 0, 0xff, 0xff, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2), uint32(0), uint32(0), uint32(0), true)
	f.Add(dryFrame(drawbridge.Broadcast, drawbridge.MAC{3, 0, 0, 0, 9, 7}), uint32(dryFirst), uint32(dryFirst), uint32(255), true)
	f.Add(dryFrame(drawbridge.Broadcast, drawbridge.MAC{}), uint32(dryFirst), uint32(dryFirst), uint32(255), true)
	f.Add(append(dryFrame(guest(1), guest(8))[:12], synSeed...), uint32(0), uint32(0), uint32(0), true)
	f.Fuzz(func(t *testing.T, frame []byte, vni, from, hops uint32, open bool) {
		if _, err := d.guest.Run(&ebpf.RunOptions{Data: frame}); errors.Is(err, unix.EINVAL) {
			return // the kernel's test run takes no runts, no IP without its header, and little more than 3,000 octets: see TestFramesOfAnyLength
		}
		d.gate.Shut()
		if open {
			d.gate.Open(1, gate.Now().Add(time.Hour))
		}
		for _, p := range []*ebpf.Program{d.guest, d.segment, d.mesh} {
			verdict, rose := d.run(t, p, frame, skb{CB: [5]uint32{vni & 0xffffff, from, hops & 255}})
			switch {
			case verdict != shot && verdict != unspec && verdict != redirect:
				t.Errorf("verdict %d", verdict)
			case stays(frame) && (verdict == redirect || moved(rose)):
				t.Errorf("a frame that must stay on its wire moved: %v", rose)
			case p == d.segment && !open && (verdict != unspec || moved(rose)):
				t.Errorf("verdict %d through a shut gate: %v", verdict, rose)
			case p == d.mesh && vni&0xfff == dryOldTimer && moved(rose):
				t.Errorf("a frame of an old tenure moved: %v", rose)
			case p == d.mesh && vni>>12&0xfff == 0 && from != dryFirst && from != drySecond && moved(rose):
				t.Errorf("a flood of no parent moved: %v", rose)
			}
		}
		if verdict, _ := d.run(t, d.out, frame, skb{Mark: Mark}); (verdict == unspec) != open {
			t.Errorf("verdict %d on the way out, gate open: %v", verdict, open)
		}
	})
}

// TestOvertaken: of two gates that are open, by force or because a clock is wrong, one carries: that of the newer tenure, or of
// the gateway that was known first. A new tenure of our own need not wait for the tables.
func TestOvertaken(t *testing.T) {
	d := newDry(t)
	f := dryFrame(guest(1), guest(2))
	other := Peer{MaySend: true, Segment: theSegment, Epoch: 5, Remote: netip.MustParseAddr("192.0.2.1"), Via: dryFirst, Parent: dryFirst}
	for _, c := range []struct {
		epoch   drawbridge.Epoch
		gateway Short
		out, in uint32
	}{{4, dryGateway, shot, unspec}, {5, dryGateway, shot, unspec}, {6, dryGateway, unspec, redirect}, {4, drySegment, unspec, redirect}, {4, 0, unspec, redirect}} {
		table := Table{
			Peers: map[Short]Peer{
				drySegment: {Local: true, MaySend: true, Segment: theSegment, Epoch: 5}, dryGateway: other,
				dryFirst: {MaySend: true, Remote: other.Remote, Via: dryFirst, Parent: dryFirst, MTU: 1450},
			},
			Gateways: map[drawbridge.SegmentID]Short{theSegment: c.gateway},
		}
		if c.gateway == 0 {
			table.Gateways = nil
		}
		must(t, d.e.Apply(table), d.e.SetMAC(guest(1), Place{Origin: dryFirst}))
		d.gate.Shut()
		if !d.gate.Open(c.epoch, gate.Now().Add(time.Hour)) {
			t.Fatal("the gate does not open")
		}
		if verdict, _ := d.run(t, d.out, f, skb{Mark: Mark}); verdict != c.out {
			t.Errorf("out under %d beside attachment %d: verdict %d, want %d", c.epoch, c.gateway, verdict, c.out)
		}
		if verdict, _ := d.run(t, d.segment, f, skb{}); verdict != c.in {
			t.Errorf("in under %d beside attachment %d: verdict %d, want %d", c.epoch, c.gateway, verdict, c.in)
		}
	}
}
