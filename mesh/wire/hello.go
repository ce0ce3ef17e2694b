package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
)

// helloFormat is the first byte of a Hello; it moves when peers of different versions must not talk.
const helloFormat = 1

// Hello is how each end of a link introduces itself. TLS has already proven ID and Name.
type Hello struct {
	ID      drawbridge.PeerID
	UID     drawbridge.PeerUID
	Network drawbridge.NetworkID

	// Serial counts the Hellos that this run of the peer has sent. Of two links between the same two peers
	// the far end's larger Serial tells which it set up later.
	Serial    uint64
	Features  uint64
	Name      drawbridge.PeerName
	Software  string
	Endpoints []netip.AddrPort // where the sender can be called; empty: outbound only

	// Seen is the receiver's address of this connection as the sender sees it: the receiver learns whether
	// it is behind a NAT. Not valid when unknown.
	Seen netip.AddrPort
}

// Append appends the body of a hello message. Texts and lists are cut at the limits of a Record.
func (h *Hello) Append(b []byte) []byte {
	b = append(b, helloFormat)
	b = binary.BigEndian.AppendUint32(b, uint32(h.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(h.UID))
	b = append(b, h.Network[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Serial)
	b = binary.BigEndian.AppendUint64(b, h.Features)
	b = appendText(b, clip(string(h.Name), MaxName))
	b = appendText(b, clip(h.Software, MaxName))
	endpoints := canonicalEndpoints(h.Endpoints)
	b = append(b, byte(len(endpoints)))
	for _, e := range endpoints {
		b = appendEndpoint(b, e)
	}
	if !h.Seen.IsValid() {
		return append(b, 0)
	}
	return appendEndpoint(append(b, 1), netip.AddrPortFrom(h.Seen.Addr().Unmap().WithZone(""), h.Seen.Port()))
}

// ParseHello reads what Append wrote, and ignores what a later version wrote behind it.
func ParseHello(b []byte) (h Hello, err error) {
	s := recordScanner{rest: b}
	if f := s.u8(); f != helloFormat && !s.bad {
		return Hello{}, fmt.Errorf("hello of format %d, this version knows %d: update the older peer: %w", f, helloFormat, ErrMessage)
	}
	h.ID = drawbridge.PeerID(s.u32())
	h.UID = drawbridge.PeerUID(s.u64())
	copy(h.Network[:], s.take(len(h.Network)))
	h.Serial, h.Features = s.u64(), s.u64()
	h.Name, h.Software = drawbridge.PeerName(s.text(MaxName)), s.text(MaxName)
	s.check(h.ID != 0)
	for range s.count(int(s.u8()), MaxEndpoints, 7) {
		h.Endpoints = append(h.Endpoints, s.endpoint())
	}
	if s.flags(1) != 0 {
		h.Seen = s.endpoint()
	}
	if err := s.message(KindHello, len(b)); err != nil {
		return Hello{}, err
	}
	return h, nil
}
