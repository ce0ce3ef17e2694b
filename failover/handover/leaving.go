package handover

// Leaving is how a gateway in maintenance gives a segment up: by a planned move first, by letting go of the lease when
// none is possible. The flag that it is in maintenance is decided by the voters and outlives every process; this is the
// memory of one run. Whatever is lost with it, the next run begins with the flag: it holds nothing then, and takes nothing.
type Leaving struct {
	moving bool
	tried  int
}

// LeaveTries is how many planned moves are tried before the lease is let go.
const LeaveTries = 3

// Step answers whether the gateway stays a candidate, without which it would let the lease go at once, and whether to
// begin a planned move now; Moved tells how that ended.
func (l *Leaving) Step(maintenance, holding bool) (candidate, move bool) {
	switch {
	case !maintenance:
		l.tried = 0
		return true, false
	case l.moving:
		return true, false
	case !holding, l.tried >= LeaveTries:
		return false, false
	}
	l.moving = true
	return true, true
}

// Moved tells that the planned move ended.
func (l *Leaving) Moved(ok bool) {
	l.moving = false
	if l.tried++; ok {
		l.tried = LeaveTries
	}
}
