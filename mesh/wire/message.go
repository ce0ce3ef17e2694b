package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Kind says what a message is. Kinds are only ever appended; a peer counts and ignores those it does not know.
type Kind uint8

// The kinds of message on the first stream of a control link (docs/protocol/mesh.md, "Messages").
const (
	KindHello       Kind = 1  // Hello: the first message of either end
	KindRefuse      Kind = 2  // Refuse: instead of a Hello, or before the end closes the link
	KindRecords     Kind = 3  // signed records that the far end may not have
	KindDigest      Kind = 4  // Digest: what the sender has
	KindTransit     Kind = 5  // opaque: the data link's own
	KindPacket      Kind = 6  // Routed: a datagram of memberlist
	KindChannel     Kind = 7  // Routed: a message for a channel, text channel name before it
	KindLeave       Kind = 8  // empty: the sender leaves the network for now
	KindPing        Kind = 9  // u64 that comes back
	KindPong        Kind = 10 // u64 that came
	KindRevocations Kind = 11 // a snapshot of package secure
)

var kindNames = [...]string{
	"", "hello", "refuse", "records", "digest", "transit", "packet", "channel", "leave", "ping", "pong", "revocations",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

const (
	// MaxMessage bounds kind and body: two records at their limits, or 1,700 real ones. A message occupies
	// the link for 84 ms at 100 Mbit/s, so nothing behind it waits for a heartbeat of the control link.
	MaxMessage = 1 << 20

	// MessageHeader is the length of the u32 length and the kind.
	MessageHeader = 5
)

// ErrMessage is the condition behind every refused message.
var ErrMessage = errors.New("not a message of the control link")

// AppendMessage appends a whole message: u32 length of kind and body, kind, body. It is for bodies of at most
// MaxMessage-1 bytes.
func AppendMessage(b []byte, k Kind, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(body)))
	return append(append(b, byte(k)), body...)
}

// ReadMessage reads one message. The body is in buf when that is large enough, else in new memory.
func ReadMessage(r io.Reader, buf []byte) (Kind, []byte, error) {
	var head [MessageHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > MaxMessage {
		return 0, nil, fmt.Errorf("message of %d bytes, 1 to %d are read: %w", size, MaxMessage, ErrMessage)
	}
	n := int(size) - 1
	if n > cap(buf) {
		buf = make([]byte, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return 0, nil, fmt.Errorf("message cut short: %w", err)
	}
	return Kind(head[4]), buf[:n], nil
}

// message is the error of a body that does not parse.
func (s *recordScanner) message(k Kind, size int) error {
	if !s.bad {
		return nil
	}
	return fmt.Errorf("%s of %d bytes: wrong at byte %d: %w", k, size, size-len(s.rest), ErrMessage)
}

// Reason is why a link was refused or closed. Reasons are only ever appended.
type Reason uint8

// Reasons.
const (
	RefuseDuplicate Reason = 1 // there is a link already, or one is about to be
	RefuseSelf      Reason = 2 // the caller called itself
	RefuseFull      Reason = 3 // no more links
	RefuseRevoked   Reason = 4 // the caller was removed from the network
	RefuseLeaving   Reason = 5 // we are about to stop
	RefuseProtocol  Reason = 6 // the Hello could not be read, or it claims what the certificate does not
	RefuseClone     Reason = 7 // another run has the caller's key at the same time
)

// Refuse says why a link is not made, or not kept.
type Refuse struct {
	Reason Reason
	Text   string // for an operator
}

// Append appends the body of a refuse message.
func (r Refuse) Append(b []byte) []byte {
	return appendText(append(b, byte(r.Reason)), clip(r.Text, 255))
}

// ParseRefuse reads what Append wrote, and ignores what stands behind it.
func ParseRefuse(b []byte) (Refuse, error) {
	s := recordScanner{rest: b}
	r := Refuse{Reason(s.u8()), s.text(255)}
	return r, s.message(KindRefuse, len(b))
}

// AppendRecords appends the body of a records message with as many of the signed records as fit, and returns
// those that did not: they go into the next message.
func AppendRecords(b []byte, signed [][]byte) (body []byte, rest [][]byte) {
	at := len(b)
	b = append(b, 0, 0)
	n := 0
	for n < len(signed) && n < 1<<16-1 && len(b)-at+4+len(signed[n]) < MaxMessage {
		b = binary.BigEndian.AppendUint32(b, uint32(len(signed[n])))
		b = append(b, signed[n]...)
		n++
	}
	binary.BigEndian.PutUint16(b[at:], uint16(n))
	return b, signed[n:]
}

// ParseRecords splits the body of a records message; the parts alias b and are not looked at.
func ParseRecords(b []byte) (signed [][]byte, err error) {
	s := recordScanner{rest: b}
	for range s.count(int(s.u16()), 1<<16-1, 4) {
		signed = append(signed, s.take(s.length(int64(s.u32()), MaxSigned)))
	}
	if err := s.message(KindRecords, len(b)); err != nil {
		return nil, err
	}
	return signed, nil
}

// Digest is one step of anti-entropy.
type Digest struct {
	// Answer asks for the far end's own digest when the sender turns out to have something that is news
	// there. Only the first step sets it, so the exchange ends.
	Answer  bool
	Entries []DigestEntry
}

// Append appends the body of a digest message.
func (d Digest) Append(b []byte) []byte { return AppendDigest(append(b, flag(d.Answer, 1)), d.Entries) }

// ParseDigestMessage reads what Append wrote.
func ParseDigestMessage(b []byte) (d Digest, err error) {
	if len(b) == 0 {
		return d, fmt.Errorf("empty digest: %w", ErrMessage)
	}
	d.Answer = b[0]&1 != 0
	d.Entries, err = ParseDigest(b[1:])
	return d, err
}

// AppendNonce appends the body of a ping or pong.
func AppendNonce(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

// ParseNonce reads the body of a ping or pong.
func ParseNonce(k Kind, b []byte) (uint64, error) {
	s := recordScanner{rest: b}
	n := s.u64()
	return n, s.message(k, len(b))
}
