//go:build wireguard

// Tests of the device itself, where the kernel has WireGuard: test/vm.

package wireguard

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// end is one of two hosts on a wire.
type end struct {
	t   *testing.T
	ns  *netlab.Namespace
	dev *Device
	id  drawbridge.PeerID
}

func outside(id drawbridge.PeerID) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}) }

// pair is peers 1 and 2, with devices that know each other.
func pair(t *testing.T) (a, b *end) {
	for i, to := range []**end{&a, &b} {
		name := []string{"wga", "wgb"}[i]
		must(t, netlab.Delete(name))
		ns, err := netlab.Create(name)
		must(t, err)
		*to = &end{t: t, ns: ns, id: drawbridge.PeerID(i + 1)}
		t.Cleanup(func() { must(t, ns.Close(), netlab.Delete(name)) })
	}
	must(t, netlab.Wire(netlab.End{In: a.ns, Name: "wan0"}, netlab.End{In: b.ns, Name: "wan0"}))
	for _, e := range []*end{a, b} {
		must(t, e.ns.Address("wan0", netip.PrefixFrom(outside(e.id), 24)))
		e.do(func() (err error) { e.dev, err = Open(e.id); return err })
	}
	a.knows(b)
	b.knows(a)
	return a, b
}

// do acts in the namespace. f returns errors: FailNow is for the test's own goroutine.
func (e *end) do(f func() error) {
	e.t.Helper()
	must(e.t, e.ns.Do(f))
}

func (e *end) knows(o *end) {
	e.t.Helper()
	p, why := Make(e.id, e.dev.Key(), []Peer{{ID: o.id, Name: "other", Key: o.dev.Key(), Endpoint: outside(o.id)}})
	if why != "" {
		e.t.Fatal(why)
	}
	e.do(func() error { return e.dev.Set(p) })
}

// eventually asks until it is so; the test's own limit is for what never comes.
func (e *end) eventually(what string, so func() bool) {
	e.t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); {
		if time.Now().After(end) {
			e.t.Fatalf("not: %s", what)
		}
		unix.Nanosleep(&unix.Timespec{Nsec: 20e6}, nil)
	}
}

// socket receives at the port of a tunnel, from anywhere.
func (e *end) socket() (c *net.UDPConn) {
	e.t.Helper()
	e.do(func() (err error) { c, err = net.ListenUDP("udp6", &net.UDPAddr{Port: 6640}); return err })
	e.t.Cleanup(func() { _ = c.Close() })
	return c
}

// send sends to an inner address, from one.
func (e *end) send(from, to netip.Addr, text string) error {
	return e.ns.Do(func() error {
		c, err := net.DialUDP("udp6", &net.UDPAddr{IP: from.AsSlice(), Zone: Name}, &net.UDPAddr{IP: to.AsSlice(), Port: 6640, Zone: Name})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(text))
		return err
	})
}

