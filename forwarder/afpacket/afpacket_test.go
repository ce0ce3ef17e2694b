package afpacket

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

var _ forwarder.Port = (*Port)(nil)

// open opens a port for the length of the test.
func open(t testing.TB, c Config) *Port {
	t.Helper()
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// pair opens a port on each end of a new veth pair in a new namespace. What a gives, b takes.
func pair(t testing.TB, a, b Config) (pa, pb *Port) {
	t.Helper()
	porttest.Namespace(t)
	porttest.Veth(t, "v0", "v1")
	a.Interface, b.Interface = "v0", "v1"
	return open(t, a), open(t, b)
}

func give(t testing.TB, p *Port, ps ...drawbridge.Packet) {
	t.Helper()
	if n, err := p.WriteBatch(ps); n != len(ps) || err != nil {
		t.Fatalf("%s took %d of %d: %v; drops %v", p.Name(), n, len(ps), err, p.Drops())
	}
}

// takeN reads exactly n packets, copied.
func takeN(t testing.TB, p *Port, n int) (got []drawbridge.Packet) {
	t.Helper()
	guard := time.AfterFunc(20*time.Second, func() { p.Close() }) // a frame that never comes fails, not hangs, the test
	defer guard.Stop()
	ps := make([]drawbridge.Packet, 64)
	for len(got) < n {
		k, err := p.ReadBatch(ps)
		if err != nil {
			t.Fatalf("after %d of %d frames: %v; drops %v", len(got), n, err, p.Drops())
		}
		for _, pk := range ps[:k] {
			got = append(got, drawbridge.Packet{Frame: bytes.Clone(pk.Frame), Offload: pk.Offload})
		}
	}
	if len(got) != n {
		t.Fatalf("%d frames, want %d", len(got), n)
	}
	return got
}

func same(t testing.TB, what string, got, want drawbridge.Packet) {
	t.Helper()
	if got.Offload != want.Offload {
		t.Errorf("%s: offload %+v, want %+v", what, got.Offload, want.Offload)
	}
	if !bytes.Equal(got.Frame, want.Frame) {
		t.Errorf("%s: %d bytes %x, want %d bytes %x", what, len(got.Frame), head(got.Frame), len(want.Frame), head(want.Frame))
	}
}

func head(f drawbridge.Frame) drawbridge.Frame { return f[:min(len(f), 64)] }

// kinds are packets of every sort that one kernel hands to another.
func kinds() map[string]drawbridge.Packet {
	partial := porttest.Super(drawbridge.GSOTCPv4, 100, 0)
	partial.Offload.GSO, partial.Offload.HeaderLen = drawbridge.GSONone, 0
	return map[string]drawbridge.Packet{
		"finished":         porttest.Numbered(1),
		"partial checksum": partial,
		"TCPv4":            porttest.Super(drawbridge.GSOTCPv4, 60000, 1460),
		"TCPv4 ECN":        porttest.Super(drawbridge.GSOTCPv4|drawbridge.GSOECN, 30000, 1460),
		"TCPv6":            porttest.Super(drawbridge.GSOTCPv6, 60000, 1400),
		"UDP":              porttest.Super(drawbridge.GSOUDP, 20000, 1200),
	}
}

// TestVLANTagsAreRestored is the trap that joins VLANs without an error: the kernel strips the outermost tag of
// whatever arrives, and tells it only beside the frame.
func TestVLANTagsAreRestored(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	for name, p := range kinds() {
		for tag, tagged := range map[string]drawbridge.Packet{
			"untagged":              p,
			"802.1Q":                porttest.Tagged(p, unix.ETH_P_8021Q, 42),
			"802.1Q with priority":  porttest.Tagged(p, unix.ETH_P_8021Q, 5<<13|1<<12|42),
			"priority tag":          porttest.Tagged(p, unix.ETH_P_8021Q, 3<<13),
			"802.1ad":               porttest.Tagged(p, unix.ETH_P_8021AD, 42),
			"802.1Q inside 802.1ad": porttest.Tagged(porttest.Tagged(p, unix.ETH_P_8021Q, 7), unix.ETH_P_8021AD, 42),
		} {
			give(t, a, tagged)
			same(t, name+", "+tag, takeN(t, b, 1)[0], tagged)
		}
	}
}

// TestTagsOfOldKernels holds what no current kernel sends: a stripped tag without its protocol.
func TestTagsOfOldKernels(t *testing.T) {
	want := porttest.Tagged(porttest.Numbered(1), unix.ETH_P_8021Q, 42)
	buf := make([]byte, bufLen)
	n := copy(buf[tagLen:], porttest.Numbered(1).Frame)
	var o drawbridge.Offload
	got, ok := new(Port).untangle(buf, n, auxdata{status: unix.TP_STATUS_VLAN_VALID, tci: 42}, &o)
	if !ok || !bytes.Equal(got, want.Frame) || cap(got)-len(got) < room {
		t.Errorf("%x, want %x", got, want.Frame)
	}
}

func TestAPortOfOneVLANSeesOnlyIt(t *testing.T) {
	trunk, access := pair(t, Config{}, Config{VLAN: 42})
	if access.Name() != "v1.42" {
		t.Errorf("name %q", access.Name())
	}
	for name, p := range kinds() {
		give(
			t, trunk,
			p,
			porttest.Tagged(p, unix.ETH_P_8021Q, 43),
			porttest.Tagged(p, unix.ETH_P_8021AD, 42),
			porttest.Tagged(p, unix.ETH_P_8021Q, 3<<13),
			porttest.Tagged(p, unix.ETH_P_8021Q, 7<<13|42),
		)
		same(t, name+" taken", takeN(t, access, 1)[0], p)
		inner := porttest.Tagged(p, unix.ETH_P_8021Q, 7)
		give(t, trunk, porttest.Tagged(inner, unix.ETH_P_8021Q, 42))
		same(t, name+" with a tag of the guest's", takeN(t, access, 1)[0], inner)
		give(t, access, p)
		same(t, name+" given", takeN(t, trunk, 1)[0], porttest.Tagged(p, unix.ETH_P_8021Q, 42))
	}
}

// TestOwnFramesAreNotRecaptured: otherwise a switch would learn every remote station at its own port. Neither does a
// port see what anybody else sends out of the interface.
func TestOwnFramesAreNotRecaptured(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	other := open(t, Config{Interface: "v0"})
	give(t, a, porttest.Numbered(1))
	give(t, other, porttest.Numbered(2))
	give(t, b, porttest.Numbered(3))
	for _, p := range []*Port{a, other} {
		if got := porttest.Number(takeN(t, p, 1)[0].Frame); got != 3 {
			t.Errorf("frame %d came back", got)
		}
	}
}

// refuse is a filter that keeps nothing, as a shut gate.
func refuse(fd int) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	})
}

