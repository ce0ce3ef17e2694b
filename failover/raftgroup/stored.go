package raftgroup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// stateFormat is the version of the stored form. Fields are only ever added within one.
const stateFormat = 1

// maxStored bounds what is read as a state: twice what the limits of State come to.
const maxStored = 16 << 20

// stored is a state on disk or in a backup (docs/protocol/raft.md, "Backup").
type stored struct {
	Format int   `json:"format"`
	State  State `json:"state"`
}

// readState reads the form, not the sense: State.valid does that for what comes from outside.
func readState(r io.Reader) (State, error) {
	in := stored{State: newState()}
	d := json.NewDecoder(io.LimitReader(r, maxStored))
	if err := d.Decode(&in); err != nil {
		return State{}, err
	}
	if in.Format != stateFormat {
		return State{}, fmt.Errorf("the state has format %d, this software reads %d", in.Format, stateFormat)
	}
	if _, err := d.Token(); err != io.EOF {
		return State{}, errors.New("something follows the state")
	}
	return in.State.clone(), nil // clone leaves no map nil
}

func writeState(w io.Writer, s State) error {
	return json.NewEncoder(w).Encode(stored{stateFormat, s})
}

// longestOnDisk bounds the length of every lease that this voter may have promised before it was stopped. The state
// is not known again until a leader says what is committed, but a promise was made under timers that were applied
// here, so they stand in a snapshot or in the log. Entries that were never committed only make it longer.
func longestOnDisk(log raft.LogStore, snapshots raft.SnapshotStore) (time.Duration, error) {
	longest, err := longestInSnapshots(snapshots)
	if err != nil {
		return 0, err
	}
	first, err := log.FirstIndex()
	if err != nil {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	for i := max(first, 1); i <= last; i++ {
		var entry raft.Log
		if err := log.GetLog(i, &entry); err != nil {
			return 0, fmt.Errorf("read entry %d of the log: %w", i, err)
		}
		longest = max(longest, longestIn(entry))
	}
	return longest, nil
}

func longestInSnapshots(snapshots raft.SnapshotStore) (time.Duration, error) {
	longest := DefaultTimers.Longest
	list, err := snapshots.List()
	if err != nil {
		return 0, fmt.Errorf("list the snapshots: %w", err)
	}
	for _, meta := range list {
		_, r, err := snapshots.Open(meta.ID)
		if err != nil {
			continue // damaged: raft takes the one before it, and so do we
		}
		s, err := readState(r)
		r.Close()
		if err == nil {
			longest = max(longest, s.Timers.Longest)
		}
	}
	return longest, nil
}

func longestIn(entry raft.Log) time.Duration {
	var c Command
	if entry.Type != raft.LogCommand || json.Unmarshal(entry.Data, &c) != nil {
		return 0
	}
	switch {
	case c.SetTimers != nil:
		return min(c.SetTimers.Length, maxLease) // a longer one is refused
	case c.PutConfig != nil && c.PutConfig.Follows != nil:
		return min(c.PutConfig.Follows.Length, maxLease)
	case c.RevertConfig != nil:
		return min(c.RevertConfig.Length, maxLease)
	case c.RollbackConfig != nil:
		return min(c.RollbackConfig.Length, maxLease)
	case c.Restore != nil:
		return min(c.Restore.State.Timers.Longest, maxLease)
	}
	return 0
}
