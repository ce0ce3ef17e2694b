package segment

import (
	"encoding/binary"
	"math/bits"

	"github.com/drawbridge-net/drawbridge"
)

// Complete finishes p's partial checksum in place, so that the frame is right as it stands. A super-frame is refused:
// its sum means nothing before it is cut (see Splitter).
func Complete(p *drawbridge.Packet) error {
	if p.Offload.GSO != drawbridge.GSONone {
		return ErrOffload
	}
	if p.Offload.Flags&drawbridge.NeedsChecksum != 0 {
		if err := fits(p); err != nil {
			return err
		}
		from := p.Frame[p.Offload.ChecksumStart:]
		// The field itself holds the pseudo-header's part of the sum, so it is added like any other bytes.
		value := finish(sum(from, 0))
		binary.BigEndian.PutUint16(from[p.Offload.ChecksumOffset:], value)
	}
	p.Offload = drawbridge.Offload{}
	return nil
}

// sum adds b, as big-endian 16-bit words, to acc in ones' complement (RFC 1071). Eight bytes go in one addition:
// 2^16 ≡ 1 modulo 2^16-1, so the width of the words does not change the folded result.
func sum(b []byte, acc uint64) uint64 {
	var carry uint64
	for len(b) >= 32 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var tail [8]byte
	copy(tail[:], b)
	acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(tail[:]), carry)
	return acc + carry // cannot wrap: after a carry acc is below 2^64-1
}

// fold brings a sum to 16 bits.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// finish is the checksum that belongs to a sum. 0 is sent as 0xffff, its twin in ones' complement: in UDP 0 would
// say that there is no checksum (RFC 768), and to TCP both are the same.
func finish(acc uint64) uint16 {
	if value := ^fold(acc); value != 0 {
		return value
	}
	return 0xffff
}
