package alone

import (
	"slices"
	"time"
)

// A port that stood still itself finds a neighbour silent whose hellos wait in its queue. So silence alone is no reason to
// say that this neighbour's port is mute, and neither is whatever was heard before it: somebody else must have been heard
// for as long as the silence takes, with nothing of the neighbour in between. What is heard on a port is heard in the order in
// which it was said, so it does not matter how long it waited.

// witness is who spoke first since a neighbour was last heard.
type witness struct {
	by   Place
	said uint64 // by its clock, in microseconds
	at   time.Duration
}

// witnessed takes a fresh frame: its sender is heard, and its hello shows for how long others were not.
func (p *port) witnessed(now time.Duration, f Frame) {
	for place, n := range p.neighbours {
		switch w := &n.beside; {
		case place == f.From:
			*w, n.missed = witness{}, false
		case f.Kind != Hello || n.missed:
		case w.by != f.From && w.by != (Place{}) && now-w.at < stationFor: // another one's hello is waited for
		case w.by != f.From || f.Nonce < w.said: // it has begun anew
			*w = witness{f.From, f.Nonce, now}
		default: // by both clocks: the witness may have stood still as well
			said := time.Duration(f.Nonce-w.said) * time.Microsecond
			n.missed = said >= n.dead && now-w.at >= n.dead
		}
	}
}

// unsure are the neighbours that have fallen silent while nobody was heard who shows that it is not this port's own doing.
func (p *port) unsure(now time.Duration) (places []Place) {
	for place, n := range p.neighbours {
		if n.hearing(now) == silent {
			places = append(places, place)
		}
	}
	slices.SortFunc(places, Place.compare)
	return places
}
