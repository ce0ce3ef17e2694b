package drawbridge

import (
	"encoding/binary"
	"math/bits"
)

// InternetSum adds b, as big-endian 16-bit words, to acc in ones' complement (RFC 1071); of several parts all but the last
// have an even length. Eight octets go in one addition: 2^16 ≡ 1 modulo 2^16-1, so the width of the words does not
// change the folded result.
func InternetSum(acc uint64, b []byte) uint64 {
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

// FoldSum brings a sum to 16 bits: what a sender that leaves the rest to somebody else writes of a pseudo-header.
func FoldSum(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc)
}

// InternetChecksum is what belongs to a sum; 0 for octets that hold the right one.
func InternetChecksum(acc uint64) uint16 { return ^FoldSum(acc) }

// TransportChecksum is what a transport header is sent with: 0xffff instead of 0, its twin in ones' complement, as 0
// says in UDP that there is no checksum (RFC 768), and to others both are the same.
func TransportChecksum(acc uint64) uint16 {
	if value := InternetChecksum(acc); value != 0 {
		return value
	}
	return 0xffff
}
