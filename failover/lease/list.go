package lease

import (
	"encoding/binary"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// Kinds of lists: renewals of many segments, and their grants, which differ in segment and epoch alone. Only on the wire, where the first of
// them is an entry that says how many more follow it in short.
const (
	renewals Kind = 5
	grants   Kind = 21
)

// list is the kind of a list of k; 0: there is none.
func (k Kind) list() Kind {
	switch k {
	case Renew:
		return renewals
	case Grant:
		return grants
	}
	return 0
}

// listed is the kind of what a list of kind k holds; 0: k is none of a list.
func (k Kind) listed() Kind {
	switch k {
	case renewals:
		return Renew
	case grants:
		return Grant
	}
	return 0
}

// places is how many times entryLen octets n entries take as a list. One alone is no list.
func places(n int) int { return 1 + ((n-1)*shortLen+entryLen-1)/entryLen }

// alike is how many of the first entries are one list that takes no more than so many places, or 1.
func alike(all []Entry, room int) int {
	first := all[0]
	if first.Kind.list() == 0 || first.Peer != 0 {
		return 1
	}
	most := min(len(all), 1+(room-1)*entryLen/shortLen)
	n := 1
	for ; n < most; n++ {
		e := all[n]
		if e.Segment, e.Epoch = first.Segment, first.Epoch; e != first {
			break
		}
	}
	return n
}

// appendList writes entries that are alike, or one.
func appendList(b []byte, all []Entry) []byte {
	first := all[0]
	if len(all) > 1 {
		first.Kind, first.Peer = first.Kind.list(), drawbridge.PeerID(len(all)-1)
	}
	end := len(b) + places(len(all))*entryLen
	b = first.append(b)
	for _, e := range all[1:] {
		b = binary.BigEndian.AppendUint32(b, uint32(e.Segment))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Epoch))
	}
	var zero [entryLen]byte
	return append(b, zero[:end-len(b)]...)
}

// appendParsed reads entries and lists, whose octets are a multiple of entryLen, and appends what they hold.
func appendParsed(all []Entry, b []byte) ([]Entry, error) {
	for len(b) > 0 {
		e := parseEntry(b)
		b = b[entryLen:]
		more := 0
		if kind := e.Kind.listed(); kind != 0 {
			if uint64(e.Peer) > uint64(len(b)/shortLen) {
				return all, fmt.Errorf("%d entries in %d octets of a list: %w", uint32(e.Peer), len(b), ErrDatagram)
			}
			more = int(e.Peer)
			e.Kind, e.Peer = kind, 0
		}
		all = append(all, e)
		for i := range more {
			short := b[i*shortLen:]
			e.Segment, e.Epoch = drawbridge.SegmentID(binary.BigEndian.Uint32(short)), drawbridge.Epoch(binary.BigEndian.Uint64(short[4:]))
			all = append(all, e)
		}
		b = b[(places(1+more)-1)*entryLen:]
	}
	return all, nil
}