// next is what arrives.
func (e *end) next(c *net.UDPConn) (string, string) {
	e.t.Helper()
	b := make([]byte, 100)
	must(e.t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	n, from, err := c.ReadFromUDPAddrPort(b)
	must(e.t, err)
	return string(b[:n]), from.Addr().WithZone("").String()
}

func (e *end) refused() (n uint64) {
	e.do(func() error {
		l, err := netlink.LinkByName(Name)
		n = l.Attrs().Statistics.RxErrors
		return err
	})
	return n
}

// TestPeersReachEachOther at their inner addresses, after a handshake that the devices begin themselves.
func TestPeersReachEachOther(t *testing.T) {
	a, b := pair(t)
	at := b.socket()
	a.eventually("handshake", func() bool {
		h := map[drawbridge.PeerID]time.Time{}
		a.do(func() (err error) { h, err = a.dev.Handshakes(); return err })
		return !h[2].IsZero()
	})
	must(t, a.send(Inner(1), Inner(2), "hello"))
	if text, from := b.next(at); text != "hello" || from != Inner(1).String() {
		t.Errorf("%q from %s", text, from)
	}
}

// TestAnotherPeersInnerSourceIsDropped: a peer speaks from its own inner address or not at all.
func TestAnotherPeersInnerSourceIsDropped(t *testing.T) {
	a, b := pair(t)
	at := b.socket()
	forged := Inner(3)
	a.do(func() error {
		return netlink.AddrAdd(a.dev.link, &netlink.Addr{IPNet: host(3), Flags: unix.IFA_F_NODAD})
	})
	must(t, a.send(Inner(1), Inner(2), "first"))
	b.next(at)
	before := b.refused()
	must(t, a.send(forged, Inner(2), "forged"), a.send(Inner(1), Inner(2), "mark"))
	if text, from := b.next(at); text != "mark" {
		t.Errorf("%q from %s passed", text, from)
	}
	if n := b.refused() - before; n != 1 {
		t.Errorf("%d packets refused, want the forged one", n)
	}
}

// TestInnerAddressIsNotReachedFromOutside: a packet to it from the wire, in clear text and from an inner source, is for nobody.
func TestInnerAddressIsNotReachedFromOutside(t *testing.T) {
	a, b := pair(t)
	var at *net.UDPConn
	b.do(func() (err error) { at, err = net.ListenUDP("udp", &net.UDPAddr{Port: 6640}); return err })
	defer at.Close()
	var mac net.HardwareAddr
	b.do(func() error {
		l, err := netlink.LinkByName("wan0")
		mac = l.Attrs().HardwareAddr
		return err
	})
	a.do(func() error { // as an attacker on the wire
		l, err := netlink.LinkByName("wan0")
		if err != nil {
			return err
		}
		return errors.Join(
			a.dev.Close(),
			netlink.AddrAdd(l, &netlink.Addr{IPNet: host(1), Flags: unix.IFA_F_NODAD}),
			netlink.RouteAdd(&netlink.Route{Dst: host(2), LinkIndex: l.Attrs().Index}),
			netlink.NeighSet(&netlink.Neigh{LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT, IP: Inner(2).AsSlice(), HardwareAddr: mac}),
		)
	})
	inner := net.UDPAddr{IP: Inner(2).AsSlice(), Port: 6640, Zone: "wan0"}
	before := b.received()
	a.write(net.UDPAddr{IP: Inner(1).AsSlice(), Zone: "wan0"}, inner, "forged")
	b.eventually("the forged packet has arrived", func() bool { return b.received() > before })
	a.write(net.UDPAddr{}, net.UDPAddr{IP: outside(2).AsSlice(), Port: 6640}, "mark")
	if text, from := b.next(at); text != "mark" {
		t.Errorf("%q from %s passed", text, from)
	}
}

func (e *end) received() uint64 {
	n, err := e.ns.Received("wan0")
	must(e.t, err)
	return n
}

func (e *end) write(from, to net.UDPAddr, text string) {
	e.t.Helper()
	e.do(func() error {
		c, err := net.DialUDP("udp", &from, &to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(text))
		return err
	})
}

// TestNothingLeavesWithoutTheDevice: while somebody has taken it away, what is for a peer goes nowhere.
func TestNothingLeavesWithoutTheDevice(t *testing.T) {
	a, _ := pair(t)
	lookup := func() (r []netlink.Route, err error) {
		a.do(func() error { r, err = netlink.RouteGet(Inner(2).AsSlice()); return nil })
		return r, err
	}
	if r, err := lookup(); err != nil || r[0].LinkIndex != a.dev.link.Attrs().Index {
		t.Fatalf("%v, %v", r, err)
	}
	plan := a.dev.plan
	for _, away := range []func(string) error{a.ns.Down, a.ns.Remove} {
		must(t, away(Name))
		if r, err := lookup(); err == nil {
			t.Errorf("without the device there is a route: %v", r)
		}
		a.do(func() error {
			if a.dev.Set(plan) == nil {
				t.Error("nobody noticed")
			}
			return nil
		})
	}
}

// TestCleanRemovesEverything, and leaves alone what is another's.
func TestCleanRemovesEverything(t *testing.T) {
	a, _ := pair(t)
	a.do(func() error {
		if !Left() {
			t.Error("the device is not seen")
		}
		removed, err := Clean()
		if err != nil || !removed || Left() {
			t.Errorf("%v, %v", removed, err)
		}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Protocol: routeOrigin}, netlink.RT_FILTER_PROTOCOL)
		if err != nil || len(routes) > 0 {
			t.Errorf("left: %v, %v", routes, err)
		}
		if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: Name}}); err != nil {
			return err
		}
		if removed, err := Clean(); err != nil || removed {
			t.Errorf("another's device: %v, %v", removed, err)
		}
		if _, err := Open(1); err == nil {
			t.Error("opened over another's device")
		}
		return nil
	})
}

// TestANewKeyTakesOver: a peer that has begun again is reached under its new key, and the old one is forgotten.
func TestANewKeyTakesOver(t *testing.T) {
	a, b := pair(t)
	old := b.dev.Key()
	b.do(func() (err error) { b.dev, err = Open(b.id); return err })
	if b.dev.Key() == old {
		t.Fatal("the same key")
	}
	a.knows(b)
	b.knows(a)
	at := b.socket()
	must(t, a.send(Inner(1), Inner(2), "again"))
	if text, _ := b.next(at); text != "again" {
		t.Errorf("%q", text)
	}
	a.do(func() error {
		state, err := a.dev.client.Device(Name)
		if len(state.Peers) != 1 || len(state.Peers[0].AllowedIPs) != 1 {
			t.Errorf("%+v", state.Peers)
		}
		return err
	})
}
