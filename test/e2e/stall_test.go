package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

const (
	stallLeast = 10 * time.Millisecond // a quarter of a term
	// busyLeast is the same for threads as those that carry frames: for so long a datagram waits for one, which is longer than
	// a gateway that takes over lets those of the other one go ahead (docs/protocol/handover.md, "Attack it here", 1).
	busyLeast = 4 * time.Millisecond
)

// watchStalls watches until the test ends for what holds up even lease agents. Whatever a lease does beside a stall says
// nothing about the product; whatever it does without one, does.
func watchStalls(t *testing.T) *netlab.Stalls { return watchProcessors(t, netlab.AboveAll, stallLeast) }

// watchBusy watches for times in which the threads that carry frames had to wait for a processor.
func watchBusy(t *testing.T) *netlab.Stalls { return watchProcessors(t, 0, busyLeast) }

func watchProcessors(t *testing.T, priority uint32, least time.Duration) *netlab.Stalls {
	t.Helper()
	s := netlab.NewStalls(priority, least)
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { stop(); watching.Wait() })
	return s
}
