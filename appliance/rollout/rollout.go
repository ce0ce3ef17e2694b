// Package rollout brings new software to the peers of a network one after the other without losing a frame: passive
// gateways first, a planned move before an active one is touched, and no second peer before the first one is well. It is a
// pure machine: what it is shown of the network decides what is to be done next, and everything that it knows is in one
// value that survives its peer.
package rollout

import (
	"errors"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Format is the version of Rollout on disk. A peer refuses one that it does not know.
const Format = 1

// States of a roll-out.
const (
	Running = "running"
	Paused  = "paused" // something is wrong; an operator resumes or aborts
	Aborted = "aborted"
	Done    = "done"
)

// Steps of one peer, in their order.
const (
	Waiting = "waiting" // its turn has not come
	Check   = "check"   // everybody else must be well before it is touched
	Move    = "move"    // its segments are given to others
	Update  = "update"  // it takes the new software and starts again
	Return  = "return"  // it must come back
	Verify  = "verify"  // it must be in the mesh, caught up, and hear its VLANs
	Updated = "updated"
)

// Limits of a step: what takes longer pauses the roll-out.
const (
	CheckFor  = 3 * time.Minute // damping after three losses ends within two
	MoveFor   = time.Minute
	UpdateFor = 20 * time.Minute // an image over a slow line
	ReturnFor = 8 * time.Minute  // a machine that starts, fails twice and falls back
	VerifyFor = 5 * time.Minute
)

// MaxLog bounds the history that is kept.
const MaxLog = 256

// Peer is one of those that are updated.
type Peer struct {
	Name  string    `json:"name"`
	Step  string    `json:"step"`
	Since time.Time `json:"since"`         // of the step
	Run   string    `json:"run,omitempty"` // that was to end
	From  string    `json:"from,omitempty"`
	To    string    `json:"to,omitempty"`
	Sent  bool      `json:"sent,omitempty"` // the order to update is out
}

// Line is something that happened.
type Line struct {
	Time time.Time `json:"time"`
	Peer string    `json:"peer,omitempty"`
	Text string    `json:"text"`
}

// Bundle is what the coordinating peer keeps for the others, as its manifest has it.
type Bundle struct {
	Version string `json:"version"`
	Release uint64 `json:"release"` // seconds since 1970
	Size    int64  `json:"size"`    // bytes
}

// Rollout is all that is known of one.
type Rollout struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	By      string    `json:"by,omitempty"`
	Source  string    `json:"source"`           // where peers take the software from; the driver's word
	Bundle  *Bundle   `json:"bundle,omitempty"` // the software itself, if it came with the request; never changed
	Older   bool      `json:"older,omitempty"`  // also a release that is not newer than what a peer runs
	Want    string    `json:"want,omitempty"`   // version that they must run afterwards; empty: whatever they have then
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	State   string    `json:"state"`
	Reason  string    `json:"reason,omitempty"` // why it is paused or aborted
	Held    time.Time `json:"held,omitzero"`    // since when it is
	Waits   string    `json:"waits,omitempty"`  // what the present step waits for
	Peers   []Peer    `json:"peers"`
	Log     []Line    `json:"log"`
}

// Seen is how one peer stands, as the coordinating one sees it.
type Seen struct {
	Reached bool
	Run     string   // differs after every start
	Version string   // of its software
	Active  []string // segments that it bridges
	Unwell  []string // what speaks against relying on it
}

// Do is what is to be done next.
type Do string

// Kinds of deeds. The driver answers DoMove and DoUpdate by Result.
const (
	DoNothing Do = ""
	DoMove    Do = "move"
	DoUpdate  Do = "update"
)

// Action is a deed.
type Action struct {
	Do            Do
	Peer, Segment string
}

// New begins a roll-out to some peers, in no order: the machine chooses it.
func New(id, by, source, want string, peers []string, now time.Time) (Rollout, error) {
	r := Rollout{Format: Format, ID: id, By: by, Source: source, Want: want, Started: now, State: Running}
	for _, name := range peers {
		if slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Name == name }) {
			return r, fmt.Errorf("peer %s is named twice", name)
		}
		r.Peers = append(r.Peers, Peer{Name: name, Step: Waiting, Since: now})
	}
	if len(r.Peers) == 0 {
		return r, errors.New("there is no peer to update")
	}
	r.note(now, "", "roll-out to "+drawbridge.Counted(len(r.Peers), "peer")+" begun by "+by)
	return r, nil
}

func (r *Rollout) note(now time.Time, peer, text string) {
	r.Log = append(r.Log, Line{now, peer, text})
	r.Log = r.Log[max(0, len(r.Log)-MaxLog):]
}

// Over reports whether nothing will ever happen in it again.
func (r *Rollout) Over() bool { return r.State == Done || r.State == Aborted }

// Keeps reports whether the bundle that came with the request must stay on the disk.
func (r *Rollout) Keeps() bool { return r.Bundle != nil && !r.Over() }

// Owes reports whether a peer has yet to be sent the software.
func (r *Rollout) Owes() bool {
	return slices.ContainsFunc(r.Peers, func(p Peer) bool {
		return p.Step == Waiting || p.Step == Check || p.Step == Move || p.Step == Update && !p.Sent
	})
}

// Present is the peer that is being updated, if one is.
func (r *Rollout) Present() *Peer {
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Step != Waiting && p.Step != Updated {
			return p
		}
	}
	return nil
}

// Pause stops it until an operator resumes or aborts it.
func (r *Rollout) Pause(why string, now time.Time) {
	if r.State == Running {
		r.State, r.Reason, r.Held = Paused, why, now
		r.note(now, r.name(), "paused: "+why)
	}
}

func (r *Rollout) name() string {
	if p := r.Present(); p != nil {
		return p.Name
	}
	return ""
}

// Resume goes on with the step at which it paused.
func (r *Rollout) Resume(by string, now time.Time) error {
	if r.State != Paused {
		return fmt.Errorf("the roll-out is %s, not paused", r.State)
	}
	r.State, r.Reason, r.Held = Running, "", time.Time{}
	if p := r.Present(); p != nil {
		p.Since, p.Sent = now, false
		if p.Step == Return || p.Step == Verify { // it may have fallen back: look again, and send it again if so
			p.Step = Update
		}
	}
	r.note(now, r.name(), "resumed by "+by)
	return nil
}

// Abort ends it. What is updated stays so: an older release would be another roll-out.
func (r *Rollout) Abort(by string, now time.Time) error {
	if r.Over() {
		return fmt.Errorf("the roll-out is %s already", r.State)
	}
	r.State, r.Reason, r.Waits, r.Held, r.Ended = Aborted, "aborted by "+by, "", now, now
	r.note(now, r.name(), r.Reason)
	return nil
}

// Interrupted tells that the coordinating peer was restarted; self is its name. When that was the update itself the
// roll-out goes on, or else it waits for somebody to look.
func (r *Rollout) Interrupted(self string, now time.Time) {
	if p := r.Present(); r.State == Running && (p == nil || p.Name != self || !p.Sent) {
		r.Pause("the coordinating peer was restarted meanwhile", now)
	}
}
