package alone

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Stray is a guest port that was heard where it should not be, on a segment or by another guest port, and may not hear that itself: a
// cable, or a switch, that carries one way. Its peer is told over the overlay, and blocks it.
type Stray struct {
	Guest    Place // whose hello was heard
	By       Place // the port that heard it
	Boot     uint32
	Sequence uint64 // of the hello
}

const (
	// strayEvery is how often a peer is told of the same port: once is enough, and a message may be lost.
	strayEvery = time.Second
	// strayWindow is how many of its last frames a peer takes for a sign of the present: guest ports say hello every 50 ms.
	strayWindow = 100
	straySize   = 24
)

// stray notes that a guest port was heard on one of ours.
func (m *Machine) stray(now time.Duration, p *port, n *neighbour, f Frame) {
	if n.strayAt == 0 || now-n.strayAt >= strayEvery {
		n.strayAt = now
		m.out.Strays = append(m.out.Strays, Stray{f.From, Place{m.cfg.Peer, p.ID}, f.Boot, f.Sequence})
	}
}

// HeardElsewhere takes another peer's word that it hears a guest port of ours. It is believed if it names a frame that this port sent a
// moment ago; the caller vouches for who says it.
func (m *Machine) HeardElsewhere(now time.Duration, s Stray) Output {
	p := m.ports[s.Guest.Port]
	switch {
	case p == nil || !p.carrier || s.Guest.Peer != m.cfg.Peer || !p.ID.Guest() || s.By.Peer == m.cfg.Peer:
		m.drops["stray_of_nobody"]++
	case s.Boot != m.cfg.Boot || s.Sequence > p.sequence || s.Sequence+strayWindow < p.sequence:
		m.drops["stray_of_the_past"]++
	case !s.By.Port.Guest():
		m.block(now, p, GuestOnSegment, s.By, "what this guest port sends is heard on a segment")
	case s.By.before(s.Guest):
		m.block(now, p, GuestOnGuest, s.By, "what this guest port sends is heard by a guest port of another peer")
	}
	return m.Tick(now)
}

// ErrStray is a message about a stray port that cannot be read.
var ErrStray = errors.New("word of a stray port of another version, or cut short")

// Append writes s behind b.
func (s *Stray) Append(b []byte) []byte {
	be := binary.BigEndian
	b = append(b, 1, 0, 0, 0)
	b = be.AppendUint32(b, uint32(s.Guest.Port))
	b = be.AppendUint32(b, uint32(s.By.Port))
	b = be.AppendUint32(b, s.Boot)
	return be.AppendUint64(b, s.Sequence)
}

// ParseStray reads what a peer has sent to the peer of the guest port.
func ParseStray(from, to drawbridge.PeerID, b []byte) (s Stray, err error) {
	if len(b) != straySize || b[0] != 1 {
		return s, ErrStray
	}
	be := binary.BigEndian
	guest, by := Place{to, PortID(be.Uint32(b[4:]))}, Place{from, PortID(be.Uint32(b[8:]))}
	return Stray{Guest: guest, By: by, Boot: be.Uint32(b[12:]), Sequence: be.Uint64(b[16:])}, nil
}
