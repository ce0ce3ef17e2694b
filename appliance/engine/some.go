package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Neighbour is another peer, as one that decides what is for it sees it.
type Neighbour struct {
	ID     drawbridge.PeerID
	Via    drawbridge.PeerName // another peer that frames for it go through; empty: it is adjacent
	Word   Word
	Number bool // it has a short id
}

// Against is why user space takes in what is for a peer in phase Some; empty: the kernel does. mine is what this peer says of itself. The
// kernel takes only what it hands to the station's peer directly: what is relayed would need a third one to follow at the same time.
func Against(vni drawbridge.VNI, self drawbridge.PeerID, mine Standing, o Neighbour) string {
	s, said := o.Word.Of(vni)
	switch {
	case !mine.Able:
		return cmp.Or(mine.Lacks, "this peer is about to change")
	case !said:
		return "it has not said that it can"
	case !s.Able:
		return cmp.Or(s.Lacks, "it has not said that it can")
	case o.Via != "":
		return "it is reached through " + string(o.Via)
	case mine.blocks(o.ID) != "":
		return mine.blocks(o.ID)
	case s.blocks(self) != "":
		return "it says: " + s.blocks(self)
	case s.Protected != mine.Protected:
		return "the protection of its underlay changes"
	case !s.Delivers || !o.Number:
		return "it is about to change"
	}
	return ""
}

// stayMost is how long a peer that cannot use the kernel any more delivers at most what others hand it, and stayLeast how long it does in
// any case: longer than a word takes to go round.
const (
	stayLeast = time.Second
	stayMost  = leaveMost
)

// Released reports whether a peer that told others the time stays ago that it will not deliver any more may stop, in phase Some: none of
// them hands it frames by the kernel.
func Released(vni drawbridge.VNI, self drawbridge.PeerID, stays time.Duration, others []Word) bool {
	handed := slices.ContainsFunc(others, func(w Word) bool {
		s, _ := w.Of(vni)
		return slices.Contains(s.To, self)
	})
	return stays >= stayMost || stays >= stayLeast && !handed
}
