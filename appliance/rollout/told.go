package rollout

import (
	"encoding/json"
	"fmt"
	"slices"
)

// MaxPeers bounds the list of a roll-out that another peer told of: more than any network that this was tried with has.
const MaxPeers = 4096

// Told is a roll-out as its coordinator tells everybody of it.
type Told struct {
	Rollout
	LeftOut int `json:"left_out,omitempty"` // peers that were too many to tell of
}

// Tell is the roll-out in at most limit bytes. What happened longest ago goes first, then peers whose turn has not come or is over:
// everybody must learn that there is a roll-out and what it does just now.
func (r *Rollout) Tell(limit int) []byte {
	t := Told{Rollout: *r}
	t.Peers, t.Log = slices.Clone(r.Peers), slices.Clone(r.Log)
	for {
		b, err := json.Marshal(&t)
		if err == nil && len(b) <= limit {
			return b
		}
		if err != nil || !t.shorten() {
			return nil
		}
	}
}

// shorten leaves a half of something out, and reports whether there was anything.
func (t *Told) shorten() bool {
	if n := len(t.Log); n > 0 {
		t.Log = t.Log[(n+1)/2:]
		return true
	}
	present, before := t.name(), len(t.Peers)
	drop := (before + 1) / 2
	t.Peers = slices.DeleteFunc(t.Peers, func(p Peer) bool {
		if drop == 0 || p.Name == present {
			return false
		}
		drop--
		return true
	})
	t.LeftOut += before - len(t.Peers)
	return len(t.Peers) < before
}

// ParseTold reads what another peer told.
func ParseTold(b []byte) (Told, error) {
	var t Told
	if err := json.Unmarshal(b, &t); err != nil {
		return Told{}, err
	}
	steps := []string{Waiting, Check, Move, Update, Return, Verify, Updated}
	switch {
	case t.Format != Format:
		return Told{}, fmt.Errorf("a roll-out of format %d, and this program knows %d", t.Format, Format)
	case len(t.ID) != 16:
		return Told{}, fmt.Errorf("a roll-out named %.20q", t.ID)
	case !slices.Contains([]string{Running, Paused, Aborted, Done}, t.State):
		return Told{}, fmt.Errorf("a roll-out that is %.20q", t.State)
	case len(t.Peers) > MaxPeers, len(t.Log) > MaxLog, t.LeftOut < 0:
		return Told{}, fmt.Errorf("a roll-out of %d peers and %d lines", len(t.Peers), len(t.Log))
	}
	for _, p := range t.Peers {
		if !slices.Contains(steps, p.Step) {
			return Told{}, fmt.Errorf("a step %.20q", p.Step)
		}
	}
	return t, nil
}

// Yields reports whether r has to pause because another roll-out runs, too: of two the one that began later goes on. That is the one
// that was started because the coordinator of the other was not heard of any more.
func (r *Rollout) Yields(other *Rollout) bool {
	if r.State != Running || other.State != Running || r.ID == other.ID {
		return false
	}
	if c := r.Started.Compare(other.Started); c != 0 {
		return c < 0
	}
	return r.ID < other.ID
}
