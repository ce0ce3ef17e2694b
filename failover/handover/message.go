package handover

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// Kind is what a message says.
type Kind uint8

// Kinds of messages.
const (
	Prepare  Kind = 1
	Ready    Kind = 2
	Refuse   Kind = 3
	Stations Kind = 4
	Frame    Kind = 5
	Seen     Kind = 6
	Shut     Kind = 7
	Opened   Kind = 8
	End      Kind = 9
	Abort    Kind = 10
	Account  Kind = 11
	Turn     Kind = 12
)

// Limits of a message.
const (
	HeaderSize  = 8
	MaxBody     = 128 << 10
	MaxText     = 1024
	MaxStations = 4096 // in one message
	MaxHashes   = 8192 // in one message
	version     = 1
	stationSize = 12
)

// Which way a frame crosses the gate.
const (
	Captured uint8 = 1 // read from the segment
	Injected uint8 = 2 // to be written to it
)

// Station is where an address of the overlay is.
type Station struct {
	MAC  drawbridge.MAC
	Peer drawbridge.PeerID // 0: behind the segment
	Age  uint16            // seconds since it was heard
}

// Message is one message; which fields count, its kind says.
type Message struct {
	Kind      Kind
	ID        uint64
	Segment   drawbridge.SegmentID
	VNI       drawbridge.VNI
	Epoch     drawbridge.Epoch
	Micros    uint32
	Text      string
	Stations  []Station
	Direction uint8
	Flood     bool
	Packet    drawbridge.Packet // valid as long as what was parsed
	Hashes    []uint64
	Phase     uint8
	Counts    Counts
	Turned    Turned
}

// Turned is a source of frames that has turned from the giver to the taker.
type Turned struct {
	Origin drawbridge.PeerID
	Source uint32
	Number uint32
}

// Counts are what the taker did with frames until it had released its own.
type Counts struct {
	Handed  uint64 // of the giver, forwarded
	Kept    uint64 // its own, forwarded
	Twice   uint64 // its own that the giver had as well
	Dropped uint64 // for want of room
}

// ErrMessage is the condition behind every message that is refused.
var ErrMessage = errors.New("not a message of a handover")

// Append writes m behind b.
func (m *Message) Append(b []byte) []byte {
	at := len(b)
	b = append(b, version, byte(m.Kind), 0, 0, 0, 0, 0, 0)
	b = m.body(b)
	binary.BigEndian.PutUint32(b[at+4:], uint32(len(b)-at-HeaderSize))
	return b
}

