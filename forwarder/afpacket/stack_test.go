package afpacket

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// wire joins two guests through two ports, each on the host's end of a veth pair, with a loop where the switch and
// the mesh would be.
type wire struct {
	guests      [2]*porttest.Guest
	ports       [2]*Port
	supers, all atomic.Uint64
}

func newWire(t testing.TB, a, b Config) *wire {
	t.Helper()
	porttest.Namespace(t)
	w := new(wire)
	for i, c := range []Config{a, b} {
		host, guest := fmt.Sprintf("h%d", i), fmt.Sprintf("g%d", i)
		porttest.Run(t, "ip link add "+host+" type veth peer name "+guest)
		w.guests[i] = porttest.NewGuest(t)
		w.guests[i].Adopt(t, guest, fmt.Sprintf("198.18.0.%d/24", i+1))
		porttest.Up(t, host)
		c.Interface = host
		w.ports[i] = open(t, c)
	}
	var pumps sync.WaitGroup
	for i := range w.ports {
		pumps.Go(func() { w.pump(t, w.ports[i], w.ports[1-i]) })
	}
	t.Cleanup(func() {
		for _, p := range w.ports {
			p.Close()
		}
		pumps.Wait()
	})
	return w
}

func (w *wire) pump(t testing.TB, from, to *Port) {
	ps := make([]drawbridge.Packet, 64)
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
				w.supers.Add(1)
			}
		}
		w.all.Add(uint64(n))
		if _, err := to.WriteBatch(ps[:n]); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	}
}

// enableIPv6 gives guest i the address fd00::i+1.
func (w *wire) enableIPv6(t testing.TB, i int) {
	t.Helper()
	w.guests[i].Do(func() { _ = os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("0"), 0o600) })
	w.guests[i].Run(t, fmt.Sprintf("ip addr add fd00::%d/64 dev eth0 nodad", i+1))
}

// transfer sends so many bytes by TCP from guest 0 to that address of guest 1 and compares the digests.
func (w *wire) transfer(t testing.TB, address string, bytes int64) {
	t.Helper()
	var listener net.Listener
	var err error
	w.guests[1].Do(func() { listener, err = net.Listen("tcp", net.JoinHostPort(address, "5000")) })
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	digest := make(chan []byte, 1)
	go func() { digest <- digestOf(listener) }()
	var conn net.Conn
	w.guests[0].Do(func() { conn, err = net.DialTimeout("tcp", listener.Addr().String(), 10*time.Second) })
	if err != nil {
		t.Fatalf("%v; drops %v, %v", err, w.ports[0].Drops(), w.ports[1].Drops())
	}
	sum := sha256.New()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = io.Copy(io.MultiWriter(conn, sum), io.LimitReader(&pattern{}, bytes))
	conn.Close()
	if err != nil {
		t.Fatalf("%v; drops %v, %v", err, w.ports[0].Drops(), w.ports[1].Drops())
	}
	if got := <-digest; string(got) != string(sum.Sum(nil)) {
		t.Error("the stream changed on its way")
	}
}

func digestOf(l net.Listener) []byte {
	conn, err := l.Accept()
	if err != nil {
		return nil
	}
	defer conn.Close()
	sum := sha256.New()
	_, _ = io.Copy(struct{ hash.Hash }{sum}, conn)
	return sum.Sum(nil)
}

// pattern is an endless stream without short repetitions.
type pattern struct{ at uint32 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		p.at = p.at*1664525 + 1013904223
		b[i] = byte(p.at >> 24)
	}
	return len(b), nil
}

// TestTwoStacksTalkTCP: what two Linux stacks say through two ports arrives, in whatever form the ports work. A wrong
// checksum, length or segment would stop the stream, for the receiving stack checks them.
func TestTwoStacksTalkTCP(t *testing.T) {
	for name, c := range map[string][2]Config{
		"virtio-net headers": {{}, {}},
		"plain":              {{Plain: true}, {Plain: true}},
		"mixed":              {{}, {Plain: true}},
	} {
		for _, address := range []string{"198.18.0.2", "fd00::2"} {
			t.Run(name+", "+address, func(t *testing.T) {
				w := newWire(t, c[0], c[1])
				w.enableIPv6(t, 0)
				w.enableIPv6(t, 1)
				w.transfer(t, address, 8<<20)
				if w.supers.Load() == 0 {
					t.Error("no super-frame passed: the stacks were not asked for what they can do")
				}
			})
		}
	}
}

// TestPartialChecksumsPass holds that a datagram on a veth pair has no checksum of its own: it is the far side that
// completes it.
func TestPartialChecksumsPass(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	watch := open(t, Config{Interface: "h0"})
	send(t, w, 100, 0)
	ps := make([]drawbridge.Packet, 16)
	n, err := watch.ReadBatch(ps)
	for ; err == nil; n, err = watch.ReadBatch(ps) {
		for _, pk := range ps[:n] {
			if pk.Frame.EtherType() == 0x0806 {
				continue // address resolution
			}
			if pk.Offload.Flags&drawbridge.NeedsChecksum == 0 {
				t.Errorf("%+v: want a partial checksum", pk.Offload)
			}
			return
		}
	}
	t.Error(err)
}

// TestDatagramSegmentation: one system call of the guest's, one frame on the way, many datagrams at the end.
func TestDatagramSegmentation(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	for i, length := range send(t, w, 20000, 1200) {
		if want := min(1200, 20000-1200*i); length != want {
			t.Errorf("datagram %d has %d bytes, want %d", i, length, want)
		}
	}
	if w.supers.Load() == 0 {
		t.Error("no super-frame passed")
	}
}

// send sends so many bytes from guest 0 to guest 1 by UDP, in segments of that size unless 0, and returns the lengths
// of the datagrams that arrive.
func send(t *testing.T, w *wire, length, segment int) (lengths []int) {
	t.Helper()
	var server, client *net.UDPConn
	var err error
	w.guests[1].Do(func() { server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(198, 18, 0, 2), Port: 5000}) })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	w.guests[0].Do(func() { client, err = net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr)) })
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	raw, _ := client.SyscallConn()
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, segment) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write(make([]byte, length)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for got := 0; got < length; {
		_ = server.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := server.Read(buf)
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v; drops %v, %v", got, length, err, w.ports[0].Drops(), w.ports[1].Drops())
		}
		got, lengths = got+n, append(lengths, n)
	}
	return lengths
}
