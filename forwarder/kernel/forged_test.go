package kernel

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// forger sends packets to the tunnel of peer 2 from an address of peer 1's.
type forger struct{ conn *net.UDPConn }

func (l *lab) forger(from netip.Addr) (f forger) {
	l.t.Helper()
	must(l.t, l.nodes[1].ns.Do(func() (err error) {
		f.conn, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(underlay(2), 4790)))
		return err
	}))
	l.t.Cleanup(func() { must(l.t, f.conn.Close()) })
	return f
}

// send wraps octets in a VXLAN header (RFC 7348 §5).
func (f forger) send(t *testing.T, flags byte, vni uint32, inner []byte) {
	t.Helper()
	p := binary.BigEndian.AppendUint32([]byte{flags, 0, 0, 0}, vni<<8)
	if _, err := f.conn.Write(append(p, inner...)); err != nil {
		t.Fatal(err)
	}
}

// TestForgedTunnelPackets: what comes to the UDP port is anybody's writing. It is counted and dropped, and what is sound crosses afterwards.
func TestForgedTunnelPackets(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	must(t, l.nodes[1].ns.Address("wan0", netip.PrefixFrom(underlay(99), 24)))
	known, stranger := l.forger(underlay(1)), l.forger(underlay(99))
	whole := a.frame(drawbridge.Broadcast)
	with := func(at int, octets ...byte) []byte {
		return slices.Replace(bytes.Clone(whole), at, at+len(octets), octets...)
	}
	for _, c := range []struct {
		name   string
		by     forger
		flags  byte
		vni    uint32
		inner  []byte
		counts string // empty: the kernel itself drops it
	}{
		{"nothing", known, 8, 1, nil, ""},
		{"one octet", known, 8, 1, whole[:1], ""},
		{"less than a header", known, 8, 1, whole[:13], ""},
		{"no number", known, 0, 1, whole, ""},
		{"an unknown source", stranger, 8, 1, whole, "unknown_peer"},
		{"an unknown origin", known, 8, 99, whole, "unknown_peer"},
		{"no origin", known, 8, 0, whole, "unknown_peer"},
		{"the receiver's own number", known, 8, 2, whole, "echo"},
		{"an unknown destination", known, 8, 1 | 77<<12, whole, "misdirected"},
		{"back to the sender", known, 8, 1 | 1<<12, whole, "misdirected"},
		{"a source of many", known, 8, 1, with(6, 0xff), "bad_source"},
		{"a source of nobody", known, 8, 1, with(6, 0, 0, 0, 0, 0, 0), "bad_source"},
		{"a bridge's", known, 8, 1, with(0, 1, 0x80, 0xc2, 0, 0, 0), "link_local"},
		{"a hello of ALONE", known, 8, 1, with(12, 0x88, 0xb6), "link_local"},
		{"a hello of ALONE behind two tags", known, 8, 1, slices.Insert(with(12, 0x88, 0xb6), 12, 0x88, 0xa8, 0, 1, 0x81, 0, 0, 2), "link_local"},
	} {
		before := l.count(2, c.counts)
		c.by.send(t, c.flags, c.vni, c.inner)
		for deadline := time.Now().Add(patience); c.counts != "" && l.count(2, c.counts) == before; {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s counts nothing", c.name, c.counts)
			}
		}
	}
	mark := a.frame(drawbridge.Broadcast)
	a.send(mark)
	if n := b.copies(whole, mark); n != 0 {
		t.Errorf("a forged frame arrived %d times", n)
	}
	if n := l.count(2, "received"); n != 1 {
		t.Errorf("%d frames received, want the sound one", n)
	}
}

// TestFramesOfAnyLength: headers alone, tags without end, and more than the underlay carries in one packet, which IP cuts in pieces and
// puts together again.
func TestFramesOfAnyLength(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	a, b := l.nodes[1].host, l.nodes[2].host
	meet(l, a, b)
	tags := append(a.frame(b.mac)[:12], bytes.Repeat([]byte{0x81, 0, 0, 1}, 20)...)
	all := []drawbridge.Frame{tags, tags[:20], a.frame(b.mac)[:14], a.frame(b.mac)[:15], a.frame(b.mac)[:59]}
	for _, size := range []int{1450, 1451, 1514, 4000, 9014} {
		all = append(all, append(a.frame(b.mac), make([]byte, 9000)...)[:size])
	}
	for _, f := range all {
		for _, to := range []drawbridge.MAC{b.mac, drawbridge.Broadcast} {
			f, mark := bytes.Clone(f), a.frame(drawbridge.Broadcast)
			copy(f, to[:])
			a.send(f)
			a.send(mark)
			if n := b.copies(f, mark); n != 1 {
				t.Errorf("%d octets to %s, %x...: %d copies, want 1", len(f), to, f[12:min(len(f), 20)], n)
			}
		}
	}
}