func (m *Message) body(b []byte) []byte {
	switch m.Kind {
	case Prepare:
		b = binary.BigEndian.AppendUint64(b, m.ID)
		b = binary.BigEndian.AppendUint32(b, uint32(m.Segment))
		b = binary.BigEndian.AppendUint32(b, uint32(m.VNI))
		b = binary.BigEndian.AppendUint64(b, uint64(m.Epoch))
		b = binary.BigEndian.AppendUint32(b, m.Micros)
	case Ready:
		b = binary.BigEndian.AppendUint64(b, m.ID)
	case Refuse, Abort:
		b = binary.BigEndian.AppendUint64(b, m.ID)
		b = append(b, drawbridge.Cut(m.Text, MaxText)...)
	case Stations:
		for _, s := range m.Stations {
			b = append(b, s.MAC[:]...)
			b = binary.BigEndian.AppendUint32(b, uint32(s.Peer))
			b = binary.BigEndian.AppendUint16(b, s.Age)
		}
	case Frame:
		b = append(b, m.Direction, flag(m.Flood))
		b = appendOffload(b, &m.Packet.Offload)
		b = append(b, m.Packet.Frame...)
	case Seen:
		b = append(b, m.Direction)
		for _, h := range m.Hashes {
			b = binary.BigEndian.AppendUint64(b, h)
		}
	case Shut, Opened:
		b = binary.BigEndian.AppendUint64(b, m.ID)
		b = binary.BigEndian.AppendUint64(b, uint64(m.Epoch))
	case End:
		b = append(b, m.Phase)
	case Turn:
		for _, v := range []uint32{uint32(m.Turned.Origin), m.Turned.Source, m.Turned.Number} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
	case Account:
		for _, v := range []uint64{m.Counts.Handed, m.Counts.Kept, m.Counts.Twice, m.Counts.Dropped} {
			b = binary.BigEndian.AppendUint64(b, v)
		}
	}
	return b
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

const offloadSize = 10

func appendOffload(b []byte, o *drawbridge.Offload) []byte {
	b = append(b, o.Flags, o.GSO)
	for _, v := range []uint16{o.HeaderLen, o.SegmentSize, o.ChecksumStart, o.ChecksumOffset} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

func parseOffload(b []byte) drawbridge.Offload {
	return drawbridge.Offload{
		Flags: b[0], GSO: b[1], HeaderLen: binary.BigEndian.Uint16(b[2:]), SegmentSize: binary.BigEndian.Uint16(b[4:]),
		ChecksumStart: binary.BigEndian.Uint16(b[6:]), ChecksumOffset: binary.BigEndian.Uint16(b[8:]),
	}
}

// BodyLen reads from a header how many octets follow it.
func BodyLen(header []byte) (int, error) {
	switch {
	case len(header) < HeaderSize:
		return 0, fmt.Errorf("header of %d octets: %w", len(header), ErrMessage)
	case header[0] != version:
		return 0, fmt.Errorf("version %d: this software speaks %d: %w", header[0], version, ErrMessage)
	case header[2] != 0 || header[3] != 0:
		return 0, fmt.Errorf("octets that must be zero are not: %w", ErrMessage)
	}
	n := binary.BigEndian.Uint32(header[4:])
	if n > MaxBody {
		return 0, fmt.Errorf("body of %d octets, at most %d: %w", n, MaxBody, ErrMessage)
	}
	return int(n), nil
}

// Parse reads a message. Its frame is part of b.
func Parse(b []byte, m *Message) error {
	n, err := BodyLen(b)
	if err != nil {
		return err
	}
	if len(b) != HeaderSize+n {
		return fmt.Errorf("%d octets, want %d: %w", len(b), HeaderSize+n, ErrMessage)
	}
	*m = Message{Kind: Kind(b[1])}
	body := b[HeaderSize:]
	if !m.fits(len(body)) {
		return fmt.Errorf("kind %d with %d octets: %w", m.Kind, len(body), ErrMessage)
	}
	return m.parse(body)
}

// fits reports whether a body of n octets can be of m's kind.
func (m *Message) fits(n int) bool {
	switch m.Kind {
	case Prepare:
		return n == 28
	case Ready:
		return n == 8
	case Refuse, Abort:
		return n >= 8 && n <= 8+MaxText
	case Stations:
		return n%stationSize == 0 && n/stationSize <= MaxStations
	case Frame:
		return n >= 2+offloadSize+drawbridge.MinFrame
	case Seen:
		return n%8 == 1 && n/8 <= MaxHashes
	case Shut, Opened:
		return n == 16
	case End:
		return n == 1
	case Turn:
		return n == 12
	case Account:
		return n == 32
	}
	return false
}

func (m *Message) parse(b []byte) error {
	switch m.Kind {
	case Prepare:
		m.ID, m.Segment = binary.BigEndian.Uint64(b), drawbridge.SegmentID(binary.BigEndian.Uint32(b[8:]))
		m.VNI, m.Epoch = drawbridge.VNI(binary.BigEndian.Uint32(b[12:])), drawbridge.Epoch(binary.BigEndian.Uint64(b[16:]))
		m.Micros = binary.BigEndian.Uint32(b[24:])
	case Ready:
		m.ID = binary.BigEndian.Uint64(b)
	case Refuse, Abort:
		m.ID, m.Text = binary.BigEndian.Uint64(b), string(b[8:])
	case Stations:
		for ; len(b) > 0; b = b[stationSize:] {
			m.Stations = append(m.Stations, Station{
				MAC: drawbridge.MAC(b[:6]), Peer: drawbridge.PeerID(binary.BigEndian.Uint32(b[6:])), Age: binary.BigEndian.Uint16(b[10:]),
			})
		}
	case Frame:
		m.Direction, m.Flood, m.Packet.Offload = b[0], b[1]&1 != 0, parseOffload(b[2:])
		m.Packet.Frame = b[2+offloadSize:]
		return m.checkDirection(b[1])
	case Seen:
		m.Direction = b[0]
		for b = b[1:]; len(b) > 0; b = b[8:] {
			m.Hashes = append(m.Hashes, binary.BigEndian.Uint64(b))
		}
		return m.checkDirection(0)
	case Shut, Opened:
		m.ID, m.Epoch = binary.BigEndian.Uint64(b), drawbridge.Epoch(binary.BigEndian.Uint64(b[8:]))
	case Turn:
		m.Turned = Turned{drawbridge.PeerID(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	case Account:
		m.Counts = Counts{
			binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:]),
		}
	case End:
		if m.Phase = b[0]; m.Phase != 1 && m.Phase != 2 {
			return fmt.Errorf("end of phase %d: %w", m.Phase, ErrMessage)
		}
	}
	return nil
}

func (m *Message) checkDirection(flags byte) error {
	if m.Direction != Captured && m.Direction != Injected || flags > 1 {
		return fmt.Errorf("direction %d, flags %d: %w", m.Direction, flags, ErrMessage)
	}
	return nil
}
