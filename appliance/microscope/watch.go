// Package microscope tells which loops go on, from the frames that come round. The core has no clock and no goroutine.
package microscope

import (
	"cmp"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// quietFor is how long nothing may come round before a loop is said to be over. ARP for a station that does not answer is sent once
// a second, but most of what a quiet network floods comes every ten to thirty seconds: a shorter time would make one loop many.
const quietFor = 30 * time.Second

// Loop is two places that something joins beside the network, as frames that come in at the one and belong to the other show.
type Loop struct {
	VNI          uint32
	Heard, Known web.LoopEnd
	Source       string // whose frames showed it first
	Since, Last  time.Time
	Copies       uint64 // of all kinds of frames, both ways
}

// Segment is the one that takes part; empty when none does.
func (l *Loop) Segment() string { return cmp.Or(l.Heard.Segment, l.Known.Segment) }

// pair is a loop, whichever way its frames go, and whichever gateway its segment has.
type pair struct {
	vni  uint32
	a, b string
}

func pairOf(c *web.Circle) pair {
	a, b := c.Heard.String(), c.Known.String()
	return pair{c.VNI, min(a, b), max(a, b)}
}

// Watch follows which loops go on. The zero value knows of none. There are no more than there are circles.
type Watch struct{ on map[pair]*Loop }

// Look takes what comes round just now, and returns the loops that began and ended since it was called last.
func (w *Watch) Look(now time.Time, circles []web.Circle) (began, ended []Loop) {
	if w.on == nil {
		w.on = map[pair]*Loop{}
	}
	copies := map[pair]uint64{}
	var fresh []pair
	for i := range circles {
		c := &circles[i]
		p := pairOf(c)
		copies[p] += c.Count
		if !c.Circling {
			continue
		}
		l := w.on[p]
		if l == nil {
			l = &Loop{VNI: c.VNI, Heard: c.Heard, Known: c.Known, Source: c.Source, Since: c.Since}
			w.on[p], fresh = l, append(fresh, p)
		}
		l.Last = later(l.Last, c.Last)
	}
	for p, l := range w.on {
		l.Copies = max(l.Copies, copies[p])
		if now.Sub(l.Last) >= quietFor {
			ended = append(ended, *l)
			delete(w.on, p)
		}
	}
	for _, p := range fresh {
		if l := w.on[p]; l != nil {
			began = append(began, *l)
		}
	}
	order(ended)
	return began, ended
}

// On are the loops that go on, the oldest first.
func (w *Watch) On() (all []Loop) {
	for _, l := range w.on {
		all = append(all, *l)
	}
	order(all)
	return all
}

func order(all []Loop) {
	slices.SortFunc(all, func(a, b Loop) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Heard.String(), b.Heard.String()), cmp.Compare(a.Known.String(), b.Known.String()), cmp.Compare(a.VNI, b.VNI))
	})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