// TestTheFilterComesBeforeTheFirstFrame: a frame that arrives between bind and the filter would pass a shut gate.
func TestTheFilterComesBeforeTheFirstFrame(t *testing.T) {
	porttest.Namespace(t)
	porttest.Veth(t, "v0", "v1")
	a, shut := open(t, Config{Interface: "v0"}), 0
	b := open(t, Config{Interface: "v1", Filter: func(fd int) error {
		give(t, a, porttest.Numbered(1)) // arrives now: nothing may keep it
		shut = fd
		return refuse(fd)
	}})
	give(t, a, porttest.Numbered(2))
	if err := unix.SetsockoptInt(shut, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		t.Fatal(err)
	}
	give(t, a, porttest.Numbered(3))
	if got := porttest.Number(takeN(t, b, 1)[0].Frame); got != 3 {
		t.Errorf("frame %d passed the filter", got)
	}
}

func TestAFilterThatCannotBeAttachedFailsOpen(t *testing.T) {
	porttest.Namespace(t)
	porttest.Veth(t, "v0", "v1")
	if _, err := Open(Config{Interface: "v0", Filter: func(int) error { return unix.EPERM }}); !errors.Is(err, unix.EPERM) {
		t.Errorf("opened without its gate: %v", err)
	}
}

// TestAFullQueueingDisciplineDropsAndCounts holds two traps: a shut gate at the egress and a full queue answer
// ENOBUFS, which must not block or stop a batch; and a socket that bypasses the queueing discipline, which holds the
// gate, would never hear of it.
func TestAFullQueueingDisciplineDropsAndCounts(t *testing.T) {
	a, _ := pair(t, Config{}, Config{})
	porttest.Run(t, "tc qdisc add dev v0 root tbf rate 8kbit burst 100 limit 200") // three frames, then nothing for long
	ps := make([]drawbridge.Packet, 40)
	for i := range ps {
		ps[i] = porttest.Numbered(i)
	}
	n, err := a.WriteBatch(ps)
	if err != nil || n == 0 || n > 8 {
		t.Errorf("took %d of %d: %v", n, len(ps), err)
	}
	if got := a.Drops()["busy"]; got != uint64(len(ps)-n) {
		t.Errorf("counted %d of %d drops", got, len(ps)-n)
	}
}

