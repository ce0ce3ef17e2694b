package ipam

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unicode/utf8"

	"github.com/drawbridge-net/drawbridge"
)

// Kind says what a message is.
type Kind uint8

const (
	Digest Kind = 1 + iota
	State
	Ask
	Offer
	Accept
	Return
	Returned
	Refuse
	Fence
)

// What an Ask asks for.
const (
	askBlocks uint8 = 1 + iota
	askAny
	askThis
)

// Reasons of a Refuse.
const (
	whyUnable   uint8 = 1 + iota // the sender may not use its space now
	whyNothing                   // it has nothing free
	whyTaken                     // the address is taken
	whyNotMine                   // it does not own the address
	whyReserved                  // the address is reserved
)

// Sizes of docs/protocol/ipam.md.
const (
	version    = 1
	headerLen  = 72
	statusLen  = 32
	runLen     = 32
	loanLen    = 16
	maxOwner   = 128
	maxText    = 200
	maxLoans   = 1 << 15
	maxMembers = 1 << 12
)

// Status is what a holder tells about its space in one subnet. The higher sequence is newer.
type Status struct {
	Holder
	Sequence   uint64
	FreeBlocks uint32
	Free       uint32
	Exhaustion uint32 // seconds until nothing is left at the present rate; never is the largest
}

// never is the Exhaustion of a peer that gives away no more than comes back.
const never = ^uint32(0)

// Run is consecutive blocks with the same register.
type Run struct {
	First, Count uint16
	Held         bool
	Register
}

// Loan is an address that the sender has borrowed.
type Loan struct {
	Offset uint64
	Serial uint64
}

// Message is everything one peer says to another. Fields that its kind does not have are zero.
type Message struct {
	Kind          Kind
	From, To      Holder
	Decision      uint32
	Stamp, Heard  uint64
	Subnet        Shape
	Digest        uint64
	Statuses      []Status
	Complete, Pls bool // State: whole ring and all loans; please answer with yours
	Runs          []Run
	Loans         []Loan
	Number        uint64 // of the ask
	What          uint8
	Many          uint16
	Offset        uint64
	Owner         string
	Serial        uint64
	Reason        uint8
	Peer          drawbridge.PeerID
	Text          string
}

// Append writes m behind b.
func (m *Message) Append(b []byte) []byte {
	b = append(b, version, byte(m.Kind), 0, 0)
	b = m.To.append(m.From.append(b))
	b = binary.BigEndian.AppendUint32(b, m.Decision)
	b = binary.BigEndian.AppendUint64(b, m.Stamp)
	b = binary.BigEndian.AppendUint64(b, m.Heard)
	b = m.Subnet.append(b)
	switch m.Kind {
	case Digest:
		return m.appendStatuses(b)
	case State:
		return m.appendState(m.appendStatuses(b))
	case Ask:
		b = binary.BigEndian.AppendUint64(b, m.Number)
		b = append(b, m.What, byte(len(m.Owner)))
		b = binary.BigEndian.AppendUint16(b, m.Many)
		b = binary.BigEndian.AppendUint64(b, m.Offset)
		return append(b, m.Owner...)
	case Offer, Accept, Return, Returned:
		b = binary.BigEndian.AppendUint64(b, m.Number)
		b = binary.BigEndian.AppendUint64(b, m.Serial)
		return binary.BigEndian.AppendUint64(b, m.Offset)
	case Refuse:
		b = binary.BigEndian.AppendUint64(b, m.Number)
		b = append(b, m.Reason, byte(len(m.Text)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(m.Peer))
		return append(b, m.Text...)
	}
	return b
}

// append writes 32 octets; the zero Shape makes zeros.
func (s Shape) append(b []byte) []byte {
	var t [32]byte
	if s.Prefix.IsValid() {
		a := s.Prefix.Addr().As16()
		copy(t[:], a[:])
		t[16], t[17], t[18] = uint8(s.Prefix.Bits()), 6, s.BlockBits
		if s.Prefix.Addr().Is4() {
			t[17] = 4
		}
	}
	return append(b, t[:]...)
}

func (m *Message) appendStatuses(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, m.Digest)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Statuses)))
	for _, s := range m.Statuses {
		b = s.Holder.append(b)
		b = binary.BigEndian.AppendUint64(b, s.Sequence)
		for _, v := range [...]uint32{s.FreeBlocks, s.Free, s.Exhaustion, 0} {
			b = binary.BigEndian.AppendUint32(b, v)
		}
	}
	return b
}

func (m *Message) appendState(b []byte) []byte {
	b = append(b, bit(m.Complete, 1)|bit(m.Pls, 2))
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Runs)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.Loans)))
	for _, r := range m.Runs {
		b = binary.BigEndian.AppendUint16(b, r.First)
		b = binary.BigEndian.AppendUint16(b, r.Count)
		b = binary.BigEndian.AppendUint32(b, uint32(bit(r.Held, 1)))
		b = r.Register.append(b)
	}
	for _, l := range m.Loans {
		b = binary.BigEndian.AppendUint64(b, l.Offset)
		b = binary.BigEndian.AppendUint64(b, l.Serial)
	}
	return b
}

func bit(set bool, value uint8) uint8 {
	if set {
		return value
	}
	return 0
}

// reader takes fields from the front of a message; short is set once there were too few octets.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.b) < n {
		r.short = true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) holder() Holder {
	return Holder{drawbridge.PeerID(r.u32()), r.u32()}
}

