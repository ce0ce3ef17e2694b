package raftgroup

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/drawbridge-net/drawbridge"
)

var (
	// ErrNoLeader says that no majority of the voters can be reached just now.
	ErrNoLeader = errors.New("the voters have no leader: is a majority of them up and connected?")
	// ErrLastVoters refuses a change of voters after which those that answer could not agree on anything.
	ErrLastVoters = errors.New("the voters that answer would be no majority")
	// ErrFounded refuses to found a group, or to join one, with a state directory that already is of a group.
	ErrFounded = errors.New("the group already exists")
	// ErrClosed says that this voter was closed.
	ErrClosed = errors.New("the group was closed")
)

// Config is what a voter's group needs.
type Config struct {
	Self     drawbridge.PeerName
	Address  string       // where the other voters reach this one
	Dir      string       // for log, votes and snapshots; of this voter alone
	Listener net.Listener // of the underlay; the group closes it
	Log      *slog.Logger // nil: none

	// Accept authenticates a connection that came in and Dial makes one, both by mutual TLS. The far end must be a
	// voter of this network: whoever gets through can decide anything. They end with ctx.
	Accept func(ctx context.Context, raw net.Conn) (net.Conn, error)
	Dial   func(ctx context.Context, addr string) (net.Conn, error)

	// Heartbeat is raft's heartbeat and election timeout. It decides how soon the group can decide again, not how
	// soon a gateway takes over; so it is lazy. 0: 300 ms.
	Heartbeat time.Duration
}

func (c Config) valid() error {
	if err := checkPeer(c.Self); err != nil {
		return err
	}
	if c.Address == "" || c.Dir == "" || c.Listener == nil || c.Accept == nil || c.Dial == nil {
		return fmt.Errorf("raft group of %s: address, directory, listener, accept and dial are all needed", c.Self)
	}
	return nil
}

// Group is one voter's membership in the group. Any goroutine may use it.
type Group struct {
	cfg       Config
	raft      *raft.Raft
	store     *raftboltdb.BoltStore
	net       *raft.NetworkTransport
	mute      *mute
	transport *transport
	machine   *machine
	changing  chan struct{} // holds one: whoever changes the voters
	ended     chan struct{}
	current   chan struct{} // closed when State has all that was decided before Open
	catchUp   func()        // closes current
	replayed  uint64        // newest entry that was on the disk at the start
}

// Open opens the stores and starts taking part, if the group was founded or this voter was added to it. The caller
// must Close it. On an error the listener is closed.
func Open(cfg Config) (*Group, error) {
	if err := cfg.valid(); err != nil {
		return nil, err
	}
	g := &Group{cfg: cfg, transport: newTransport(cfg), changing: make(chan struct{}, 1), ended: make(chan struct{}), current: make(chan struct{})}
	g.catchUp = sync.OnceFunc(func() { close(g.current) })
	if err := g.start(); err != nil {
		return nil, errors.Join(err, g.stop())
	}
	g.transport.serving.Go(func() { g.recall(g.transport.ctx) })
	go func() {
		defer close(g.ended)
		g.transport.run()
	}()
	return g, nil
}

// start is Open without the accepting; what it leaves behind on an error, stop ends.
func (g *Group) start() (err error) {
	if g.store, err = openStore(g.cfg.Dir); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(g.cfg.Dir, 3, logger(g.cfg.Log))
	if err != nil {
		return fmt.Errorf("open the snapshots in %s: %w", g.cfg.Dir, err)
	}
	longest, err := longestOnDisk(g.store, snapshots)
	if err != nil {
		return fmt.Errorf("raft group in %s: %w", g.cfg.Dir, err)
	}
	if g.replayed, err = g.store.LastIndex(); err != nil {
		return fmt.Errorf("raft group in %s: read the log: %w", g.cfg.Dir, err)
	}
	g.machine = newMachine(longest)
	g.transport.propose = func(ctx context.Context, c []byte) answer { return answerOf(g.apply(ctx, c)) }
	g.transport.status = g.status
	g.net = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: g.transport, MaxPool: 3, Timeout: rpcTimeout, Logger: logger(g.cfg.Log),
	})
	g.mute = newMute(g.net, g.transport.ctx.Done())
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("raft group in %s: list the snapshots: %w", g.cfg.Dir, err)
	}
	forgot, err := forgetful(g.cfg.Dir, g.replayed == 0 && len(list) == 0)
	if err != nil {
		return err
	}
	g.mute.on.Store(forgot)
	g.transport.serving.Go(g.mute.sift)
	if g.raft, err = raft.NewRaft(g.timing(), g.machine, g.store, g.store, snapshots, g.mute); err != nil {
		return fmt.Errorf("start raft in %s: %w", g.cfg.Dir, err)
	}
	return nil
}

// openStore opens log and votes. bbolt syncs every one of them to disk: a vote that is forgotten could be cast twice
// in one term.
func openStore(dir string) (*raftboltdb.BoltStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("raft group: %w", err)
	}
	path := filepath.Join(dir, "raft.db")
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path, BoltOptions: &bbolt.Options{Timeout: time.Second, NoFreelistSync: true},
	})
	if err != nil {
		return nil, fmt.Errorf("open %s (is another process using it?): %w", path, err)
	}
	return store, nil
}

// rpcTimeout bounds one RPC of raft. It has nothing to do with elections, which do not wait for it; it must suffice
// for the largest entry over a slow line: 8 MiB at 7 Mbit/s.
const rpcTimeout = 10 * time.Second

