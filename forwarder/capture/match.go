package capture

import (
	"encoding/binary"
	"sync"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// Filter decides which frames are recorded. It is made by Compile; nil takes every frame.
type Filter struct {
	text  string
	match match
}

// String is the expression.
func (f *Filter) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// Match reports whether f takes the frame.
func (f *Filter) Match(d forwarder.Direction, frame drawbridge.Frame) bool {
	if f == nil {
		return true
	}
	v := views.Get().(*view)
	v.look(d, frame)
	taken := f.match(v)
	v.frame = nil
	views.Put(v)
	return taken
}

// match is one node of a compiled expression.
type match func(v *view) bool

// view is a frame with what expressions ask about it, found once.
type view struct {
	frame     drawbridge.Frame
	direction forwarder.Direction
	layout    segment.Layout
	kind      int // EtherType behind the tags; -1: cut off
	body      int // what follows it
	vlans     []uint16
}

// views keeps a match from allocating: its functions are not known to the compiler, which cannot keep v on the stack.
var views = sync.Pool{New: func() any { return new(view) }}

func (v *view) look(d forwarder.Direction, f drawbridge.Frame) {
	v.frame, v.direction, v.layout = f, d, segment.Parse(f)
	v.kind, v.body, v.vlans = -1, drawbridge.MinFrame, v.vlans[:0]
	for ; len(f) >= v.body; v.body += 4 {
		v.kind = int(binary.BigEndian.Uint16(f[v.body-2:]))
		if v.kind != typeVLAN && v.kind != typeSVLAN || len(f) < v.body+4 {
			return
		}
		v.vlans = append(v.vlans, binary.BigEndian.Uint16(f[v.body:])&0x0fff)
	}
}

const (
	typeIPv4  = 0x0800
	typeARP   = 0x0806
	typeRARP  = 0x8035
	typeVLAN  = 0x8100
	typeSVLAN = 0x88a8
	typeIPv6  = 0x86dd

	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	protoICMP6 = 58
	protoSCTP  = 132
)

func (v *view) ipv4() bool { return v.layout.Network != 0 && !v.layout.IPv6 }
func (v *view) ipv6() bool { return v.layout.Network != 0 && v.layout.IPv6 }

// bytes is a part of the frame; nil when the frame ends before.
func (v *view) bytes(at, length int) []byte {
	if at < 0 || length < 0 || at+length > len(v.frame) {
		return nil
	}
	return v.frame[at : at+length]
}

// side says which of two addresses or ports an expression means.
type side uint8

const (
	either side = iota
	source
	destination
	both
)

func (s side) pick(src, dst bool) bool {
	switch s {
	case source:
		return src
	case destination:
		return dst
	case both:
		return src && dst
	}
	return src || dst
}
