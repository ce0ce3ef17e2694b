package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

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

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// peerUnderTest is one peer with an engine and one guest host.
type peerUnderTest struct {
	short Short
	ns    *netlab.Namespace
	host  *netlab.Namespace
	e     *Engine
}

func guestMAC(i int) drawbridge.MAC { return drawbridge.MAC{2, 0, 0, 0, 1, byte(i)} }
func guestIP(i int) netip.Addr      { return netip.AddrFrom4([4]byte{10, 77, 0, byte(i)}) }
func underlayIP(i int) netip.Addr   { return netip.AddrFrom4([4]byte{172, 31, 77, byte(i)}) }

// mesh makes n peers on one underlay, all neighbours of each other, each with a guest.
func newMesh(t *testing.T, n int) (ps []*peerUnderTest) {
	t.Helper()
	wan := space(t, "wan")
	must(t, wan.Bridge("br0"))
	for i := 1; i <= n; i++ {
		p := &peerUnderTest{short: Short(i), ns: space(t, fmt.Sprint("p", i)), host: space(t, fmt.Sprint("h", i))}
		must(t,
			netlab.Wire(netlab.End{In: p.ns, Name: "wan0"}, netlab.End{In: wan, Name: fmt.Sprint("p", i)}),
			wan.Attach(fmt.Sprint("p", i), "br0"),
			p.ns.Address("wan0", netip.PrefixFrom(underlayIP(i), 24)),
			netlab.Wire(netlab.End{In: p.host, Name: "eth0", MAC: guestMAC(i), MTU: 1400}, netlab.End{In: p.ns, Name: "lan0", MTU: 1400}),
			p.host.Address("eth0", netip.PrefixFrom(guestIP(i), 24)),
		)
		must(t, p.ns.Do(func() (err error) {
			if p.e, err = Load(Options{Device: "dbk0", Port: 4790, Settle: 300 * time.Millisecond}); err != nil {
				return err
			}
			lan, err := net.InterfaceByName("lan0")
			if err != nil {
				return err
			}
			if err := p.e.Renew(time.Hour); err != nil {
				return err
			}
			return p.e.AddPort(Port{Ifindex: lan.Index, Self: p.short, Gate: -1})
		}))
		t.Cleanup(func() { must(t, p.e.Close()) })
		ps = append(ps, p)
	}
	for _, p := range ps {
		t1 := Table{Peers: map[Short]Peer{}, Children: map[Short][]Short{}}
		for _, q := range ps {
			if p == q {
				t1.Peers[q.short] = Peer{Local: true, MaySend: true}
				continue
			}
			t1.Peers[q.short] = Peer{MaySend: true, Remote: underlayIP(int(q.short)), Via: q.short, Parent: q.short, MTU: 1450}
			t1.Children[p.short] = append(t1.Children[p.short], q.short)
		}
		must(t, p.e.Apply(t1))
	}
	return ps
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestGuestsOfTwoPeersReachEachOther(t *testing.T) {
	ps := newMesh(t, 2)
	if _, err := ps[0].host.Ping(within(t, 5*time.Second), guestIP(2)); err != nil {
		for _, p := range ps {
			t.Log(p.e.Counters())
		}
		t.Fatal(err)
	}
}
