package tap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

var (
	_ forwarder.Port = (*Device)(nil)
	_ forwarder.Port = (*Queue)(nil)
)

func open(t testing.TB, c Config) *Device {
	t.Helper()
	d, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// pair opens two devices on a bridge in a new namespace: what one gives, the other takes.
func pair(t testing.TB, a, b Config) (da, db *Device) {
	t.Helper()
	porttest.Namespace(t)
	a.Name, b.Name = "tap0", "tap1"
	da, db = open(t, a), open(t, b)
	porttest.Run(t, "ip link add br0 type bridge mcast_snooping 0")
	for _, name := range []string{"tap0", "tap1"} {
		porttest.Run(t, "ip link set "+name+" master br0")
	}
	porttest.Up(t, "tap0", "tap1", "br0")
	return da, db
}

type writer interface {
	WriteBatch([]drawbridge.Packet) (int, error)
	Drops() map[string]uint64
}

func give(t testing.TB, w writer, ps ...drawbridge.Packet) {
	t.Helper()
	if n, err := w.WriteBatch(ps); n != len(ps) || err != nil {
		t.Fatalf("took %d of %d: %v; drops %v", n, len(ps), err, w.Drops())
	}
}

// takeN reads exactly n packets, copied.
func takeN(t testing.TB, q *Queue, n int) (got []drawbridge.Packet) {
	t.Helper()
	guard := time.AfterFunc(20*time.Second, func() { q.Close() }) // a frame that never comes fails, not hangs, the test
	defer guard.Stop()
	ps := make([]drawbridge.Packet, 64)
	for len(got) < n {
		k, err := q.ReadBatch(ps)
		if err != nil {
			t.Fatalf("after %d of %d frames: %v; drops %v", len(got), n, err, q.Drops())
		}
		for _, pk := range ps[:k] {
			if cap(pk.Frame) < len(pk.Frame)+room {
				t.Errorf("%d bytes behind a frame, want %d", cap(pk.Frame)-len(pk.Frame), room)
			}
			got = append(got, drawbridge.Packet{Frame: bytes.Clone(pk.Frame), Offload: pk.Offload})
		}
	}
	if len(got) != n {
		t.Fatalf("%d frames, want %d", len(got), n)
	}
	return got
}

// TestPacketsPassWhole, with their offloads and their tags, which a TAP keeps in line.
func TestPacketsPassWhole(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	if !a.DatagramSegmentation() {
		t.Error("no UDP super-frames, which this kernel has")
	}
	partial := porttest.Super(drawbridge.GSOTCPv4, 100, 0)
	partial.Offload.GSO, partial.Offload.HeaderLen = drawbridge.GSONone, 0
	for name, p := range map[string]drawbridge.Packet{
		"finished":         porttest.Numbered(1),
		"partial checksum": partial,
		"TCPv4":            porttest.Super(drawbridge.GSOTCPv4, 60000, 1460),
		"TCPv4 ECN":        porttest.Super(drawbridge.GSOTCPv4|drawbridge.GSOECN, 30000, 1460),
		"TCPv6":            porttest.Super(drawbridge.GSOTCPv6, 60000, 1400),
		"UDP":              porttest.Super(drawbridge.GSOUDP, 20000, 1200),
	} {
		for tag, want := range map[string]drawbridge.Packet{
			"untagged":              p,
			"802.1Q":                porttest.Tagged(p, unix.ETH_P_8021Q, 5<<13|42),
			"802.1ad":               porttest.Tagged(p, unix.ETH_P_8021AD, 42),
			"802.1Q inside 802.1ad": porttest.Tagged(porttest.Tagged(p, unix.ETH_P_8021Q, 7), unix.ETH_P_8021AD, 42),
		} {
			give(t, a, want)
			if got := takeN(t, b.Queue, 1)[0]; got.Offload != want.Offload || !bytes.Equal(got.Frame, want.Frame) {
				t.Errorf("%s, %s: %+v, %d bytes; want %+v, %d bytes", name, tag, got.Offload, len(got.Frame), want.Offload, len(want.Frame))
			}
		}
	}
}

// stacks joins two guests, each on the interface of a device, by a loop where the switch and the mesh would be. The
// counter is of super-frames.
func stacks(t testing.TB) (guests [2]*porttest.Guest, devices [2]*Device, supers *atomic.Uint64) {
	t.Helper()
	porttest.Namespace(t)
	for i := range devices {
		devices[i] = open(t, Config{Name: fmt.Sprintf("tap%d", i)})
		guests[i] = porttest.NewGuest(t, i+1)
		guests[i].Adopt(t, devices[i].Name())
	}
	var pumps sync.WaitGroup
	supers = new(atomic.Uint64)
	for i, from := range devices {
		pumps.Go(func() { pump(t, from.Queue, devices[1-i], supers) })
	}
	t.Cleanup(func() {
		for _, d := range devices {
			d.Close()
		}
		pumps.Wait()
	})
	return guests, devices, supers
}

// TestTwoStacksTalk lets the stacks behind two devices check what the devices do.
func TestTwoStacksTalk(t *testing.T) {
	guests, _, supers := stacks(t)
	porttest.TransferTCP(t, guests[0], guests[1], guests[1].IPv4(), 2<<20)
	porttest.TransferTCP(t, guests[0], guests[1], guests[1].IPv6(), 2<<20)
	if supers.Swap(0) == 0 {
		t.Error("no TCP super-frame passed")
	}
	for i, length := range porttest.SendUDP(t, guests[0], guests[1], 20000, 1200) {
		if want := min(1200, 20000-1200*i); length != want {
			t.Errorf("datagram %d has %d bytes, want %d", i, length, want)
		}
	}
	if supers.Load() == 0 {
		t.Error("no UDP super-frame passed")
	}
}

func pump(t testing.TB, from *Queue, to *Device, supers *atomic.Uint64) {
	ps := make([]drawbridge.Packet, 16)
	for {
		n, err := from.ReadBatch(ps)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		for _, p := range ps[:n] {
			if p.Offload.GSO != drawbridge.GSONone {
				supers.Add(1)
			}
		}
		if _, err := to.WriteBatch(ps[:n]); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	}
}

// TestQueuesShareTheDevice: every queue gives, and each flow comes back on the queue that last gave a frame of it.
func TestQueuesShareTheDevice(t *testing.T) {
	a, b := pair(t, Config{}, Config{Queues: 3})
	if len(b.Queues()) != 3 {
		t.Fatalf("%d queues", len(b.Queues()))
	}
	for i, q := range b.Queues() {
		if q.Name() != "tap1" {
			t.Errorf("queue %d is called %q", i, q.Name())
		}
		give(t, q, porttest.Numbered(i))
		if got := porttest.Number(takeN(t, a.Queue, 1)[0].Frame); got != i {
			t.Errorf("queue %d gave frame %d", i, got)
		}
	}
	var readers sync.WaitGroup
	var taken atomic.Int64
	for _, q := range b.Queues() {
		readers.Go(func() {
			for ps := make([]drawbridge.Packet, 16); ; {
				n, err := q.ReadBatch(ps)
				if err != nil {
					return
				}
				if taken.Add(int64(n)) == 100 {
					b.Close()
				}
			}
		})
	}
	for i := range 100 {
		give(t, a, porttest.Numbered(i))
	}
	readers.Wait()
}

func TestTCPIsCutToTheInterface(t *testing.T) {
	a, b := pair(t, Config{MTU: 1400}, Config{})
	if a.MTU() != 1400 || b.MTU() != 1500 {
		t.Errorf("MTU %d and %d", a.MTU(), b.MTU())
	}
	jumbo := porttest.Super(drawbridge.GSOTCPv4, 60000, 8960)
	n, err := a.WriteBatch([]drawbridge.Packet{porttest.Super(drawbridge.GSOUDP, 5000, 1480), jumbo, {Frame: make([]byte, 9)}})
	if n != 1 || err != nil || a.Drops()["too-big"] != 1 || a.Drops()["malformed"] != 1 {
		t.Errorf("took %d: %v; drops %v", n, err, a.Drops())
	}
	if got := takeN(t, b.Queue, 1)[0]; got.Offload.SegmentSize != 1360 {
		t.Errorf("%+v", got.Offload)
	}
}

// TestTheKernelMayRefuseASegmentation: then it is done in software. 200 segments are more than any kernel's limit.
func TestTheKernelMayRefuseASegmentation(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	give(t, a, porttest.Super(drawbridge.GSOUDP, 200*20, 20))
	for i, pk := range takeN(t, b.Queue, 200) {
		if err := porttest.Correct(pk.Frame); err != nil || len(pk.Frame) != 14+20+8+20 {
			t.Fatalf("segment %d: %d bytes, %v", i, len(pk.Frame), err)
		}
	}
}

// TestATunnelIsCutByTheKernel: a virtio-net header cannot say what a VXLAN device's super-frame needs, so none comes.
func TestATunnelIsCutByTheKernel(t *testing.T) {
	guests, devices, _ := stacks(t)
	porttest.TransferTCP(t, guests[0], guests[1], porttest.VXLAN(t, guests[0], guests[1]), 1<<20)
	if drops := devices[0].Drops(); drops["malformed"] != 0 {
		t.Errorf("drops %v", drops)
	}
}

func TestMessagesThatAreNoFrames(t *testing.T) {
	q := &Queue{bufs: make([]byte, bufLen), lengths: []int{0}}
	for length, reason := range map[int]string{0: "malformed", 10: "malformed", 23: "malformed", bufLen - room: "truncated"} {
		before := q.Drops()[reason]
		q.lengths[0] = length
		if q.take(0, new(drawbridge.Packet)) || q.Drops()[reason] != before+1 {
			t.Errorf("a message of %d bytes: drops %v", length, q.Drops())
		}
	}
}

func TestDownAndGone(t *testing.T) {
	porttest.Namespace(t)
	d := open(t, Config{Name: "tap0"})
	ps := []drawbridge.Packet{porttest.Numbered(1), porttest.Numbered(2)}
	if n, err := d.WriteBatch(ps); n != 0 || !errors.Is(err, unix.ENETDOWN) || d.Drops()["down"] != 2 {
		t.Errorf("wrote %d while down: %v; drops %v", n, err, d.Drops())
	}
	porttest.Up(t, "tap0")
	give(t, d, ps...)
	result := make(chan error)
	go func() {
		_, err := d.ReadBatch(make([]drawbridge.Packet, 4))
		result <- err
	}()
	porttest.Run(t, "ip link del tap0")
	if err := <-result; !errors.Is(err, unix.ENODEV) {
		t.Errorf("read: %v", err)
	}
	if _, err := d.WriteBatch(ps); !errors.Is(err, unix.ENODEV) {
		t.Errorf("write: %v", err)
	}
}

func TestTheInterfaceLivesAsLongAsTheDevice(t *testing.T) {
	porttest.Namespace(t)
	d := open(t, Config{Name: "guest%d", Queues: 2})
	if d.Name() != "guest0" || !strings.Contains(porttest.Run(t, "ip link"), "guest0:") {
		t.Errorf("called %q", d.Name())
	}
	result := make(chan error)
	for _, q := range d.Queues() {
		go func() {
			_, err := q.ReadBatch(make([]drawbridge.Packet, 4))
			result <- err
		}()
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for range d.Queues() {
		if err := <-result; !errors.Is(err, os.ErrClosed) {
			t.Errorf("read: %v", err)
		}
	}
	if strings.Contains(porttest.Run(t, "ip link"), "guest0:") {
		t.Error("the interface outlived its device")
	}
	if _, err := d.WriteBatch([]drawbridge.Packet{porttest.Numbered(1)}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if err := d.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	porttest.Namespace(t)
	open(t, Config{Name: "tap0"})
	for want, c := range map[string]Config{
		"no other program":   {Name: "tap0"},
		"at most 15 bytes":   {Name: "an-interface-name"},
		"set MTU 1000000":    {Name: "tap1", MTU: 1000000},
		`TAP device "tap0":`: {Name: "tap0", Queues: 2},
	} {
		if d, err := Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v %v, want %q", c, d, err, want)
		}
	}
	if out := porttest.Run(t, "ip link"); strings.Contains(out, "tap1:") {
		t.Error("an interface is left of an Open that failed")
	}
}

func TestBatchesAllocateNothing(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	out := []drawbridge.Packet{porttest.Numbered(1), porttest.Super(drawbridge.GSOTCPv4, 3000, 1460), porttest.Numbered(2)}
	in := make([]drawbridge.Packet, 16)
	if n := testing.AllocsPerRun(100, func() { exchange(t, a, b, out, in) }); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

func exchange(t testing.TB, a, b *Device, out, in []drawbridge.Packet) {
	if n, err := a.WriteBatch(out); n != len(out) || err != nil {
		t.Fatal(n, err)
	}
	for got := 0; got < len(out); {
		n, err := b.ReadBatch(in)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

// BenchmarkDevice gives through one device and takes at another behind a bridge, on the same goroutine.
func BenchmarkDevice(b *testing.B) {
	for name, pk := range map[string]drawbridge.Packet{
		"small": porttest.Numbered(1), "super": porttest.Super(drawbridge.GSOTCPv4, 63000, 1448),
	} {
		b.Run(name, func(b *testing.B) {
			from, to := pair(b, Config{}, Config{})
			out, in := make([]drawbridge.Packet, 16), make([]drawbridge.Packet, 16)
			for i := range out {
				out[i] = pk
			}
			b.SetBytes(int64(len(out) * len(pk.Frame)))
			for b.Loop() {
				exchange(b, from, to, out, in)
			}
			b.ReportMetric(float64(b.N*len(out))/b.Elapsed().Seconds(), "frames/s")
		})
	}
}
