// Package acks is what peers tell each other of the network configuration: which version each knows and goes by, and why not a newer
// one (docs/protocol/config.md).
package acks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// Word is what one peer says of its configuration.
type Word struct {
	Peer    drawbridge.PeerID `json:"peer"`
	Serial  uint64            `json:"serial"` // the higher is newer; goes on over restarts
	Known   uint64            `json:"known"`
	Applied uint64            `json:"applied"`
	Problem string            `json:"problem,omitempty"`
	At      int64             `json:"at"`                // ms since 1970, by the peer's own clock
	Engines string            `json:"engines,omitempty"` // engine.Word as JSON; text, so that two can be compared
}

// Short bounds what is told to all peers of a problem. It leaves alone what it made, and what it made goes over the line as it is: a peer that
// hears itself quoted otherwise says it again, above that.
func Short(problem string) string {
	const most, more = 512, "..."
	if len(problem) > most {
		problem = drawbridge.Cut(problem, most-len(more)) + more
	}
	return problem
}

// maxPeers bounds how many peers are remembered: four times as many as a network has.
const maxPeers = 4096

// Table has the words of all peers, as far as this one has heard. It is a channel of the mesh: news are broadcast, and neighbours
// exchange the whole table now and then, so that whoever missed one hears it later.
type Table struct {
	self drawbridge.PeerID
	tell func(msg []byte)
	news func()

	mu  sync.Mutex // guards what follows
	all map[drawbridge.PeerID]Word
}

// New makes the table of a peer that has heard of nobody. tell brings a word of this peer to all others, and news hears that another
// one said something new; neither is called with a lock held.
func New(self drawbridge.PeerID, tell func(msg []byte), news func()) *Table {
	return &Table{self: self, tell: tell, news: news, all: map[drawbridge.PeerID]Word{}}
}

// Config says what this peer goes by.
func (t *Table) Config(known, applied uint64, problem string) {
	t.mu.Lock()
	last := t.all[t.self]
	mine := Word{Peer: t.self, Serial: last.Serial + 1, Known: known, Applied: applied, Problem: problem, At: time.Now().UnixMilli(), Engines: last.Engines}
	t.all[t.self] = mine
	t.mu.Unlock()
	t.broadcast(mine)
}

// Engines says how this peer stands with the kernel engine.
func (t *Table) Engines(word string) {
	t.mu.Lock()
	mine := t.all[t.self]
	if mine.Engines == word {
		t.mu.Unlock()
		return
	}
	mine.Peer, mine.Serial, mine.Engines, mine.At = t.self, mine.Serial+1, word, time.Now().UnixMilli()
	t.all[t.self] = mine
	t.mu.Unlock()
	t.broadcast(mine)
}

func (t *Table) broadcast(one Word) {
	if msg, err := json.Marshal(one); err == nil { // it holds nothing that could fail
		t.tell(msg)
	}
}

var _ mesh.Channel = (*Table)(nil)

// Receive implements mesh.Channel.
func (t *Table) Receive(from drawbridge.PeerID, msg []byte) {
	var one Word
	if json.Unmarshal(msg, &one) == nil && one.Peer == from {
		t.merge([]Word{one})
	}
}

// State implements mesh.Channel.
func (t *Table) State() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out, err := json.Marshal(slices.SortedFunc(maps.Values(t.all), func(x, y Word) int { return cmp.Compare(x.Peer, y.Peer) }))
	if err != nil {
		return nil
	}
	return out
}

// Merge implements mesh.Channel.
func (t *Table) Merge(_ drawbridge.PeerID, state []byte) {
	var all []Word
	if json.Unmarshal(state, &all) == nil {
		t.merge(all)
	}
}

// merge takes what is newer. A peer that hears of itself from an earlier run speaks up above that: otherwise nobody
// would believe it any more.
func (t *Table) merge(all []Word) {
	changed, again := false, false
	t.mu.Lock()
	for _, one := range all {
		have, known := t.all[one.Peer]
		one.Problem = Short(one.Problem)
		switch {
		case one.Peer == 0 || !known && len(t.all) >= maxPeers:
		case one.Peer != t.self:
			if one.Serial > have.Serial {
				t.all[one.Peer] = one
				changed = true
			}
		case one.Serial > have.Serial || one.Serial == have.Serial && one != have:
			have.Peer, have.Serial = t.self, one.Serial+1
			t.all[t.self] = have
			again = true
		}
	}
	mine := t.all[t.self]
	t.mu.Unlock()
	if again {
		t.broadcast(mine)
	}
	if changed {
		t.news()
	}
}

// Newest is the highest version that any peer knows.
func (t *Table) Newest() (n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range t.all {
		n = max(n, one.Known)
	}
	return n
}

// Of is what a peer said last.
func (t *Table) Of(peer drawbridge.PeerID) Word {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[peer]
}

// awayAfter is how long a peer may be silent before nobody waits for it any more: longer than any restart.
const awayAfter = time.Minute

// Applied is how all peers stand to a version.
func (t *Table) Applied(version uint64, peers []mesh.PeerStatus, now time.Time) web.ConfigApplied {
	out := web.ConfigApplied{Version: version, Complete: true, Peers: []web.AppliedPeer{}}
	for _, p := range peers {
		if p.State == mesh.StateLeft {
			continue
		}
		w := t.standing(version, p, now)
		out.Peers = append(out.Peers, w)
		out.Complete = out.Complete && (w.State == web.AppliedYes || w.State == web.AppliedAway)
	}
	slices.SortStableFunc(out.Peers, func(x, y web.AppliedPeer) int {
		return cmp.Or(cmp.Compare(urgency[x.State], urgency[y.State]), cmp.Compare(x.Peer, y.Peer))
	})
	return out
}

// urgency orders peers: those first that somebody should look after.
var urgency = map[string]int{web.AppliedRefused: 0, web.AppliedSilent: 1, web.AppliedBehind: 2, web.AppliedAway: 3, web.AppliedYes: 4}

func (t *Table) standing(version uint64, p mesh.PeerStatus, now time.Time) web.AppliedPeer {
	one := t.Of(p.ID)
	at := time.UnixMilli(one.At).UTC()
	w := web.AppliedPeer{Peer: string(p.Name), State: web.AppliedBehind, Version: one.Applied, Since: &at}
	switch silent := p.State == mesh.StateUnreachable; {
	case one.Applied >= version:
		w.State = web.AppliedYes
	case silent:
		since := p.Since.UTC()
		w.State, w.Since = web.AppliedSilent, &since
		w.Reason = "no answer since " + since.Format(time.RFC3339)
		if now.Sub(since) > awayAfter {
			w.State = web.AppliedAway
		}
	case one.Problem != "" && one.Known >= version:
		w.State, w.Reason = web.AppliedRefused, one.Problem
	case one.Serial == 0:
		w.Since, w.Reason = nil, "it has not said yet which version it goes by"
	default:
		w.Reason = fmt.Sprintf("it goes by version %d", one.Applied)
	}
	return w
}
