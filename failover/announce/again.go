package announce

import "time"

// AgainMin and AgainMax bound how often a list is announced because the wire changed. A rapid spanning tree says for 4 s that it has
// changed and an old one for 35 s (IEEE 802.1D-2004 §17.13.5 and §8.5.1.13), so a change is answered at once and then, while it is
// said, ever more rarely: a tree that flaps costs at most one list a minute.
const (
	AgainMin = 5 * time.Second
	AgainMax = time.Minute
)

// Again says when to announce again since the wire has changed. The zero value may begin at once. It is pure: every call takes the
// time.
type Again struct {
	asked bool
	next  time.Duration // no list begins before
	hold  time.Duration // from one list to the next, as of late
}

// Began tells that a list began at now for another reason: what has been asked for is done with it.
func (a *Again) Began(now time.Duration) {
	a.asked, a.next = false, now+max(a.hold, AgainMin)
}

// Ask tells that switches may have forgotten.
func (a *Again) Ask() { a.asked = true }

// Due reports whether a list is to begin now; once for what has been asked for until then.
func (a *Again) Due(now time.Duration) bool {
	if !a.asked || now < a.next {
		return false
	}
	if now >= a.next+AgainMax { // it has been quiet
		a.hold = 0
	}
	a.hold = min(max(2*a.hold, AgainMin), AgainMax)
	a.Began(now)
	return true
}

// Wake is when Due will answer yes; false: not before somebody asks.
func (a *Again) Wake() (at time.Duration, ok bool) { return a.next, a.asked }
