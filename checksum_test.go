package drawbridge

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestInternetSumIsThatOfTheRFC compares with the definition of RFC 1071 §1, word by word, and its example in §3.
func TestInternetSumIsThatOfTheRFC(t *testing.T) {
	if got := FoldSum(InternetSum(0, []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7})); got != 0xddf2 {
		t.Errorf("the example gives %#x", got)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		b := make([]byte, rnd.IntN(200))
		for i := range b {
			b[i] = byte(rnd.Uint32() | rnd.Uint32()) // many ones: carries
		}
		want, even := uint64(0x1234), len(b)&^1
		for i := 0; i < even; i += 2 {
			want += uint64(binary.BigEndian.Uint16(b[i:]))
		}
		if even < len(b) {
			want += uint64(b[even]) << 8
		}
		for want > 0xffff {
			want = want>>16 + want&0xffff
		}
		if got := FoldSum(InternetSum(0x1234, b)); uint64(got) != want {
			t.Fatalf("%x gives %#x, want %#x", b, got, want)
		}
	}
}

func TestChecksumsOfRightOctets(t *testing.T) {
	b := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	binary.BigEndian.PutUint16(b[10:], InternetChecksum(InternetSum(0, b)))
	if sum := InternetChecksum(InternetSum(0, b)); sum != 0 {
		t.Errorf("a header with its checksum sums to %#x", sum)
	}
	if got := TransportChecksum(0xffff); got != 0xffff {
		t.Errorf("a checksum of zero is sent as %#x", got)
	}
}
