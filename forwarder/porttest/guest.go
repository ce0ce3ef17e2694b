package porttest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what always comes; it bounds a failure and decides nothing else.
const patience = 20 * time.Second

// Guest is another namespace, which plays a machine behind a port. Its stack checks what arrives as any receiver
// does, so what two guests say through ports proves that checksums, lengths and segments are right.
type Guest struct {
	number int
	tid    int
	calls  chan func()
}

// NewGuest makes guest number 1 to 254, which ends with the test.
func NewGuest(t testing.TB, number int) *Guest {
	t.Helper()
	g := &Guest{number: number, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		err := enter()
		g.tid = unix.Gettid()
		ready <- err
		for call := range g.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(g.calls) })
	return g
}

// Do calls f in the guest and waits for it. f must not end the test.
func (g *Guest) Do(f func()) {
	done := make(chan struct{})
	g.calls <- func() { defer close(done); f() }
	<-done
}

// Run is like the function Run, in the guest.
func (g *Guest) Run(t testing.TB, line string) (out string) {
	t.Helper()
	words := strings.Fields(line)
	var b []byte
	var err error
	g.Do(func() { b, err = exec.Command(words[0], words[1:]...).CombinedOutput() })
	if err != nil {
		t.Fatalf("guest %d: %s: %v: %s", g.number, line, err, strings.TrimSpace(string(b)))
	}
	return string(b)
}

// Adopt moves an interface of the calling goroutine's namespace into the guest, as "eth0" with the guest's addresses,
// and sets it up.
func (g *Guest) Adopt(t testing.TB, name string) {
	t.Helper()
	Run(t, fmt.Sprintf("ip link set %s netns /proc/%d/task/%d/ns/net name eth0", name, os.Getpid(), g.tid))
	var err error
	g.Do(func() { err = os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("0"), 0o600) })
	if err != nil {
		t.Fatal(err)
	}
	g.Run(t, "ip addr add "+g.IPv4()+"/24 dev eth0")
	g.Run(t, "ip addr add "+g.IPv6()+"/64 dev eth0 nodad")
	g.Run(t, "ip link set eth0 up")
}

// IPv4 is the guest's address, of the range for such tests (RFC 2544).
func (g *Guest) IPv4() string { return fmt.Sprintf("198.18.0.%d", g.number) }

// IPv6 is the guest's address, of a private range (RFC 4193).
func (g *Guest) IPv6() string { return fmt.Sprintf("fd00::%x", g.number) }

// TransferTCP sends so many bytes from one guest to that address of another and compares digests.
func TransferTCP(t testing.TB, from, to *Guest, address string, bytes int64) {
	t.Helper()
	var listener net.Listener
	var err error
	to.Do(func() { listener, err = net.Listen("tcp", net.JoinHostPort(address, "5000")) })
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	digest := make(chan [sha256.Size]byte, 1)
	go func() { digest <- digestOf(listener) }()
	var conn net.Conn
	from.Do(func() { conn, err = net.DialTimeout("tcp", listener.Addr().String(), patience) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.New()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err = io.Copy(io.MultiWriter(conn, sum), io.LimitReader(&noise{}, bytes)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if <-digest != [sha256.Size]byte(sum.Sum(nil)) {
		t.Error("the stream changed on its way, or broke off")
	}
}

func digestOf(l net.Listener) (digest [sha256.Size]byte) {
	conn, err := l.Accept()
	if err != nil {
		return digest
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	sum := sha256.New()
	_, _ = io.Copy(sum, conn)
	return [sha256.Size]byte(sum.Sum(nil))
}

// noise is an endless stream without short repetitions.
type noise struct{ state uint32 }

func (n *noise) Read(b []byte) (int, error) {
	for i := range b {
		n.state = n.state*1664525 + 1013904223 // Numerical Recipes' generator
		b[i] = byte(n.state >> 24)
	}
	return len(b), nil
}

// SendUDP sends so many bytes in one system call, which the guest's stack may cut into datagrams of that size unless
// it is 0, and returns the lengths of the datagrams that arrive.
func SendUDP(t testing.TB, from, to *Guest, length, segment int) (lengths []int) {
	t.Helper()
	var server, client *net.UDPConn
	var err error
	to.Do(func() { server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(to.IPv4()), Port: 5000}) })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	from.Do(func() { client, err = net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr)) })
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
	_ = server.SetReadDeadline(time.Now().Add(patience))
	for got := 0; got < length; {
		n, err := server.Read(buf)
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", got, length, err)
		}
		got, lengths = got+n, append(lengths, n)
	}
	return lengths
}

// VXLAN makes a tunnel between two guests and returns the second's address in it.
func VXLAN(t testing.TB, a, b *Guest) string {
	t.Helper()
	for g, peer := range map[*Guest]*Guest{a: b, b: a} {
		g.Run(t, "ip link add vx type vxlan id 5 dstport 4789 dev eth0 local "+g.IPv4()+" remote "+peer.IPv4())
		g.Run(t, fmt.Sprintf("ip addr add 198.19.0.%d/24 dev vx", g.number))
		g.Run(t, "ip link set vx up")
	}
	return fmt.Sprintf("198.19.0.%d", b.number)
}
