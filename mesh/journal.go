package mesh

import (
	"context"
	"log/slog"
	"sync"

	"github.com/drawbridge-net/drawbridge"
)

// maxJournal bounds entries that nobody has taken yet.
const maxJournal = 4096

// entry is one thing that an operator may want to know.
type entry struct {
	kind string
	peer drawbridge.PeerName
	text string
}

// journal tells the log and Config.Event what happened, in order and from one goroutine, so that whoever
// listens may ask the router anything.
type journal struct {
	log   *slog.Logger
	event func(kind string, peer drawbridge.PeerName, text string)
	kick  chan struct{} // one slot

	mu      sync.Mutex
	waiting []entry
}

func newJournal(log *slog.Logger, event func(string, drawbridge.PeerName, string)) *journal {
	return &journal{log: log, event: event, kick: make(chan struct{}, 1)}
}

// tell may be called with any lock held.
func (j *journal) tell(kind string, peer drawbridge.PeerName, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.waiting) < maxJournal {
		j.waiting = append(j.waiting, entry{kind, peer, text})
	}
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

func (j *journal) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			j.write()
			return
		case <-j.kick:
			j.write()
		}
	}
}

func (j *journal) write() {
	j.mu.Lock()
	waiting := j.waiting
	j.waiting = nil
	j.mu.Unlock()
	for _, e := range waiting {
		j.log.Info(e.text, "kind", e.kind, "peer", e.peer)
		if j.event != nil {
			j.event(e.kind, e.peer, e.text)
		}
	}
}
