package appliance

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

// configChannel is the name under which peers tell each other which version they go by.
const configChannel = "config"

// acknowledgement is what one peer says of its configuration.
type acknowledgement struct {
	Peer    drawbridge.PeerID `json:"peer"`
	Serial  uint64            `json:"serial"` // the higher is newer; goes on over restarts
	Known   uint64            `json:"known"`
	Applied uint64            `json:"applied"`
	Problem string            `json:"problem,omitempty"`
	At      int64             `json:"at"`                // ms since 1970, by the peer's own clock
	Engines string            `json:"engines,omitempty"` // engine.Word as JSON; text, so that two can be compared
}

// maxAcks bounds how many peers are remembered: four times as many as a network has.
const maxAcks = 4096

// acknowledgements are those of all peers, as far as this one has heard. It is a channel of the mesh: news are
// broadcast, and neighbours exchange the whole table now and then, so that whoever missed one hears it later.
type acknowledgements struct {
	self  drawbridge.PeerID
	tell  func(msg []byte) // all peers
	news  func()           // whoever watches this peer
	clock func() time.Time

	mu  sync.Mutex // guards what follows
	all map[drawbridge.PeerID]acknowledgement
}

func newAcknowledgements(self drawbridge.PeerID, tell func([]byte)) *acknowledgements {
	return &acknowledgements{self: self, tell: tell, news: func() {}, clock: time.Now, all: map[drawbridge.PeerID]acknowledgement{}}
}

// own says what this peer goes by.
func (a *acknowledgements) own(known, applied uint64, problem string) {
	a.mu.Lock()
	last := a.all[a.self]
	mine := acknowledgement{Peer: a.self, Serial: last.Serial + 1, Known: known, Applied: applied, Problem: problem, At: a.clock().UnixMilli(), Engines: last.Engines}
	a.all[a.self] = mine
	a.mu.Unlock()
	a.broadcast(mine)
}

// engines says how this peer stands with the kernel engine.
func (a *acknowledgements) engines(word string) {
	a.mu.Lock()
	mine := a.all[a.self]
	if mine.Engines == word {
		a.mu.Unlock()
		return
	}
	mine.Peer, mine.Serial, mine.Engines, mine.At = a.self, mine.Serial+1, word, a.clock().UnixMilli()
	a.all[a.self] = mine
	a.mu.Unlock()
	a.broadcast(mine)
}

func (a *acknowledgements) broadcast(one acknowledgement) {
	if msg, err := json.Marshal(one); err == nil { // it holds nothing that could fail
		a.tell(msg)
	}
}

// Receive implements mesh.Channel.
func (a *acknowledgements) Receive(from drawbridge.PeerID, msg []byte) {
	var one acknowledgement
	if json.Unmarshal(msg, &one) == nil && one.Peer == from {
		a.merge([]acknowledgement{one})
	}
}

// State implements mesh.Channel.
func (a *acknowledgements) State() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	out, err := json.Marshal(slices.SortedFunc(maps.Values(a.all), func(x, y acknowledgement) int { return cmp.Compare(x.Peer, y.Peer) }))
	if err != nil {
		return nil
	}
	return out
}

// Merge implements mesh.Channel.
func (a *acknowledgements) Merge(_ drawbridge.PeerID, state []byte) {
	var all []acknowledgement
	if json.Unmarshal(state, &all) == nil {
		a.merge(all)
	}
}

// merge takes what is newer. A peer that hears of itself from an earlier run speaks up above that: otherwise nobody
// would believe it any more.
func (a *acknowledgements) merge(all []acknowledgement) {
	changed, again := false, false
	a.mu.Lock()
	for _, one := range all {
		have, known := a.all[one.Peer]
		one.Problem = short(one.Problem)
		switch {
		case one.Peer == 0 || !known && len(a.all) >= maxAcks:
		case one.Peer != a.self:
			if one.Serial > have.Serial {
				a.all[one.Peer] = one
				changed = true
			}
		case one.Serial > have.Serial || one.Serial == have.Serial && one != have:
			have.Peer, have.Serial = a.self, one.Serial+1
			a.all[a.self] = have
			again = true
		}
	}
	mine := a.all[a.self]
	a.mu.Unlock()
	if again {
		a.broadcast(mine)
	}
	if changed {
		a.news()
	}
}

// newest is the highest version that any peer knows.
func (a *acknowledgements) newest() (n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.all {
		n = max(n, one.Known)
	}
	return n
}

// of is what a peer said last.
func (a *acknowledgements) of(peer drawbridge.PeerID) acknowledgement {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[peer]
}

// awayAfter is how long a peer may be silent before nobody waits for it any more: longer than any restart.
const awayAfter = time.Minute

// applied is how all peers stand to a version.
func (a *acknowledgements) applied(version uint64, peers []mesh.PeerStatus, now time.Time) web.ConfigApplied {
	out := web.ConfigApplied{Version: version, Complete: true, Peers: []web.AppliedPeer{}}
	for _, p := range peers {
		if p.State == mesh.StateLeft {
			continue
		}
		w := a.standing(version, p, now)
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

func (a *acknowledgements) standing(version uint64, p mesh.PeerStatus, now time.Time) web.AppliedPeer {
	one := a.of(p.ID)
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
