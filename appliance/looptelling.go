package appliance

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/microscope"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// loopsChannel is the name under which every peer tells what it hears come round. That nothing does is told as well: a peer that says
// nothing is not one that hears nothing.
const loopsChannel = "loops"

const (
	tellLoops     = 5 * time.Second  // while there is something to tell of
	tellNoLoops   = 30 * time.Second // otherwise
	loopsMute     = 90 * time.Second // who told nothing for so long is said to be silent
	loopsMuteBusy = 20 * time.Second // the same of one that had something to tell
)

// toldLoops is what others hear, one for each.
type toldLoops struct {
	mu   sync.Mutex // guards what follows
	told map[drawbridge.PeerID]toldLoop
	bad  uint64
}

type toldLoop struct {
	microscope.Told
	at time.Duration // by elapsed
}

// tellLoops tells everybody: at once when something begins or ends to go round, and now and then.
func (n *Node) tellLoops(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var circling bool
	at := n.elapsed() - tellNoLoops
	for {
		l, every := n.heardLoops(), tellNoLoops
		if len(l.Circles) > 0 {
			every = tellLoops
		}
		if now := n.elapsed(); l.Circling != circling || now-at >= every {
			if err := n.router.Broadcast(loopsChannel, microscope.Tell(l.Circles, time.Now().UTC(), mesh.MaxBroadcast)); err != nil {
				n.log.Debug("what comes round was not told", "err", err)
			}
			circling, at = l.Circling, now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// loopNews is the channel on which others tell.
type loopNews struct{ node *Node }

var _ mesh.Channel = loopNews{}

// Receive keeps what another peer told.
func (c loopNews) Receive(from drawbridge.PeerID, msg []byte) {
	n, t := c.node, &c.node.toldLoops
	told, err := microscope.Parse(msg, time.Now().UTC())
	t.mu.Lock()
	last := t.told[from]
	if err != nil || len(told.Circles)+len(last.Circles) > 0 {
		defer n.changed.tell()
	}
	defer t.mu.Unlock()
	if err != nil {
		t.bad++
		n.log.Debug("word of loops was not understood", "peer", from, "err", err)
		return
	}
	if t.told == nil {
		t.told = map[drawbridge.PeerID]toldLoop{}
	}
	t.told[from] = toldLoop{told, n.elapsed()}
}

// State is for those that were away when it was told.
func (c loopNews) State() []byte {
	return microscope.Tell(c.node.heardLoops().Circles, time.Now().UTC(), mesh.MaxBroadcast)
}

// Merge takes the same from another peer.
func (c loopNews) Merge(from drawbridge.PeerID, state []byte) {
	if len(state) > 0 {
		c.Receive(from, state)
	}
}

// drops counts what was told and not understood.
func (t *toldLoops) drops() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bad == 0 {
		return nil
	}
	return map[string]uint64{"loops: malformed": t.bad}
}

// of is what a peer told last.
func (t *toldLoops) of(id drawbridge.PeerID) (told toldLoop, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	told, known = t.told[id]
	return told, known
}

// loopsElsewhere are what all others hear: what goes round comes first, then who is silent, then who has heard of anything.
func (n *Node) loopsElsewhere() []web.PeerLoops {
	all, now := []web.PeerLoops{}, n.elapsed()
	_, others := n.peers()
	for _, p := range others {
		if p.State == mesh.StateLeft {
			continue
		}
		t, known := n.toldLoops.of(p.ID)
		all = append(all, viewPeerLoops(string(p.Name), &t, known, now))
	}
	slices.SortFunc(all, func(a, b web.PeerLoops) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Peer, b.Peer))
	})
	return all
}

func viewPeerLoops(name string, t *toldLoop, known bool, now time.Duration) web.PeerLoops {
	if !known {
		return web.PeerLoops{Peer: name, Circles: []web.Circle{}, Silent: true}
	}
	mute := loopsMute
	if len(t.Circles) > 0 {
		mute = loopsMuteBusy
	}
	age := now - t.at
	return web.PeerLoops{
		Peer: name, AgeS: age.Seconds(), Silent: age >= mute, Circling: t.Circling() && age < mute,
		Circles: append([]web.Circle{}, t.Circles...), LeftOut: t.LeftOut,
	}
}

// rank orders what peers told by what an operator has to know first.
func rank(p *web.PeerLoops) int {
	switch {
	case p.Circling:
		return 0
	case p.Silent:
		return 1
	case len(p.Circles) > 0:
		return 2
	}
	return 3
}
