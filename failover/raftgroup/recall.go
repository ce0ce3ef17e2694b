package raftgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// forgotName in a voter's directory says that it began without a log and has not recalled yet what was decided.
const forgotName = "forgot"

// errMute is what a voter says to itself that would like to be elected before it has recalled.
var errMute = errors.New("this voter does not know yet what was decided before it started without a log")

// mute keeps a voter from voting that may have forgotten entries which it acknowledged: one that was restored from a backup,
// which has no log, or whose directory was lost. Raft takes a log for what its voter acknowledged. By its vote a candidate could
// be elected that misses what was decided with the help of the very log that is gone (docs/protocol/raft.md, "A log that was
// lost"). It follows all the same, so that it learns.
type mute struct {
	*raft.NetworkTransport
	on       atomic.Bool
	consumer chan raft.RPC
	ended    <-chan struct{} // with the group's transport
}

func newMute(t *raft.NetworkTransport, ended <-chan struct{}) *mute {
	return &mute{NetworkTransport: t, consumer: make(chan raft.RPC), ended: ended}
}

// Consumer implements raft.Transport.
func (m *mute) Consumer() <-chan raft.RPC { return m.consumer }

// sift hands on what comes in, but for questions for a vote as long as it is mute, until the group ends.
func (m *mute) sift() {
	for {
		select {
		case <-m.ended:
			return
		case rpc := <-m.NetworkTransport.Consumer():
			if m.on.Load() && asksForVote(rpc) {
				rpc.Respond(nil, errMute)
				continue
			}
			select {
			case m.consumer <- rpc:
			case <-m.ended:
				return
			}
		}
	}
}

func asksForVote(rpc raft.RPC) bool {
	switch rpc.Command.(type) {
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest, *raft.TimeoutNowRequest:
		return true
	}
	return false
}

// RequestVote implements raft.Transport.
func (m *mute) RequestVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	if m.on.Load() {
		return errMute
	}
	return m.NetworkTransport.RequestVote(id, at, q, a)
}

// RequestPreVote implements raft.WithPreVote.
func (m *mute) RequestPreVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	if m.on.Load() {
		return errMute
	}
	return m.NetworkTransport.RequestPreVote(id, at, q, a)
}

var _ raft.WithPreVote = (*mute)(nil)

// forgetful reports whether this voter may have forgotten something, and notes it until it has recalled: what it has learnt by
// the time of a crash is a part.
func forgetful(dir string, empty bool) (bool, error) {
	path := filepath.Join(dir, forgotName)
	if empty {
		return true, keepNote(dir, path)
	}
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return true, err
}

// keepNote has the note on the disk before the first entry of the log is.
func keepNote(dir, path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("raft group: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("raft group: %w", err)
	}
	return errors.Join(d.Sync(), d.Close()) // the file is its name alone
}

// recall waits, after every start, for a decision that was asked for after it to arrive here: by then everything has that was
// decided before, whoever acknowledged it.
func (g *Group) recall(ctx context.Context) {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, exchangeTimeout)
		_, err := g.Confirmed(asked, string(g.cfg.Self))
		cancel()
		if err == nil && g.recalled() == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// recalled says that this voter knows what was decided before its start, and lets it vote.
func (g *Group) recalled() error {
	g.catchUp()
	if err := os.Remove(filepath.Join(g.cfg.Dir, forgotName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	g.mute.on.Store(false)
	return nil
}
