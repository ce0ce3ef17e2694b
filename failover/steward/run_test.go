package steward

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
)

// leading is the group of a voter that leads, and knows of earlier decisions from when current is closed.
type leading struct {
	Group
	known    raftgroup.State
	current  chan struct{}
	proposed []raftgroup.Command
}

func (g *leading) Current() <-chan struct{} { return g.current }

func (g *leading) Leader() (drawbridge.PeerName, bool) { return "peera", true }

func (g *leading) Voters() ([]raftgroup.Voter, error) { return []raftgroup.Voter{{Name: "peera"}}, nil }

func (g *leading) State() (raftgroup.State, <-chan struct{}) {
	select {
	case <-g.current:
		return g.known, nil
	default:
		return founded(), nil
	}
}

func (g *leading) Propose(_ context.Context, c raftgroup.Command) (uint64, error) {
	g.proposed = append(g.proposed, c)
	return 0, raftgroup.ErrNoLeader
}

// TestALeaderThatHasJustStartedTakesNoStep: who may bridge a segment was decided, and a segment that is entered anew is everybody's.
func TestALeaderThatHasJustStartedTakesNoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &leading{known: founded(), current: make(chan struct{})}
		g.known.Segments["office"] = raftgroup.Segment{VNI: 1, Eligible: []drawbridge.PeerName{"peera"}}
		s := New(Config{Self: "peera", Group: g, Log: slog.New(slog.DiscardHandler), View: func(raftgroup.State) View {
			return View{Segments: []Wanted{{"office", 1}}}
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*lookEvery)
		defer cancel()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = s.Run(ctx)
		}()
		synctest.Wait()
		if why, _ := s.Status(); len(g.proposed) != 0 {
			t.Errorf("%d steps, the first for %s", len(g.proposed), why)
		}
		close(g.current)
		<-ended
		if why, _ := s.Status(); len(g.proposed) != 0 || why == "" {
			t.Errorf("%d steps at what had been decided, %s", len(g.proposed), why)
		}
	})
}