// zero takes n octets that must be zero.
func (r *reader) zero(n int) {
	for _, c := range r.take(n) {
		if c != 0 {
			r.short = true
		}
	}
}

// text takes n octets of UTF-8.
func (r *reader) text(n int) string {
	s := string(r.take(n))
	if !utf8.ValidString(s) {
		r.short = true
	}
	return s
}

var errShape = errors.New("too short, too long, or not zero where it must be")

// ParseMessage reads what Append wrote. Each message has one form only.
func ParseMessage(b []byte) (*Message, error) {
	if len(b) < headerLen || b[0] != version {
		return nil, fmt.Errorf("%d octets, want %d or more and version %d: %w", len(b), headerLen, version, ErrMessage)
	}
	r := &reader{b: b[1:]}
	m := &Message{Kind: Kind(r.u8())}
	r.zero(2)
	m.From, m.To, m.Decision, m.Stamp, m.Heard = r.holder(), r.holder(), r.u32(), r.u64(), r.u64()
	if err := m.parseShape(r); err != nil {
		return nil, err
	}
	if err := m.parseBody(r); err != nil {
		return nil, fmt.Errorf("kind %d from %v: %w: %w", m.Kind, m.From, err, ErrMessage)
	}
	if r.short || len(r.b) != 0 {
		return nil, fmt.Errorf("kind %d from %v: %w: %w", m.Kind, m.From, errShape, ErrMessage)
	}
	return m, nil
}

func (m *Message) parseShape(r *reader) error {
	addr := netip.AddrFrom16([16]byte(r.take(16)))
	bits, family, block := r.u8(), r.u8(), r.u8()
	r.zero(13)
	if m.Kind == Fence {
		if addr != netip.IPv6Unspecified() || bits != 0 || family != 0 || block != 0 {
			return fmt.Errorf("fence with a subnet: %w", ErrMessage)
		}
		return nil
	}
	if family == 4 && addr.Is4In6() {
		addr = addr.Unmap()
	} else if family != 6 || addr.Is4In6() {
		return fmt.Errorf("family %d of %v: %w", family, addr, ErrMessage)
	}
	m.Subnet = Shape{netip.PrefixFrom(addr, int(bits)), block}
	if err := m.Subnet.check(); err != nil {
		return fmt.Errorf("%w: %w", err, ErrMessage)
	}
	return nil
}

func (m *Message) parseBody(r *reader) error {
	switch m.Kind {
	case Digest, State:
		return m.parseGossip(r)
	case Ask:
		m.Number, m.What = r.u64(), r.u8()
		n := int(r.u8())
		m.Many, m.Offset = r.u16(), r.u64()
		m.Owner = r.text(n)
		if m.What < askBlocks || m.What > askThis || n > maxOwner {
			return fmt.Errorf("ask for %d by an owner of %d octets", m.What, n)
		}
	case Offer, Accept, Return, Returned:
		m.Number, m.Serial, m.Offset = r.u64(), r.u64(), r.u64()
	case Refuse:
		m.Number, m.Reason = r.u64(), r.u8()
		n := int(r.u8())
		r.zero(2)
		m.Peer = drawbridge.PeerID(r.u32())
		m.Text = r.text(n)
	case Fence:
	default:
		return errors.New("unknown kind")
	}
	if m.Kind != Fence && m.Offset > m.Subnet.last() {
		return fmt.Errorf("offset %d is not in %v", m.Offset, m.Subnet.Prefix)
	}
	return nil
}

func (m *Message) parseGossip(r *reader) error {
	m.Digest = r.u64()
	n := int(r.u16())
	if n*statusLen > len(r.b) {
		return errShape
	}
	for range n {
		m.Statuses = append(m.Statuses, Status{r.holder(), r.u64(), r.u32(), r.u32(), r.u32()})
		r.zero(4)
	}
	if m.Kind == Digest {
		return nil
	}
	flags, runs, loans := r.u8(), int(r.u16()), int(r.u16())
	if flags > 3 || runs*runLen+loans*loanLen != len(r.b) {
		return errShape
	}
	m.Complete, m.Pls = flags&1 != 0, flags&2 != 0
	if err := m.parseRuns(r, runs); err != nil {
		return err
	}
	for range loans {
		l := Loan{r.u64(), r.u64()}
		if l.Offset > m.Subnet.last() {
			return fmt.Errorf("loan of offset %d is not in %v", l.Offset, m.Subnet.Prefix)
		}
		m.Loans = append(m.Loans, l)
	}
	return nil
}

// parseRuns reads runs that rise, do not overlap, and cover everything if the state is complete.
func (m *Message) parseRuns(r *reader, n int) error {
	next := 0
	for range n {
		run := Run{First: r.u16(), Count: r.u16()}
		flags := r.u32()
		run.Held = flags == 1
		run.Register = Register{Generation(r.u64()), r.holder(), r.holder()}
		first, end := int(run.First), int(run.First)+int(run.Count)
		if run.Count == 0 || first < next || m.Complete && first != next || end > m.Subnet.Blocks() || flags > 1 {
			return fmt.Errorf("run of %d blocks from %d: %w", run.Count, first, errShape)
		}
		m.Runs = append(m.Runs, run)
		next = end
	}
	if m.Complete && next != m.Subnet.Blocks() {
		return fmt.Errorf("complete state of %d blocks of %d: %w", next, m.Subnet.Blocks(), errShape)
	}
	return nil
}