func TestTheMarkIsSet(t *testing.T) {
	a, _ := pair(t, Config{Mark: 0x44424754}, Config{})
	fd, _ := a.file.Enter()
	defer a.file.Leave()
	if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK); err != nil || got != 0x44424754 {
		t.Errorf("mark %#x: %v", got, err)
	}
	if bypass, _ := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS); bypass != 0 {
		t.Error("bypasses the gate at the egress")
	}
}

func TestPromiscuousAsLongAsOpen(t *testing.T) {
	_, b := pair(t, Config{}, Config{Promiscuous: true})
	if !strings.Contains(porttest.Run(t, "ip -d link show v1"), "promiscuity 1") {
		t.Error("not promiscuous: a card would keep other stations' frames")
	}
	b.Close()
	if !strings.Contains(porttest.Run(t, "ip -d link show v1"), "promiscuity 0") {
		t.Error("promiscuous after Close")
	}
}

func TestAFrameThatIsTooLongIsSkipped(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	long := porttest.Numbered(2)
	long.Frame = append(long.Frame, make([]byte, 1500)...)
	datagrams := porttest.Super(drawbridge.GSOUDP, 20000, 1600) // cutting datagrams smaller would change them
	n, err := a.WriteBatch([]drawbridge.Packet{
		porttest.Numbered(1), long, {Frame: long.Frame[:10]}, datagrams, porttest.Numbered(3),
	})
	if n != 2 || err != nil || a.Drops()["too-big"] != 2 || a.Drops()["malformed"] != 1 {
		t.Errorf("took %d: %v; drops %v", n, err, a.Drops())
	}
	got := takeN(t, b, 2)
	if porttest.Number(got[0].Frame) != 1 || porttest.Number(got[1].Frame) != 3 {
		t.Error("other frames arrived")
	}
}

func TestAFullSizeFrameMayHaveATag(t *testing.T) {
	a, b := pair(t, Config{}, Config{VLAN: 42})
	full := porttest.Numbered(1)
	full.Frame = append(full.Frame, make([]byte, 1514-len(full.Frame))...)
	give(t, a, porttest.Tagged(full, unix.ETH_P_8021Q, 42))
	same(t, "taken", takeN(t, b, 1)[0], full)
	give(t, b, full)
	same(t, "given", takeN(t, a, 1)[0], porttest.Tagged(full, unix.ETH_P_8021Q, 42))
}

// TestTCPIsCutToTheInterface: an interface sends the segments of a super-frame at the size it is told.
func TestTCPIsCutToTheInterface(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	jumbo := porttest.Tagged(porttest.Super(drawbridge.GSOTCPv4, 60000, 8960), unix.ETH_P_8021Q, 42)
	give(t, a, jumbo)
	jumbo.Offload.SegmentSize = 1460
	same(t, "MTU 1500", takeN(t, b, 1)[0], jumbo)
	porttest.Run(t, "ip link set v0 mtu 1400")
	if a.MTU() != 1400 || b.MTU() != 1500 {
		t.Errorf("MTU %d and %d", a.MTU(), b.MTU())
	}
	give(t, a, jumbo)
	jumbo.Offload.SegmentSize = 1360
	same(t, "MTU 1400", takeN(t, b, 1)[0], jumbo)
}

// TestTheKernelMayRefuseASegmentation: then it is done in software. 200 segments are more than any kernel's limit.
func TestTheKernelMayRefuseASegmentation(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	give(t, a, porttest.Numbered(1), porttest.Super(drawbridge.GSOUDP, 200*20, 20), porttest.Numbered(2))
	got := takeN(t, b, 202)
	for i, pk := range got[1:201] {
		if err := porttest.Correct(pk.Frame); err != nil || len(pk.Frame) != 14+20+8+20 {
			t.Fatalf("segment %d: %d bytes, %v", i, len(pk.Frame), err)
		}
	}
	if porttest.Number(got[0].Frame) != 1 || porttest.Number(got[201].Frame) != 2 {
		t.Error("the order changed")
	}
}

