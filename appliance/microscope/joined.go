package microscope

import (
	"cmp"
	"slices"
	"strings"

	"github.com/drawbridge-net/drawbridge/web"
)

// Enough is how many copies of one kind of frame make a loop: a guest that moves from host to host makes an echo or two as well.
const Enough = 10

// Joined are two places that something beside this network joins, in the order of their names.
type Joined struct{ A, B web.LoopEnd }

func (j Joined) String() string { return j.A.String() + " and " + j.B.String() }

// Heard is a kind of frame with the name of the peer at which it comes round.
type Heard struct {
	By string
	web.Circle
}

// Join says which places are joined, from what all peers hear. A peer knows its own port and, of the other end, only the peer
// that the frames go through; that peer hears the same loop the other way round, and knows the port there.
func Join(heard []Heard) (all []Joined) {
	for i := range heard {
		all = append(all, whereOf(&heard[i], heard)...)
	}
	return fewest(all)
}

// JoinOf is the same of one kind of frame alone.
func JoinOf(h Heard, heard []Heard) []Joined { return fewest(whereOf(&h, heard)) }

// fewest leaves out what is said twice, and what is said nearer, too.
func fewest(said []Joined) (all []Joined) {
	for _, j := range said {
		if !slices.ContainsFunc(all, func(k Joined) bool { return same(j, k) }) {
			all = append(all, j)
		}
	}
	all = slices.DeleteFunc(all, func(j Joined) bool {
		return slices.ContainsFunc(all, func(k Joined) bool { return closer(k, j) })
	})
	slices.SortFunc(all, func(a, b Joined) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// Places are the joined ones in one sentence's part: of many the first three.
func Places(all []Joined) string {
	var words []string
	for _, j := range all[:min(len(all), 3)] {
		words = append(words, j.String())
	}
	text := strings.Join(words, ", as well as ")
	if len(all) > 3 {
		text += ", and other places"
	}
	return text
}

// whereOf are the places that one kind of frame shows to be joined, its ends as near as anybody knows them.
func whereOf(h *Heard, all []Heard) (joined []Joined) {
	for _, a := range nearer(h.Heard, h.Known, h.VNI, all) {
		for _, b := range nearer(h.Known, h.Heard, h.VNI, all) {
			if b.String() < a.String() {
				joined = append(joined, Joined{b, a})
				continue
			}
			joined = append(joined, Joined{a, b})
		}
	}
	return joined
}

// nearer are the ports or segments at a peer that it hears joined with the other end; the peer itself when it has not said.
func nearer(end, other web.LoopEnd, vni uint32, all []Heard) (found []web.LoopEnd) {
	if end.At != web.AtPeer {
		return []web.LoopEnd{end}
	}
	for _, h := range all {
		if h.By != end.Peer || h.VNI != vni {
			continue
		}
		for _, e := range [][2]web.LoopEnd{{h.Heard, h.Known}, {h.Known, h.Heard}} {
			if e[0].At != web.AtPeer && e[0].Peer == end.Peer && meets(e[1], other) {
				found = append(found, e[0])
			}
		}
	}
	if len(found) == 0 {
		return []web.LoopEnd{end}
	}
	return found
}

// meets reports whether two ends can be one: the same place, or a place and the peer that it is at.
func meets(a, b web.LoopEnd) bool {
	if a.At == web.AtPeer || b.At == web.AtPeer {
		return a.Peer == b.Peer
	}
	return a.String() == b.String()
}

func same(a, b Joined) bool { return a.String() == b.String() }

// closer reports whether k says what j says, with a place where j has but the peer.
func closer(k, j Joined) bool {
	if same(k, j) || j.A.At != web.AtPeer && j.B.At != web.AtPeer {
		return false
	}
	covers := func(a, b web.LoopEnd) bool { return meets(a, b) && (b.At == web.AtPeer || a.At != web.AtPeer) }
	return covers(k.A, j.A) && covers(k.B, j.B) || covers(k.A, j.B) && covers(k.B, j.A)
}
