package appliance

import (
	"cmp"
	"context"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/lastword"
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

// openLoopNews makes the channel on which others tell what they hear.
func (n *Node) openLoopNews() *lastword.Channel[microscope.Told] {
	return lastword.New(lastword.Topic[microscope.Told]{
		Name: loopsChannel, Now: n.elapsed, Log: n.log,
		Read: func(_ drawbridge.PeerID, msg []byte) (microscope.Told, error) {
			return microscope.Parse(msg, time.Now().UTC())
		},
		Own: func() []byte { return microscope.Tell(n.heardLoops().Circles, time.Now().UTC(), mesh.MaxBroadcast) },
		Heard: func(was, is microscope.Told) {
			if len(was.Circles)+len(is.Circles) > 0 {
				n.changed.tell()
			}
		},
	})
}

// loopsElsewhere are what all others hear: what goes round comes first, then who is silent, then who has heard of anything.
func (n *Node) loopsElsewhere() []web.PeerLoops {
	all, now := []web.PeerLoops{}, n.elapsed()
	_, others := n.peers()
	for _, p := range others {
		if p.State == mesh.StateLeft {
			continue
		}
		w, known := n.loopNews.Of(p.ID)
		all = append(all, viewPeerLoops(string(p.Name), &w, known, now))
	}
	slices.SortFunc(all, func(a, b web.PeerLoops) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(a.Peer, b.Peer))
	})
	return all
}

func viewPeerLoops(name string, w *lastword.Word[microscope.Told], known bool, now time.Duration) web.PeerLoops {
	if !known {
		return web.PeerLoops{Peer: name, Circles: []web.Circle{}, Silent: true}
	}
	mute := loopsMute
	if len(w.Said.Circles) > 0 {
		mute = loopsMuteBusy
	}
	age := now - w.At
	return web.PeerLoops{
		Peer: name, AgeS: age.Seconds(), Silent: age >= mute, Circling: w.Said.Circling() && age < mute,
		Circles: append([]web.Circle{}, w.Said.Circles...), LeftOut: w.Said.LeftOut,
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
