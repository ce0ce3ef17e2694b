package appliance

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/lastword"
	"github.com/drawbridge-net/drawbridge/appliance/rollout"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// rolloutsChannel is the name under which a peer that coordinates a roll-out tells everybody of it.
const rolloutsChannel = "rollouts"

const (
	tellRollout     = 2 * time.Second  // while it is not over, changed or not
	tellOver        = 15 * time.Second // afterwards, for those that did not hear of the end
	coordinatorMute = 10 * time.Second // a coordinator that tells nothing for so long has fallen silent
)

// tellRollouts tells everybody of the roll-out that this peer coordinates: at once when it is at another step, and now and then.
func (n *Node) tellRollouts(ctx context.Context) error {
	tick := time.NewTicker(rollEvery)
	defer tick.Stop()
	var last []byte
	var at time.Duration
	for {
		if msg, over := n.ownRollout(); msg != nil {
			every := tellRollout
			if over {
				every = tellOver
			}
			if now := n.elapsed(); !bytes.Equal(msg, last) || now-at >= every {
				if err := n.router.Broadcast(rolloutsChannel, msg); err != nil {
					n.log.Debug("a roll-out was not told", "err", err)
				}
				last, at = msg, now
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ownRollout is the roll-out of this peer as others are told of it; nil: none.
func (n *Node) ownRollout() (msg []byte, over bool) {
	n.rolling.mu.Lock()
	defer n.rolling.mu.Unlock()
	if r := n.rolling.present; r != nil {
		return r.Tell(mesh.MaxBroadcast), r.Over()
	}
	return nil, false
}

// openRolloutNews makes the channel on which others tell. Voters coordinate roll-outs, and nobody else is listened to.
func (n *Node) openRolloutNews() *lastword.Channel[rollout.Told] {
	return lastword.New(lastword.Topic[rollout.Told]{
		Name: rolloutsChannel, Now: n.elapsed, Log: n.log,
		Read: func(from drawbridge.PeerID, msg []byte) (rollout.Told, error) {
			if roles, known := n.router.Roles(from); !known || !roles.Has(secure.Voter) {
				return rollout.Told{}, errors.New("the peer is no voter")
			}
			return rollout.ParseTold(msg)
		},
		Own: func() []byte {
			msg, _ := n.ownRollout()
			return msg
		},
		Heard: func(_, _ rollout.Told) { n.changed.tell() },
	})
}

// rolloutsElsewhere are the roll-outs that others coordinate.
func (n *Node) rolloutsElsewhere() (all []web.Rollout) {
	names, now := n.names(), n.elapsed()
	for id, w := range n.rolling.news.All() {
		if names[id] == "" || id == n.creds.ID() {
			continue
		}
		v := viewRollout(&w.Said.Rollout, names[id])
		v.AgeS, v.LeftOut = (now - w.At).Seconds(), w.Said.LeftOut
		if !w.Said.Over() && now-w.At >= coordinatorMute {
			v.Silent = true
			v.Remedy = fmt.Sprintf("start %s again: it goes on where it was, or waits for `drawbridge rollout resume`; "+
				"if it is gone for good, begin anew on another voter: `drawbridge rollout start`", v.Coordinator)
		}
		all = append(all, v)
	}
	return all
}

// Rollouts implements web.Node: what goes on comes first, then what began last.
func (n *Node) Rollouts() []web.Rollout {
	all := n.rolloutsElsewhere()
	n.rolling.mu.Lock()
	if r := n.rolling.present; r != nil {
		v := viewRollout(r, string(n.creds.Name))
		v.Here = true
		all = append(all, v)
	}
	n.rolling.mu.Unlock()
	slices.SortFunc(all, func(a, b web.Rollout) int {
		return cmp.Or(cmp.Compare(precedence(&a), precedence(&b)), b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// precedence orders roll-outs by what an operator has to know first.
func precedence(r *web.Rollout) int {
	switch {
	case r.Over():
		return 3
	case r.Silent:
		return 2
	case r.State == rollout.Paused:
		return 1
	}
	return 0
}

// Rollout implements web.Node.
func (n *Node) Rollout() (web.Rollout, error) {
	all := n.Rollouts()
	if len(all) == 0 {
		return web.Rollout{}, fmt.Errorf("a roll-out %w: none was begun, or everybody has forgotten it; drawbridge rollout start begins one", web.ErrNotFound)
	}
	return all[0], nil
}

// otherRollout is a roll-out of another peer that is not over, if that peer is heard of.
func (n *Node) otherRollout() (web.Rollout, bool) {
	for _, r := range n.rolloutsElsewhere() {
		if !r.Over() && !r.Silent {
			return r, true
		}
	}
	return web.Rollout{}, false
}

// rivals are the roll-outs that others tell of, by their coordinators. The own one may have to pause for one of them: two at once would
// each take its own peer for the only one that is touched.
func (n *Node) rivals() map[string]*rollout.Rollout {
	names, now, all := n.names(), n.elapsed(), map[string]*rollout.Rollout{}
	for id, w := range n.rolling.news.All() {
		if now-w.At < coordinatorMute && id != n.creds.ID() {
			all[names[id]] = &w.Said.Rollout
		}
	}
	return all
}

// rolloutProblems are roll-outs that wait for an operator.
func (n *Node) rolloutProblems() (all []web.Problem) {
	for _, r := range n.Rollouts() {
		switch {
		case r.Over():
		case r.Silent:
			all = append(all, web.Problem{
				Summary: fmt.Sprintf("%s coordinates a roll-out and has told nothing of it for %s", r.Coordinator, time.Duration(r.AgeS)*time.Second), Remedy: r.Remedy,
			})
		case r.State == rollout.Paused:
			all = append(all, web.Problem{Summary: fmt.Sprintf("the roll-out of %s is paused: %s", r.Coordinator, r.Reason), Remedy: "drawbridge rollout resume, or abort"})
		}
	}
	return all
}

// Kinds of orders about a roll-out, to the peer that coordinates it.
const (
	orderResumeRollout = "resume-rollout"
	orderAbortRollout  = "abort-rollout"
)

// rolloutPatience is how long the coordinator may take to answer.
const rolloutPatience = 10 * time.Second

// askCoordinator has the peer that coordinates the roll-out which goes on change it. false: that is this peer, or none goes on.
func (n *Node) askCoordinator(kind, by string) (web.Rollout, bool, error) {
	r, err := n.Rollout()
	if err != nil || r.Here || r.Over() || n.coordinates() {
		return web.Rollout{}, false, nil
	}
	if r.Silent {
		return web.Rollout{}, true, fmt.Errorf("%w: %s coordinates the roll-out and is silent: %s", web.ErrConflict, r.Coordinator, r.Remedy)
	}
	ctx, cancel := context.WithTimeout(n.life, rolloutPatience)
	defer cancel()
	if err := n.rollOrder(ctx, &order{Kind: kind, By: by, To: r.Coordinator}, r.Coordinator); err != nil {
		return web.Rollout{}, true, fmt.Errorf("%w: %s coordinates the roll-out: %w", web.ErrConflict, r.Coordinator, err)
	}
	r, err = n.toldSince(ctx, n.elapsed())
	return r, true, err
}

// toldSince waits for the word of the coordinator on what it was asked for.
func (n *Node) toldSince(ctx context.Context, asked time.Duration) (web.Rollout, error) {
	for {
		watch := n.changed.watch()
		if r, err := n.Rollout(); err != nil || time.Duration(r.AgeS*float64(time.Second)) < n.elapsed()-asked {
			return r, err
		}
		select {
		case <-ctx.Done():
			return n.Rollout()
		case <-watch:
		}
	}
}

// coordinates reports whether a roll-out of this peer is not over.
func (n *Node) coordinates() bool {
	n.rolling.mu.Lock()
	defer n.rolling.mu.Unlock()
	return n.rolling.present != nil && !n.rolling.present.Over()
}
