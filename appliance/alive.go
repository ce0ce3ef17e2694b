package appliance

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge/web/client"
)

// alive reports whether the data path moves: no port lets frames wait that its reader does not take. The lease agent
// keeps a lease only for a peer that says so, and the watchdog of systemd replaces one that does not.
func (n *Node) alive() bool {
	for _, p := range n.ports {
		p.mu.Lock()
		a := p.attached
		p.mu.Unlock()
		if a != nil && a.Stalled() {
			return false
		}
	}
	return true
}

const (
	// askOwnAPI is how often this peer asks its own API for something that costs nothing, and how long it waits for it.
	askOwnAPI = 5 * time.Second
	// silentAPI is how long it may go unanswered. A host that is so busy that it takes seconds must not lose its gateway for it; an
	// API that nobody can use for a minute is of a process that must be replaced.
	silentAPI = time.Minute
)

// ownAPI knows when it answered last.
type ownAPI struct{ last atomic.Int64 } // Unix time in ns; 0: never, so that it says nothing about the process

// live reports whether the service manager may go on counting on this process.
func (a *ownAPI) live(now time.Time) bool {
	last := a.last.Load()
	return last == 0 || now.Sub(time.Unix(0, last)) <= silentAPI
}

// askOneself keeps a, until ctx ends, by what ask answers.
func (a *ownAPI) askOneself(ctx context.Context, ask func(context.Context) error) error {
	tick := time.NewTicker(askOwnAPI)
	defer tick.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, askOwnAPI)
		if ask(limited) == nil {
			a.last.Store(time.Now().UnixNano())
		}
		cancel()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// askAPI asks this peer's own socket, as the command line would.
func (n *Node) askAPI(ctx context.Context) error {
	api := client.New(n.cfg.Socket)
	return n.ownAPI.askOneself(ctx, func(ctx context.Context) error {
		_, err := api.Raw(ctx, "version", nil)
		return err
	})
}
