package transit

import (
	"bytes"
	"net/netip"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/udp"
)

// still is a plane without goroutines and without traffic: what it seals is collected, and what it shall
// hear is fed to its reader. All that a test must know of a Sender's inside is in this file.
type still struct {
	*Plane
	t   testing.TB
	s   *Sender
	r   *reader
	got []got
	out func(h *drawbridge.Header, p *drawbridge.Packet) // instead of got
}

func (n *still) Deliver(h *drawbridge.Header, p *drawbridge.Packet) {
	if n.out != nil {
		n.out(h, p)
		return
	}
	n.got = append(n.got, got{*h, drawbridge.Packet{Frame: bytes.Clone(p.Frame), Offload: p.Offload}})
}

func (n *still) Flush() {}

func newStill(t testing.TB, id drawbridge.PeerID) *still {
	t.Helper()
	n := &still{t: t}
	p, err := Listen(Config{Self: id, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, Receiver: func() Receiver { return n }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.closeConns)
	n.Plane, n.s, n.r = p, p.Sender(), newReader(p, p.conns[0])
	return n
}

// datagram is one that a plane wanted to send.
type datagram struct {
	to   drawbridge.PeerID
	data []byte
}

// sealed takes what the plane wants to send.
func (n *still) sealed() (all []datagram) {
	for _, s := range []*Sender{n.s, n.r.relay} {
		s.settleAll()
		for _, m := range s.messages[:s.used] {
			if m.count > udp.MaxSegments || m.len > udp.MaxDatagram || (m.len+m.segment-1)/m.segment != m.count {
				n.t.Errorf("the kernel cannot cut %d octets in %d datagrams of %d", m.len, m.count, m.segment)
			}
			for rest := m.buf[:m.len]; len(rest) > 0; {
				one := rest[:min(m.segment, len(rest))]
				rest = rest[len(one):]
				all = append(all, datagram{m.link.cfg.Peer, bytes.Clone(one)})
			}
		}
		forget(s)
	}
	return all
}

// forget drops what s has sealed and packed.
func forget(s *Sender) {
	s.used, s.last = 0, nil
	for _, b := range s.bundles {
		b.buf, b.frames = b.buf[:0], 0
	}
}

// hear feeds datagrams and ends the batch. They were heard from nowhere.
func (n *still) hear(all ...[]byte) []got {
	n.r.now = n.now()
	for _, d := range all {
		n.r.datagram(bytes.Clone(d), -1)
	}
	return n.finish()
}

// finish ends the batch without sending what the relay has sealed.
func (n *still) finish() (all []got) {
	for len(n.r.pending) > 0 {
		n.r.close(n.r.pending[0])
	}
	n.r.head = 0
	all, n.got = n.got, nil
	return all
}

// neighbour gives n a link to peer that works, in both directions under the same key and index: whatever
// n seals for it, n can open as if peer had sealed it.
func (n *still) neighbour(peer drawbridge.PeerID, index uint32) *Link {
	l := newLink(n.Plane, LinkConfig{Peer: peer, Name: drawbridge.PeerName(peer.String()), Exporter: exampleExporter(), Control: func([]byte) error { return nil }})
	k := secure.RxKey{Index: index, Cipher: secure.CipherAES128GCM, Nonce: exampleNonce()}
	data, err := k.Derive(l.cfg.Exporter, true, k.Cipher)
	if err != nil {
		n.t.Fatal(err)
	}
	rx := &rxKey{link: l, index: index, data: data, ask: k}
	n.addKey(rx)
	l.rx = []*rxKey{rx}
	l.tx.Store(&txKey{index: index, data: data})
	l.path.Store(pathUDP)
	l.max.Store(1472)
	n.mu.Lock()
	n.links[peer] = l
	n.compile()
	n.mu.Unlock()
	return l
}

// seal makes a datagram of plain text as the far end of l would, under the next counter.
func (n *still) seal(l *Link, kind byte, plain []byte) []byte {
	k := l.tx.Load()
	d := make([]byte, clearLen+len(plain)+secure.TagLen)
	n.s.seal(d, k, k.counters[n.s.thread].n, kind, plain)
	k.counters[n.s.thread].n++
	return d
}

func exampleExporter() []byte {
	b := make([]byte, secure.ExporterLength)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func exampleNonce() (b [32]byte) {
	for i := range b {
		b[i] = 0xa0 + byte(i)
	}
	return b
}