func (g *Group) timing() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(g.cfg.Self)
	c.HeartbeatTimeout = 300 * time.Millisecond
	if g.cfg.Heartbeat > 0 {
		c.HeartbeatTimeout = g.cfg.Heartbeat
	}
	c.ElectionTimeout = c.HeartbeatTimeout
	c.LeaderLeaseTimeout = c.HeartbeatTimeout * 2 / 3
	c.CommitTimeout = 50 * time.Millisecond // the leader tells followers so often, also when nothing happens
	c.SnapshotThreshold = 1024
	c.TrailingLogs = 512
	c.ShutdownOnRemove = false // a removed voter goes on reading what it knows
	c.Logger = logger(g.cfg.Log)
	return c
}

// Found makes this voter the only one of a new group. ErrFounded when it already is in one.
func (g *Group) Found() error {
	err := g.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{
		ID: raft.ServerID(g.cfg.Self), Address: raft.ServerAddress(g.cfg.Address),
	}}}).Error()
	if errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("%s: %w", g.cfg.Dir, ErrFounded)
	}
	if err != nil {
		return fmt.Errorf("found the group: %w", err)
	}
	return g.recalled() // there was nothing before
}

// State returns what is decided as far as this voter knows, and a channel that is closed when it knows more. After a
// restart it begins with the newest snapshot, or with nothing, and comes up to date when a leader is heard: see Current.
func (g *Group) State() (State, <-chan struct{}) { return g.machine.get() }

// Current returns a channel that is closed when State has everything that was decided before Open. It never is while no
// majority can be reached.
func (g *Group) Current() <-chan struct{} { return g.current }

// Longest bounds the length of every lease that this voter may have promised before it was stopped, or since. It is
// right from the start, before State is up to date.
func (g *Group) Longest() time.Duration { return g.machine.promised() }

// Leader names the present leader, "" when there is none, and tells whether it is this voter.
func (g *Group) Leader() (name drawbridge.PeerName, here bool) {
	_, id := g.raft.LeaderWithID()
	return drawbridge.PeerName(id), id == raft.ServerID(g.cfg.Self)
}

// Propose asks the group for a decision, wherever the leader is, until ctx ends. It returns an index: where State has
// come so far, the decision is in it. A command without an id is given one, so that asking twice on the way decides
// once.
func (g *Group) Propose(ctx context.Context, c Command) (uint64, error) {
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("encode the decision: %w: %w", err, ErrCommand)
	}
	if limit := c.limit(); len(encoded) > limit {
		return 0, fmt.Errorf("a decision of %d bytes: %d are the most that fit: %w", len(encoded), limit, ErrCommand)
	}
	return g.insist(ctx, encoded)
}

func (c Command) limit() int {
	if c.Restore != nil {
		return maxMessage - 1024
	}
	return maxCommand
}

// insist asks again after an election or a broken connection.
func (g *Group) insist(ctx context.Context, command []byte) (uint64, error) {
	for {
		index, err := g.proposeOnce(ctx, command)
		if !errors.Is(err, ErrNoLeader) {
			return index, err
		}
		select {
		case <-g.transport.ctx.Done():
			return 0, ErrClosed
		case <-ctx.Done():
			return 0, fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (g *Group) proposeOnce(ctx context.Context, command []byte) (uint64, error) {
	leader, id := g.raft.LeaderWithID()
	switch {
	case leader == "":
		return 0, ErrNoLeader
	case id == raft.ServerID(g.cfg.Self):
		return g.apply(ctx, command)
	}
	return g.transport.forward(ctx, string(leader), command)
}

// apply commits a command as the leader. An error of raft leaves open whether it was committed: the id tells.
func (g *Group) apply(ctx context.Context, command []byte) (uint64, error) {
	future := g.raft.Apply(command, exchangeTimeout)
	done := make(chan error, 1)
	go func() { done <- future.Error() }() // ends with the election that a lost majority brings
	select {
	case err := <-done:
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
		}
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", ErrNoLeader, ctx.Err())
	}
	if err, failed := future.Response().(error); failed {
		return future.Index(), err
	}
	return future.Index(), nil
}

// Backup writes the present state, from which Restore builds the same decisions elsewhere.
func (g *Group) Backup(w io.Writer) error {
	s, _ := g.State()
	return writeState(w, s)
}

// Restore replaces the decisions by those of a backup, by a decision like any other; by is who asked for it. What
// must never go back does not: see the command of this name.
func (g *Group) Restore(ctx context.Context, r io.Reader, by string) error {
	s, err := readState(r)
	if err != nil {
		return fmt.Errorf("read the backup: %w: %w", err, ErrCommand)
	}
	s.Seen = nil
	_, err = g.Propose(ctx, Command{By: by, Restore: &Restore{s}})
	return err
}

// Close leaves the group's connections and closes the stores. The voter stays a member.
func (g *Group) Close() error {
	err := g.stop()
	<-g.ended
	return err
}

// stop ends the connections first: raft would wait for what hangs on them.
func (g *Group) stop() error {
	err := g.transport.Close()
	if g.net != nil {
		err = errors.Join(err, g.net.Close())
	}
	if g.raft != nil {
		err = errors.Join(err, g.raft.Shutdown().Error())
	}
	if g.store != nil {
		err = errors.Join(err, g.store.Close())
	}
	return err
}
