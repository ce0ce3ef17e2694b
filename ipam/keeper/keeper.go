// Package keeper runs the address management of one peer: it gives ipam.Peer its clock, disk, mesh and decisions, and
// lets the rest of the program call it from any goroutine.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
)

// Disk is the state file; *ipam.Store is one.
type Disk interface {
	Write(ipam.Batch) error
	Bloated() bool
	Compact(snapshot ipam.Batch) error
	Close() error
}

// Mesh takes a message to another peer. It may lose it, and must not wait.
type Mesh interface {
	Send(to drawbridge.PeerID, msg []byte) error
}

// Decisions are those of the voters, wherever they are. The keeper calls it from one goroutine.
type Decisions interface {
	// Known are the newest that can be had without a majority; ones numbered 0 when there are none.
	Known(context.Context) (ipam.Decided, error)
	// Confirmed is a linearizable read: it has all that was decided before the call.
	Confirmed(context.Context) (ipam.Decided, error)
	// Admit asks for a holder to become a member.
	Admit(context.Context, ipam.Holder) error
	// Changed is closed when it is worth to ask again.
	Changed() <-chan struct{}
}

// Config is what a keeper needs.
type Config struct {
	Peer      ipam.Config
	Frames    []ipam.Batch // what the state file has
	Disk      Disk
	Mesh      Mesh
	Decisions Decisions
	Now       func() ipam.Instant
	Event     func(ipam.Event) // called by Run's goroutine; must not wait
	Log       *slog.Logger
}

// ErrEnded says that the keeper does not run.
var ErrEnded = errors.New("address management does not run")

// Keeper is the address management of one peer. Any goroutine may use it, once Run runs.
type Keeper struct {
	// Set at construction, then constant.
	c     Config
	calls chan call
	kick  chan struct{} // holds one: decisions are to be asked for
	ended chan struct{}

	// Of Run's goroutine.
	peer    *ipam.Peer
	waiting map[uint64]chan<- ipam.Answer
	number  uint64
	failed  error // of the disk

	wish    wish
	subnets subnets
}

// call is something to do with the peer. done is closed when what it changed is on disk.
type call struct {
	do   func(p *ipam.Peer, now ipam.Instant)
	done chan struct{}
}

// most is how many calls one write to the disk takes: with calls of a few hundred octets it stays one small write.
const most = 256

// tickEvery is how often the peer looks at the time: well below its shortest wait, a second.
const tickEvery = 200 * time.Millisecond

// New makes a keeper of what is on disk. It owns the disk from now on, also when it answers an error.
func New(c Config) (*Keeper, error) {
	p, err := ipam.NewPeer(c.Peer, c.Now(), c.Frames)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("address management: %w", err), c.Disk.Close())
	}
	c.Frames = nil
	return &Keeper{
		c: c, peer: p, calls: make(chan call, most), kick: make(chan struct{}, 1), ended: make(chan struct{}),
		waiting: map[uint64]chan<- ipam.Answer{}, subnets: subnets{all: p.Subnets(), changed: make(chan struct{})},
	}, nil
}

// Run is the life of the keeper. A disk that fails does not end it: the peer then refuses, and says why.
func (k *Keeper) Run(ctx context.Context) error {
	defer close(k.ended)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		k.follow(ctx)
	}()
	k.loop(ctx)
	<-followed
	return k.c.Disk.Close()
}

func (k *Keeper) loop(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		var done []chan struct{}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.peer.Tick(k.c.Now())
		case c := <-k.calls:
			done = k.batch(c)
		}
		k.settle()
		for _, d := range done {
			close(d)
		}
	}
}

// batch makes the calls that have come together while the disk was busy (group commit).
func (k *Keeper) batch(first call) (done []chan struct{}) {
	for c, n := first, 1; ; n++ {
		c.do(k.peer, k.c.Now())
		if c.done != nil {
			done = append(done, c.done)
		}
		if n == most {
			return done
		}
		select {
		case c = <-k.calls:
		default:
			return done
		}
	}
}

// settle does what the peer wants done, the disk before everything that follows from it.
func (k *Keeper) settle() {
	for {
		out := k.peer.Take()
		k.say(&out)
		if len(out.Batch.Records) == 0 || k.failed != nil {
			break
		}
		if k.failed = k.c.Disk.Write(out.Batch); k.failed != nil {
			k.peer.DiskFailed(k.c.Now(), k.failed)
			continue
		}
		k.peer.Persisted(k.c.Now(), out.Batch.Stamp)
	}
	if k.failed == nil && k.c.Disk.Bloated() {
		k.compact()
	}
}

func (k *Keeper) compact() {
	b := k.peer.Snapshot()
	if k.failed = k.c.Disk.Compact(b); k.failed != nil {
		k.peer.DiskFailed(k.c.Now(), k.failed)
	} else {
		k.peer.Persisted(k.c.Now(), b.Stamp)
	}
	out := k.peer.Take()
	k.say(&out)
}

// say passes on what may be heard outside.
func (k *Keeper) say(out *ipam.Output) {
	for _, m := range out.Messages {
		if err := k.c.Mesh.Send(m.To, m.Append(nil)); err != nil {
			k.c.Log.Debug("an IPAM message was not sent", "peer", m.To, "err", err) // it is repeated
		}
	}
	for _, a := range out.Answers {
		if to := k.waiting[a.Number]; to != nil {
			delete(k.waiting, a.Number)
			to <- a // has room for it
		}
	}
	for _, e := range out.Events {
		k.c.Event(e)
	}
	if k.wish.set(out.Admit, out.NeedDecision, k.peer.Unable() == nil) {
		k.ask()
	}
}

// ask has the decisions asked for soon.
func (k *Keeper) ask() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}
