package ipam

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// run is the stamps of one run of this program, as its state file remembers them. Between two runs is a gap of
// random width. So a stamp that others have heard from us and that lies in no run was written by a file that
// this one does not continue: this one is an old copy, even if it has gone on since.
type run struct {
	first uint64
	last  uint64 // of a run that ended
}

// maxRuns bounds the history. What is older than all of it is believed.
const maxRuns = 1024

// leastGap is the least width of a gap; more changes than that between two messages look like one, which does no
// harm.
const leastGap = 1 << 20

// begin opens the gap and the run.
func (p *Peer) begin() {
	if n := len(p.runs); n > 0 {
		p.runs[n-1].last = p.stamp
		p.logRun(p.runs[n-1], true)
	}
	p.stamp += leastGap + 1 + p.config.Random()>>32
	p.runs = append(p.runs, run{first: p.stamp + 1})
	p.logRun(p.runs[len(p.runs)-1], true)
	for len(p.runs) > maxRuns {
		p.logRun(p.runs[0], false)
		p.runs = p.runs[1:]
	}
}

func (p *Peer) logRun(r run, put bool) {
	key := binary.BigEndian.AppendUint64([]byte{keyRun}, r.first)
	p.log(put, key, binary.BigEndian.AppendUint64(nil, r.last))
}

func (p *Peer) sortRuns() {
	slices.SortFunc(p.runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
}

// wrote reports whether a stamp can be of this file.
func (p *Peer) wrote(stamp uint64) bool {
	if stamp < p.runs[0].first {
		return stamp == 0 || len(p.runs) == maxRuns
	}
	for i, r := range p.runs {
		last := r.last
		if i == len(p.runs)-1 {
			last = p.stamp
		}
		if r.first <= stamp && stamp <= last {
			return true
		}
	}
	return false
}

// rolledBack compares what others have heard from us with what we remember to have written.
func (p *Peer) rolledBack(m *Message) bool {
	p.heard[m.From] = p.heard[m.From].hear(m.Stamp)
	if m.To != p.me || p.wrote(m.Heard) {
		return false
	}
	p.stop(fmt.Errorf("%w: %s has heard change %d from it, which it never wrote; forget this peer, so that its space is inherited, and admit it again with a new state file: %w",
		errRolledBack, p.decided.name(m.From.Peer), m.Heard, ErrState))
	return true
}

// hearing is the stamps heard from one holder: the highest, and the highest before the last gap. The one before
// the gap is told back: a file that was put back has opened a new gap by the time it speaks.
type hearing struct{ last, before uint64 }

func (h hearing) hear(stamp uint64) hearing {
	if h.last != 0 && stamp > h.last+leastGap {
		h.before = h.last
	}
	h.last = max(h.last, stamp)
	return h
}

func (h hearing) told() uint64 {
	if h.before != 0 {
		return h.before
	}
	return h.last
}
