package wire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/drawbridge-net/drawbridge"
)

// Routed is a message to a peer that may be several links away: u32 source, u32 destination, u8 hops left,
// payload. The peers between are trusted for the source.
type Routed struct {
	From, To drawbridge.PeerID
	Hops     uint8 // further links that it may take; a peer that would pass it on with 0 drops it
	Payload  []byte
}

// Append appends the body of a packet or channel message.
func (r *Routed) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(r.From))
	b = binary.BigEndian.AppendUint32(b, uint32(r.To))
	return append(append(b, r.Hops), r.Payload...)
}

// ParseRouted reads what Append wrote; the payload aliases b.
func ParseRouted(k Kind, b []byte) (Routed, error) {
	s := recordScanner{rest: b}
	r := Routed{From: drawbridge.PeerID(s.u32()), To: drawbridge.PeerID(s.u32()), Hops: s.u8()}
	s.check(r.From != 0 && r.To != 0)
	r.Payload = s.rest
	return r, s.message(k, len(b))
}

// AppendChannel appends the payload of a channel message: text channel name, the message itself.
func AppendChannel(b []byte, channel string, msg []byte) []byte {
	return append(appendText(b, clip(channel, MaxName)), msg...)
}

// ParseChannel reads what AppendChannel wrote; msg aliases b.
func ParseChannel(b []byte) (channel string, msg []byte, err error) {
	s := recordScanner{rest: b}
	channel = s.text(MaxName)
	return channel, s.rest, s.message(KindChannel, len(b))
}

// Stream is the header of every further yamux stream: whose it is, where it goes and who serves it there. u8
// format 1, u8 length of what follows, u32 source, u32 destination, u8 hops left, text service. Behind it the
// stream belongs to the service. The peers between are trusted for the source.
type Stream struct {
	From, To drawbridge.PeerID
	Hops     uint8
	Service  string
}

const (
	streamFormat = 1
	streamFixed  = 10 // without the service's name
)

// Append appends the header.
func (h Stream) Append(b []byte) []byte {
	service := clip(h.Service, MaxName)
	b = append(b, streamFormat, byte(streamFixed+len(service)))
	b = binary.BigEndian.AppendUint32(b, uint32(h.From))
	b = binary.BigEndian.AppendUint32(b, uint32(h.To))
	return appendText(append(b, h.Hops), service)
}

// ReadStream reads the header from the front of a stream, and not an octet more.
func ReadStream(r io.Reader) (h Stream, err error) {
	var b [2 + 255]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return h, err
	}
	size := 2 + int(b[1])
	if _, err := io.ReadFull(r, b[2:size]); err != nil {
		return h, err
	}
	s := recordScanner{rest: b[2:size]}
	s.check(b[0] == streamFormat)
	h = Stream{drawbridge.PeerID(s.u32()), drawbridge.PeerID(s.u32()), s.u8(), s.text(MaxName)}
	s.check(h.From != 0 && h.To != 0)
	if s.bad {
		return Stream{}, fmt.Errorf("stream header % x: %w", b[:size], ErrMessage)
	}
	return h, nil
}
