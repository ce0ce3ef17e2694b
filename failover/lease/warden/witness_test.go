package warden

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// daemon is what a daemon under test is told on its input.
type daemon struct{ allowed, moves atomic.Bool }

func dup(t *testing.T, fd int) uintptr {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return uintptr(n)
}

// heard is one request of the agent under test, and whether its gate was open when it came.
type heard struct {
	kind  lease.Kind
	epoch drawbridge.Epoch
	open  bool
}

// witness is the other voter, in the test's own process.
type witness struct {
	addr netip.AddrPort
	gate *failover.Gate
	all  chan heard // asks and releases
	conn *net.UDPConn
	seen chan struct{} // a renewal, if anybody waits for one
}

func newWitness(t *testing.T, g *failover.Gate) *witness {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{gate: g, all: make(chan heard, 10000), seen: make(chan struct{}), conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	channel, err := lease.NewChannel(voter, self, secret, 99, func() uint64 { return uint64(time.Now().UnixNano()) })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		w.run(channel)
		close(ended)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return w
}

func now() lease.Instant { return lease.Instant(gate.Now()) }

func (w *witness) run(channel *lease.Channel) {
	node := lease.NewNode(voter, now(), 5)
	var out lease.Output
	var m lease.Message
	if node.SetConfig(now(), config(1), &out) != nil {
		return
	}
	b := make([]byte, 2000)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if err := channel.Open(b[:n], &m); err != nil {
			_, _ = w.conn.WriteToUDPAddrPort(channel.Challenge(nil), from) // a new agent
			continue
		}
		_, open := w.gate.Permit()
		for _, e := range m.Entries {
			if e.Kind == lease.Renew {
				select {
				case w.seen <- struct{}{}:
				default:
				}
			}
			if e.Kind == lease.Release || e.Kind == lease.Ask {
				w.all <- heard{e.Kind, e.Epoch, open}
			}
		}
		out.Reset()
		node.Receive(now(), self, &m, &out)
		if len(out.Answers) > 0 {
			answer := lease.Message{Class: lease.Answer, Generation: 1, Floor: 1, Stamp: m.Stamp, Clock: now(), Entries: out.Answers}
			_, _ = w.conn.WriteToUDPAddrPort(channel.Seal(nil, &answer), from)
		}
	}
}

// next waits for a request of a kind.
func (w *witness) next(kind lease.Kind) heard {
	for h := range w.all {
		if h.kind == kind {
			return h
		}
	}
	return heard{}
}
