package lease

import (
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// index tells where the row of a segment is among rows that are sorted by it. Zero is ready, for no rows.
type index struct {
	segments []drawbridge.SegmentID // of the rows, in their order
	last     int                    // row that was looked for
}

// find answers which row is the segment's, or which would be. It looks first where the one before was, and behind that: a round goes
// through all of them in order.
func (x *index) find(segment drawbridge.SegmentID) (row int, ok bool) {
	if row = x.last; row < len(x.segments) && x.segments[row] == segment {
		return row, true
	}
	return x.search(segment)
}

func (x *index) search(segment drawbridge.SegmentID) (row int, ok bool) {
	if row = x.last + 1; row < len(x.segments) && x.segments[row] == segment {
		x.last = row
		return row, true
	}
	x.last, ok = slices.BinarySearch(x.segments, segment)
	return x.last, ok
}

// insert notes a new row, which find has answered that it would be there.
func (x *index) insert(row int, segment drawbridge.SegmentID) {
	x.segments = slices.Insert(x.segments, row, segment)
}