// TestATunnelIsCutInOrder: its segments come between the frames before and after it, however few are asked for, and
// stay until the next call.
func TestATunnelIsCutInOrder(t *testing.T) {
	const vxlan, segments = 8, 11
	_, b := pair(t, Config{}, Config{})
	inner := porttest.Super(drawbridge.GSOTCPv4, segments*1000, 1000)
	tunnel := porttest.Super(drawbridge.GSOUDP, vxlan+len(inner.Frame), 1)
	at := copy(tunnel.Frame[len(tunnel.Frame)-len(inner.Frame):], inner.Frame)
	inner.Offload.ChecksumStart += uint16(len(tunnel.Frame) - at)
	tunnel.Offload = inner.Offload
	for i, pk := range []drawbridge.Packet{porttest.Numbered(1), tunnel, porttest.Numbered(2), tunnel, porttest.Numbered(3)} {
		segment.PutVnet(b.rx.headers[i][:], pk.Offload) // as recvmmsg does; the kernel lets nobody send such a frame
		b.rx.msgs[i].len = uint32(segment.VnetLen + copy(b.rx.buf(i)[tagLen:], pk.Frame))
		b.rx.got++
	}
	var order []int
	for ps := make([]drawbridge.Packet, 4); len(order) < 3+2*segments; {
		n, err := b.ReadBatch(ps)
		if err != nil {
			t.Fatal(err)
		}
		for _, pk := range ps[:n] {
			if err := porttest.Correct(pk.Frame); err != nil || pk.Offload != (drawbridge.Offload{}) || cap(pk.Frame)-len(pk.Frame) < room {
				t.Errorf("frame %d: %+v, %v", len(order), pk.Offload, err)
			}
			order = append(order, porttest.Number(pk.Frame))
		}
	}
	if order[0] != 1 || order[1+segments] != 2 || order[2+2*segments] != 3 {
		t.Errorf("order %v", order)
	}
}

// TestPlainPortsFinishEverything: a port without virtio-net headers gives only finished frames, and knows which of
// those it takes are not.
func TestPlainPortsFinishEverything(t *testing.T) {
	plain, b := pair(t, Config{Plain: true}, Config{})
	if plain.Vnet() || !b.Vnet() {
		t.Errorf("virtio-net headers: %v and %v", plain.Vnet(), b.Vnet())
	}
	for name, p := range kinds() {
		tagged := porttest.Tagged(p, unix.ETH_P_8021AD, 42)
		size := min(max(1, int(p.Offload.SegmentSize)), 1456) // an 802.1ad tag counts as payload
		give(t, plain, tagged)
		frames := 1
		if p.Offload.GSO != drawbridge.GSONone {
			frames = (len(p.Frame) - int(p.Offload.HeaderLen) + size - 1) / size
		}
		for i, pk := range takeN(t, b, frames) {
			if err := porttest.Correct(pk.Frame); err != nil || pk.Offload != (drawbridge.Offload{}) || pk.Frame.EtherType() != unix.ETH_P_8021AD {
				t.Errorf("%s, frame %d: %+v %v", name, i, pk.Offload, err)
			}
		}
		if p.Offload.GSO == drawbridge.GSOUDP {
			continue // nobody can tell where its datagrams end
		}
		give(t, b, tagged)
		got := takeN(t, plain, 1)[0]
		got.Offload.HeaderLen, got.Offload.SegmentSize = tagged.Offload.HeaderLen, tagged.Offload.SegmentSize
		got.Offload.GSO |= p.Offload.GSO & drawbridge.GSOECN // not to be seen from outside
		same(t, name, got, tagged)
	}
}

// TestLongFramesAreCountedNotCut: what does not fit a buffer (BIG TCP) must not go on as if it were whole.
func TestLongFramesAreCountedNotCut(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	for i := range b.rx.msgs {
		b.rx.iovs[2*i+1].SetLen(100)
	}
	long := porttest.Numbered(1)
	long.Frame = append(long.Frame, make([]byte, 100)...)
	give(t, a, long, porttest.Numbered(2))
	if got := porttest.Number(takeN(t, b, 1)[0].Frame); got != 2 || b.Drops()["truncated"] != 1 {
		t.Errorf("frame %d; drops %v", got, b.Drops())
	}
}

// TestAHeaderCutShortIsNoFrame: a kernel that delivers less than a virtio-net header and an Ethernet header.
func TestAHeaderCutShortIsNoFrame(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	give(t, a, porttest.Numbered(1))
	takeN(t, b, 1)
	for length := range uint32(24) {
		b.rx.msgs[0].len = length
		if b.take(0, new(drawbridge.Packet)) {
			t.Errorf("took a message of %d bytes", length)
		}
	}
}

