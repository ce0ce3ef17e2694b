package forwarder

import (
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Bounds of the stories: an address that flaps keeps its last steps, and invented addresses, which hardly move, keep out
// of memory. Both full are 5 MB.
const (
	maxSteps   = 16
	maxStories = 4096
	// sampled of them the one that is quiet for longest makes room: nearly the oldest of all, without a list to keep.
	sampled = 8
)

// What a step of a story is.
const (
	StepLearned = "learned" // it was heard, or told of, for the first time
	StepMoved   = "moved"   // it was heard elsewhere
	StepAged    = "aged"    // it said nothing for so long that it was forgotten
	StepFlushed = "flushed" // somebody had it forgotten
	StepGone    = "gone"    // its port went away
)

// Step says where an address was, from a moment on.
type Step struct {
	What string
	Ago  time.Duration
	Where
}

// Where is the place of an address as it is shown.
type Where struct {
	Port    string               // the guest port here, or our segment port
	Peer    drawbridge.PeerID    // the peer that frames go to
	Segment drawbridge.SegmentID // the segment that it is behind
}

// Story is what became of one address of an overlay, the oldest step first.
type Story struct {
	VNI   drawbridge.VNI
	Steps []Step
}

// step is a Step with its moment since the switch began. It keeps no place, whose port may be gone.
type step struct {
	what string
	at   time.Duration
	Where
}

// tales are the stories of addresses that have moved. The table's mutex guards them.
type tales struct {
	of    map[key][]step
	known overlays // that there are stories of, too
}

// moved notes that an address is elsewhere. The first time, the story begins with where it was before.
func (t *tales) moved(k key, e *entry, to *place, now time.Duration) {
	steps, known := t.of[k]
	if !known {
		t.makeRoom()
		t.known.count(k.vni, 1)
		steps = []step{{StepLearned, time.Duration(e.learned.Load()), e.at.Load().where()}}
	}
	t.of[k] = bounded(append(steps, step{StepMoved, now, to.where()}))
}

// goesOn notes something about an address that has a story already.
func (t *tales) goesOn(k key, what string, p *place, now time.Duration) {
	if steps, known := t.of[k]; known {
		t.of[k] = bounded(append(steps, step{what, now, p.where()}))
	}
}

func bounded(steps []step) []step {
	if len(steps) > maxSteps {
		return slices.Delete(steps, 0, len(steps)-maxSteps)
	}
	return steps
}

// makeRoom drops a story that has said nothing for long.
func (t *tales) makeRoom() {
	if len(t.of) < maxStories {
		return
	}
	var quiet key
	since, seen := time.Duration(-1), 0
	for k, steps := range t.of { // in no order, which is what a sample wants
		if last := steps[len(steps)-1].at; since < 0 || last < since {
			quiet, since = k, last
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(t.of, quiet)
	t.known.count(quiet.vni, -1)
}

// Stories is what is known of where an address was, for each overlay that knows it.
func (s *Switch) Stories(mac drawbridge.MAC) (all []Story) {
	now := s.now()
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	for vni := range s.table.known {
		k := keyOf(vni, mac[:], 0)
		steps := s.table.tales.of[k]
		if e := s.table.entries[k]; e != nil && steps == nil {
			steps = []step{{StepLearned, time.Duration(e.learned.Load()), e.at.Load().where()}}
		}
		if steps != nil {
			all = append(all, Story{vni, shown(steps, now)})
		}
	}
	slices.SortFunc(all, func(a, b Story) int { return int(a.VNI) - int(b.VNI) })
	return all
}

func shown(steps []step, now time.Duration) (all []Step) {
	for _, s := range steps {
		all = append(all, Step{s.what, now - s.at, s.Where})
	}
	return all
}

// where is the place in the words of those who look.
func (p *place) where() (w Where) {
	switch {
	case p.port != nil:
		w.Port = p.port.name
	case p.segment != nil:
		w.Segment = p.segment.id
		w.Peer = p.segment.tenure.Load().active
		if own := p.segment.port.Load(); own != nil {
			w.Port = own.name
		}
	default:
		w.Peer = p.peer
	}
	return w
}
