package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// happening is an event as one node told it. All nodes of a lab have one clock, so their events have an order.
type happening struct {
	node string
	web.Event
}

func (h happening) String() string {
	return fmt.Sprintf("%s %-2s %s %s %s %s", h.Time.Format("15:04:05.000000"), h.node, h.Kind, h.Epoch, h.Peer, h.Text)
}

// journals are the events of all nodes of a bed. A node that is killed takes with it what nobody has asked it for.
type journals struct {
	b     *bed
	until context.Context

	mu   sync.Mutex // guards what follows
	last map[string]uint64
	all  []happening
}

// askEvery is how often nodes are asked for their events.
const askEvery = 50 * time.Millisecond

// follow collects the events of all nodes, from their start until the test ends.
func (b *bed) follow(t *testing.T) *journals {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	j := &journals{b: b, until: ctx, last: map[string]uint64{}}
	var asking sync.WaitGroup
	for _, n := range b.Status().Nodes {
		asking.Go(func() {
			for ctx.Err() == nil {
				j.ask(n.Name, n.API)
				select {
				case <-time.After(askEvery):
				case <-ctx.Done():
				}
			}
		})
	}
	t.Cleanup(func() { stop(); asking.Wait() })
	return j
}

// ask takes what is new at a node, if it answers: it may be frozen, or dead.
func (j *journals) ask(node, api string) {
	ctx, cancel := context.WithTimeout(j.until, time.Second)
	defer cancel()
	j.mu.Lock()
	after := j.last[node]
	j.mu.Unlock()
	events, err := client.New(api).Events(ctx, after, nil)
	if err != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range events {
		if e.ID > j.last[node] {
			j.last[node] = e.ID
			j.all = append(j.all, happening{node, e})
		}
	}
}

// now is everything that the nodes have told by now, in its order.
func (j *journals) now() []happening {
	for _, n := range j.b.Status().Nodes {
		j.ask(n.Name, n.API)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.all)
	slices.SortStableFunc(all, func(x, y happening) int { return x.Time.Compare(y.Time) })
	return all
}

// around is what happened within a time before and after a moment, for messages of tests.
func (j *journals) around(at time.Time, within time.Duration) string {
	var lines []string
	for _, h := range j.now() {
		if d := h.Time.Sub(at); d > -within && d < within {
			lines = append(lines, h.String())
		}
	}
	return strings.Join(lines, "\n")
}