func TestWhatTheQueueCannotHoldIsCounted(t *testing.T) {
	a, b := pair(t, Config{}, Config{Buffer: 1 << 14})
	ps := make([]drawbridge.Packet, 200)
	for i := range ps {
		ps[i] = porttest.Numbered(i)
	}
	give(t, a, ps...)
	missed := b.Drops()["queue-full"]
	if missed == 0 || missed >= 200 || b.Drops()["queue-full"] != missed {
		t.Errorf("missed %d, then %v", missed, b.Drops())
	}
	takeN(t, b, 200-int(missed))
}

func TestDownAndUpAgain(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	porttest.Run(t, "ip link set v1 down")
	ps := make([]drawbridge.Packet, 4)
	for range 3 {
		if _, err := b.ReadBatch(ps); !errors.Is(err, unix.ENETDOWN) {
			t.Fatalf("read from a port that is down: %v", err)
		}
	}
	if n, err := b.WriteBatch([]drawbridge.Packet{porttest.Numbered(1), porttest.Numbered(2)}); n != 0 || !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("wrote %d to a port that is down: %v", n, err)
	}
	if b.Drops()["down"] != 2 {
		t.Errorf("drops %v", b.Drops())
	}
	porttest.Up(t, "v0", "v1")
	give(t, a, porttest.Numbered(3))
	if got := porttest.Number(takeN(t, b, 1)[0].Frame); got != 3 {
		t.Errorf("frame %d", got)
	}
}

func TestOpenedBeforeTheInterfaceIsUp(t *testing.T) {
	porttest.Namespace(t)
	porttest.Run(t, "ip link add v0 type veth peer name v1")
	b := open(t, Config{Interface: "v1"})
	if _, err := b.ReadBatch(make([]drawbridge.Packet, 4)); !errors.Is(err, unix.ENETDOWN) {
		t.Fatalf("%v", err)
	}
	porttest.Up(t, "v0", "v1")
	give(t, open(t, Config{Interface: "v0"}), porttest.Numbered(1))
	takeN(t, b, 1)
}

// TestAVanishedInterfaceWakesTheReader: whether or not a writer was told first.
func TestAVanishedInterfaceWakesTheReader(t *testing.T) {
	for _, writerFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("writer first: ", writerFirst), func(t *testing.T) {
			_, b := pair(t, Config{}, Config{})
			if writerFirst {
				porttest.Run(t, "ip link set v1 down")
				if _, err := b.WriteBatch([]drawbridge.Packet{porttest.Numbered(1)}); !errors.Is(err, unix.ENETDOWN) {
					t.Fatal(err)
				}
			}
			porttest.Run(t, "ip link del v1")
			for {
				_, err := b.ReadBatch(make([]drawbridge.Packet, 4))
				if errors.Is(err, unix.ENODEV) {
					break
				}
				if !errors.Is(err, unix.ENETDOWN) {
					t.Fatalf("read: %v", err)
				}
			}
			if _, err := b.WriteBatch([]drawbridge.Packet{porttest.Numbered(1)}); !errors.Is(err, unix.ENODEV) {
				t.Errorf("write: %v", err)
			}
		})
	}
}

// TestTheWriterWakesTheReader: the kernel tells only one of them that the interface fell.
func TestTheWriterWakesTheReader(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	got := make(chan error)
	go func() {
		ps := make([]drawbridge.Packet, 4)
		for range 2 {
			_, err := b.ReadBatch(ps)
			got <- err
		}
	}()
	give(t, a, porttest.Numbered(1))
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	b.index = 1 << 30 // gone, and the reader was not told
	b.fallen()
	if err := <-got; !errors.Is(err, unix.ENODEV) {
		t.Errorf("read: %v", err)
	}
}

// TestARenamedInterfaceStays: udev renames interfaces while the system starts.
func TestARenamedInterfaceStays(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	porttest.Run(t, "ip link set v1 down")
	porttest.Run(t, "ip link set v1 name v2 mtu 1300")
	porttest.Up(t, "v0", "v2")
	give(t, a, porttest.Numbered(1))
	ps := make([]drawbridge.Packet, 4)
	if _, err := b.ReadBatch(ps); err != nil { // the kernel still has to report that it was down
		t.Errorf("%v", err)
	}
	if b.MTU() != 1300 {
		t.Errorf("MTU %d", b.MTU())
	}
}

