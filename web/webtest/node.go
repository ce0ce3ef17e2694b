// Package webtest has a Node for tests that holds whatever a test gives it.
package webtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// Now is what the clock reads in tests.
var Now = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// Node is a web.Node out of values. Tests change them through Change.
type Node struct {
	*web.Journal

	mu     sync.Mutex
	Values Values
	change chan struct{}
	asked  []string
}

var _ web.Node = (*Node)(nil)

// Values are what a Node answers.
type Values struct {
	Version  web.Version
	Status   web.Status
	Peers    []web.Peer
	Links    []web.Link
	Routes   web.Routes
	Voters   web.Voters
	Loops    web.Loops
	MACs     []web.MAC
	Ports    []web.Port
	Segments []web.Segment
	Tokens   []web.Token
	Ready    web.Readiness
	Capture  []byte // what a capture writes
	Bundle   []byte // the diagnostics
	Rollouts []web.Rollout
	Slots    web.Update
	Moves    Moves
	Alerts   Alerts
	Silent   string // a peer that does not answer about the configuration
	Failure  error  // what every change returns
}

// New returns a node of a small network: gateways a and b of the segment office, a witness and two peers.
func New() *Node {
	return &Node{
		Journal: web.NewJournal(func() time.Time { return Now }),
		Values:  sample(),
		change:  make(chan struct{}),
	}
}

// Change changes what the node answers and wakes those who watch it.
func (n *Node) Change(f func(*Values)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.Values)
	close(n.change)
	n.change = make(chan struct{})
}

// Happen adds an event.
func (n *Node) Happen(e web.Event) web.Event {
	e = n.Add(e)
	n.Change(func(*Values) {})
	return e
}

// Asked lists the changes that were asked for.
func (n *Node) Asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked)
}

func (n *Node) read() Values {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Values
}

// note keeps that a change was asked for and says what comes of it.
func (n *Node) note(format string, args ...any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, fmt.Sprintf(format, args...))
	return n.Values.Failure
}

// Version implements web.Node.
func (n *Node) Version() web.Version { return n.read().Version }

// Status implements web.Node.
func (n *Node) Status() web.Status { return n.read().Status }

// Peers implements web.Node.
func (n *Node) Peers() []web.Peer { return n.read().Peers }

// Links implements web.Node.
func (n *Node) Links() []web.Link { return n.read().Links }

// Loops implements web.Node.
func (n *Node) Loops() web.Loops { return n.read().Loops }

// Voters implements web.Node.
func (n *Node) Voters() web.Voters { return n.read().Voters }

// Routes implements web.Node.
func (n *Node) Routes() web.Routes { return n.read().Routes }

// Ports implements web.Node.
func (n *Node) Ports() []web.Port { return n.read().Ports }

// Segments implements web.Node.
func (n *Node) Segments() []web.Segment { return n.read().Segments }

// Ready implements web.Node.
func (n *Node) Ready() web.Readiness { return n.read().Ready }

// MACs implements web.Node; of the filter it knows the address and the peer.
func (n *Node) MACs(f web.MACFilter) (macs []web.MAC) {
	for _, m := range n.read().MACs {
		if (f.MAC == "" || f.MAC == m.MAC) && (f.Peer == "" || f.Peer == m.Peer) {
			macs = append(macs, m)
		}
	}
	return macs
}

// MACStories implements web.Node: it came from behind office, and office changed hands meanwhile.
func (n *Node) MACStories(mac string) ([]web.MACStory, error) {
	at := func(i int) time.Time { return Now.Add(time.Duration(i) * time.Minute) }
	return []web.MACStory{{MAC: mac, VNI: 1, Steps: []web.MACStep{
		{Time: at(-50), What: "learned", At: web.AtSegment, Segment: "office", Peer: "b"},
		{Time: at(-32), What: "repointed", At: web.AtSegment, Segment: "office", Peer: "a", Cause: "switchover by ann"},
		{Time: at(-4), What: "moved", At: web.AtPort, Port: "tap0", Peer: "a", Cause: "heard there"},
	}}}, nil
}

// Events implements web.Node.
func (n *Node) Events(after uint64) []web.Event { return n.After(after) }

// Watch implements web.Node.
func (n *Node) Watch() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.change
}

// FlushMACs implements web.Node.
func (n *Node) FlushMACs(_ context.Context, f web.MACFilter, everywhere bool) (int, error) {
	err := n.note("flush %+v everywhere=%v", f, everywhere)
	return len(n.MACs(f)), err
}

// ClearPort implements web.Node.
func (n *Node) ClearPort(_ context.Context, port, by string) error {
	return n.note("clear %s by %s", port, by)
}

// CreateToken implements web.Node.
func (n *Node) CreateToken(_ context.Context, r web.TokenRequest) (web.NewToken, error) {
	err := n.note("token %v %ds %d by %s", r.Roles, r.TTLS, r.Uses, r.By)
	life := time.Duration(max(r.TTLS, 1)) * time.Second
	return web.NewToken{Token: "dbt1-secret", Info: web.Token{
		ID: "0102030405", Roles: append([]string{}, r.Roles...), Created: Now, CreatedBy: r.By, Expires: Now.Add(life), Uses: max(r.Uses, 1), Left: max(r.Uses, 1), State: "valid",
	}}, err
}

// Tokens implements web.Node.
func (n *Node) Tokens() ([]web.Token, error) {
	v := n.read()
	return v.Tokens, v.Failure
}

// RevokeToken implements web.Node.
func (n *Node) RevokeToken(_ context.Context, id string) error { return n.note("revoke %s", id) }

// Forget implements web.Node.
func (n *Node) Forget(_ context.Context, peer string) error { return n.note("forget %s", peer) }

// Diagnose implements web.Node.
func (n *Node) Diagnose(_ context.Context, w io.Writer) (string, error) {
	if err := n.note("diagnose"); err != nil {
		return "", err
	}
	_, err := w.Write(n.read().Bundle)
	return "drawbridge-a-20260304T120000Z.tar.gz", err
}

// Backup implements web.Node.
func (n *Node) Backup(_ context.Context, passphrase string, w io.Writer) (string, error) {
	if err := n.note("backup with %s", passphrase); err != nil {
		return "", err
	}
	_, err := w.Write([]byte("age-encryption.org/v1\n"))
	return "drawbridge-a-20260304T120000Z.age", err
}

// Capture implements web.Node: what the values have, and then nothing until the client is gone.
func (n *Node) Capture(ctx context.Context, r web.CaptureRequest, w io.Writer) error {
	if err := n.note("capture %+v", r); err != nil {
		return err
	}
	if _, err := w.Write(n.read().Capture); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
