package pipe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// ErrMessage is the condition behind every message that is none of ours.
var ErrMessage = errors.New("no message of the lease agent's pipe")

// writer appends what makes up a message, integers big endian.
type writer struct{ b []byte }

func (w *writer) u16(v uint16) { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }

func (w *writer) flag(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

// longestText keeps one message below MaxMessage whatever an error says.
const longestText = 1000

func (w *writer) octets(v []byte) {
	w.u16(uint16(len(v)))
	w.b = append(w.b, v...)
}

func (w *writer) text(v string) {
	v = drawbridge.Cut(v, longestText)
	w.u16(uint16(len(v)))
	w.b = append(w.b, v...)
}

func (w *writer) peers(set []drawbridge.PeerID) {
	w.u16(uint16(len(set)))
	for _, p := range set {
		w.u32(uint32(p))
	}
}

// reader takes a message apart. After the first thing that does not fit all else is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || len(r.b) < n {
		r.bad, r.b = true, nil
		return make([]byte, n)[:n:n]
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8               { return r.take(1)[0] }
func (r *reader) u16() uint16             { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32             { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64             { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) duration() time.Duration { return time.Duration(r.u64()) }

func (r *reader) flag() bool {
	v := r.u8()
	r.must(v <= 1)
	return v == 1
}

// count is a number of things that follow, none of which is empty: more than octets are left is nonsense.
func (r *reader) count() int {
	n := int(r.u16())
	if r.must(n <= len(r.b)); r.bad {
		return 0
	}
	return n
}

func (r *reader) octets() []byte { return r.take(r.count()) }

func (r *reader) peers() (set []drawbridge.PeerID) {
	for n := r.count(); n > 0; n-- {
		set = append(set, drawbridge.PeerID(r.u32()))
	}
	return set
}

func (r *reader) must(ok bool) { r.bad = r.bad || !ok }

func (r *reader) end(what string) error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%s that does not fit its form: %w", what, ErrMessage)
	}
	return nil
}