func TestCloseUnblocksTheReader(t *testing.T) {
	_, b := pair(t, Config{}, Config{})
	result := make(chan error)
	go func() {
		_, err := b.ReadBatch(make([]drawbridge.Packet, 4))
		result <- err
	}()
	b.Close()
	if err := <-result; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := b.WriteBatch([]drawbridge.Packet{porttest.Numbered(1)}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if err := b.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	b.Drops()
	b.MTU()
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	porttest.Namespace(t)
	for want, c := range map[string]Config{
		"no such interface":  {Interface: "eth9"},
		"not Ethernet's":     {Interface: "lo"},
		"VLAN 4095":          {Interface: "v0", VLAN: 4095},
		"1 to 15 bytes":      {Interface: ""},
		`name "an-interface`: {Interface: "an-interface-name"},
	} {
		if p, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v %v, want %q", c, p, err, want)
		}
	}
}

func TestBatchesAllocateNothing(t *testing.T) {
	for _, c := range []Config{{}, {VLAN: 42}, {Plain: true}} {
		t.Run(fmt.Sprintf("%+v", c.VLAN), func(t *testing.T) {
			a, b := pair(t, c, c)
			super := porttest.Super(drawbridge.GSOTCPv4, 3000, 1460)
			in, out := make([]drawbridge.Packet, 16), []drawbridge.Packet{porttest.Numbered(1), super, porttest.Numbered(2)}
			frames := 3
			if c.Plain {
				frames = 5
			}
			if n := testing.AllocsPerRun(100, func() {
				give(t, a, out...)
				for got := 0; got < frames; {
					k, err := b.ReadBatch(in)
					if err != nil {
						t.Fatal(err)
					}
					got += k
				}
			}); n != 0 {
				t.Errorf("%v allocations a batch", n)
			}
		})
	}
}

// BenchmarkPort sends through one end of a veth pair and reads at the other, on the same goroutine.
func BenchmarkPort(b *testing.B) {
	for _, mode := range []struct {
		name string
		c    Config
		pk   drawbridge.Packet
	}{
		{"small", Config{}, porttest.Numbered(1)},
		{"small, VLAN", Config{VLAN: 42}, porttest.Numbered(1)},
		{"small, plain", Config{Plain: true}, porttest.Numbered(1)},
		{"super", Config{}, porttest.Super(drawbridge.GSOTCPv4, 63000, 1448)},
		{"super, VLAN", Config{VLAN: 42}, porttest.Super(drawbridge.GSOTCPv4, 63000, 1448)},
		{"super, plain", Config{Plain: true}, porttest.Super(drawbridge.GSOTCPv4, 63000, 1448)},
	} {
		b.Run(mode.name, func(b *testing.B) { benchmark(b, mode.c, mode.pk) })
	}
}

func benchmark(b *testing.B, c Config, pk drawbridge.Packet) {
	from, to := pair(b, c, c)
	out, in := make([]drawbridge.Packet, 16), make([]drawbridge.Packet, 64)
	for i := range out {
		out[i] = pk
	}
	b.SetBytes(int64(len(out) * len(pk.Frame)))
	want := len(out)
	if pk.Offload.GSO != drawbridge.GSONone && c.Plain {
		want *= (len(pk.Frame) + 1447) / 1448
	}
	for b.Loop() {
		if n, err := from.WriteBatch(out); n != len(out) || err != nil {
			b.Fatal(n, err)
		}
		for got := 0; got < want; {
			n, err := to.ReadBatch(in)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
	}
	b.ReportMetric(float64(b.N*len(out))/b.Elapsed().Seconds(), "frames/s")
}

// BenchmarkRoundTrip sends a small frame through a veth pair to another goroutine, which sends it back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, locked := range []bool{false, true} {
		b.Run(fmt.Sprintf("locked=%v", locked), func(b *testing.B) {
			from, to := pair(b, Config{}, Config{})
			go func() {
				if locked {
					runtime.LockOSThread()
				}
				ps := make([]drawbridge.Packet, 16)
				for {
					n, err := to.ReadBatch(ps)
					if err != nil {
						return
					}
					_, _ = to.WriteBatch(ps[:n])
				}
			}()
			done := make(chan struct{})
			go func() {
				defer close(done)
				if locked {
					runtime.LockOSThread()
				}
				out, in := []drawbridge.Packet{porttest.Numbered(1)}, make([]drawbridge.Packet, 16)
				for b.Loop() {
					_, _ = from.WriteBatch(out)
					if _, err := from.ReadBatch(in); err != nil {
						b.Error(err)
						return
					}
				}
			}()
			<-done
		})
	}
}
