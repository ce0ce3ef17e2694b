package raftgroup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/drawbridge-net/drawbridge"
)

func put(base uint64, document string, within time.Duration) Command {
	return Command{By: "ann", Time: noon, PutConfig: &PutConfig{Base: base, Document: json.RawMessage(document), Within: within}}
}

func following(c Command, f Follows) Command {
	c.PutConfig.Follows = &f
	return c
}

// history is the versions as number, author's mark and document.
func history(s State) string {
	var b strings.Builder
	for _, v := range s.Versions {
		mark := ""
		switch {
		case v.Waiting():
			mark = "?"
		case v.Reverted:
			mark = "-"
		case v.Settled != nil:
			mark = "+"
		}
		fmt.Fprintf(&b, "%d%s<%d=%s ", v.Number, mark, v.Parent, v.Document)
	}
	return strings.TrimSpace(b.String())
}

func TestVersions(t *testing.T) {
	confirm := func(n uint64) Command { return Command{By: "bob", Time: noon, ConfirmConfig: &ConfirmConfig{n}} }
	revert := func(n uint64) Command { return Command{RevertConfig: &RevertConfig{Version: n}} }
	rollback := func(base, to uint64) Command {
		return Command{By: "bob", RollbackConfig: &RollbackConfig{Base: base, To: to}}
	}
	for name, tt := range map[string]struct {
		commands []Command
		want     string
	}{
		"in a row":             {[]Command{put(0, `1`, 0), put(1, `2`, 0)}, "1<0=1 2<1=2"},
		"waiting":              {[]Command{put(0, `1`, 0), put(1, `2`, time.Minute)}, "1<0=1 2?<1=2"},
		"confirmed":            {[]Command{put(0, `1`, 0), put(1, `2`, time.Minute), confirm(2), put(2, `3`, 0)}, "1<0=1 2+<1=2 3<2=3"},
		"confirmed twice":      {[]Command{put(0, `1`, 0), put(1, `2`, time.Minute), confirm(2), confirm(2)}, "1<0=1 2+<1=2"},
		"reverted":             {[]Command{put(0, `1`, 0), put(1, `2`, time.Minute), revert(2)}, "1<0=1 2-<1=2 3<2=1"},
		"rolled back":          {[]Command{put(0, `1`, 0), put(1, `2`, 0), rollback(2, 1)}, "1<0=1 2<1=2 3<2=1"},
		"rolled back, waiting": {[]Command{put(0, `1`, 0), put(1, `2`, 0), put(2, `3`, time.Minute), rollback(3, 1)}, "1<0=1 2<1=2 3-<2=3 4<3=1"},
	} {
		if s := decided(t, tt.commands...); history(s) != tt.want {
			t.Errorf("%s: %s, want %s", name, history(s), tt.want)
		}
	}
	waiting := decided(t, put(0, `1`, 0), put(1, `2`, time.Minute))
	for _, c := range []Command{confirm(2), revert(2), rollback(2, 1)} {
		if _, err := waiting.Apply(9, c); err != nil || history(waiting) != "1<0=1 2?<1=2" {
			t.Errorf("%+v: %v; the state before became %s", c, err, history(waiting))
		}
	}
	for name, tt := range map[string]struct {
		command Command
		want    error
		word    string
	}{
		"put on what waits":      {put(2, `3`, 0), ErrConflict, "confirm it, or roll back to version 1, first"},
		"put on an old one":      {put(1, `3`, 0), ErrConflict, "the newest is 2 by ann at " + noon.UTC().Format(time.RFC3339)},
		"confirm another":        {confirm(1), ErrConflict, "the newest is 2"},
		"revert another":         {revert(1), ErrConflict, "does not wait"},
		"back to nowhere":        {rollback(2, 7), ErrUnknown, "the newest is 2"},
		"back from an old one":   {rollback(1, 1), ErrConflict, "the newest is 2"},
		"with another length":    {Command{RevertConfig: &RevertConfig{2, 5}}, ErrCommand, "leases of 0s"},
		"first cannot wait":      {put(0, `3`, time.Minute), ErrConflict, ""},
		"follows what cannot be": {following(put(2, `3`, 0), Follows{}), ErrConflict, ""},
	} {
		if _, err := waiting.Apply(9, tt.command); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%s: %v, want %v and %q", name, err, tt.want, tt.word)
		}
	}
	for _, c := range []Command{put(0, `3`, 25*time.Hour), put(0, `1`, time.Minute), following(put(0, `3`, 0), Follows{}), following(put(0, `3`, 0), Follows{5e6, 20e6, map[string]Segment{"X": {}}})} {
		if _, err := newState().Apply(1, c); !errors.Is(err, ErrCommand) {
			t.Errorf("%+v: %v", c.PutConfig, err)
		}
	}
}

// TestADocumentBringsItsDecisionsAlong: timers and segments change with the version, in the same entry, and go back
// with it.
func TestADocumentBringsItsDecisionsAlong(t *testing.T) {
	office := Segment{VNI: 1, Preferred: "a"}
	s := decided(t, segment("lab", 3),
		following(put(0, `1`, 0), Follows{10e6, 40e6, map[string]Segment{"office": office}}),
		following(put(1, `2`, time.Minute), Follows{50e6, 250e6, map[string]Segment{"attic": {VNI: 2}}}))
	if s.Timers.Length != 250e6 || len(s.Segments) != 2 || s.Segments["attic"].VNI != 2 || s.Segments["lab"].VNI != 3 {
		t.Errorf("timers %+v, segments %+v", s.Timers, s.Segments)
	}
	if _, err := s.Apply(s.Index+1, timers(5e6, 20e6)); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "timers.profile") {
		t.Errorf("timers beside the document: %v", err)
	}
	s, err := s.Apply(s.Index+1, Command{RevertConfig: &RevertConfig{2, 40e6}})
	if err != nil || s.Timers.Length != 40e6 || s.Timers.Longest != 250e6 || s.Segments["office"].Preferred != "a" || len(s.Segments) != 2 {
		t.Errorf("%v: timers %+v, segments %+v", err, s.Timers, s.Segments)
	}
	backup := decided(t, following(put(0, `7`, 0), Follows{5e6, 20e6, map[string]Segment{"barn": {VNI: 9}}}))
	s, err = s.Apply(s.Index+1, Command{By: "ann", Restore: &Restore{backup}})
	if v, _ := s.Newest(); err != nil || v.Number != 4 || string(v.Document) != "7" || s.Timers.Length != 20e6 || s.Segments["barn"].VNI != 9 {
		t.Errorf("%v: version %+v, timers %+v, segments %+v", err, v, s.Timers, s.Segments)
	}
	if len(s.Versions) != 4 || string(s.Versions[1].Document) != "2" {
		t.Errorf("the history was rewritten: %s", history(s))
	}
	log := logOf(t, following(put(0, `1`, 0), Follows{5e6, 600e6, nil}), Command{RevertConfig: &RevertConfig{2, 700e6}}, Command{RollbackConfig: &RollbackConfig{Length: 800e6}})
	if longest, err := longestOnDisk(log, raft.NewDiscardSnapshotStore()); err != nil || longest != 800e6 {
		t.Errorf("longest lease on the disk is %v, %v", longest, err)
	}
}

func TestHowLongAVersionMayWait(t *testing.T) {
	r := reverter{old: 10}
	v := Version{Index: 11, Time: noon, Within: time.Minute}
	for after, want := range map[time.Duration]time.Duration{-time.Hour: time.Minute, 0: time.Minute, time.Hour: time.Minute} {
		if left := r.left(v, noon.Add(after)); left != want {
			t.Errorf("made while this voter ran, its clock %v ahead: %v left, want %v", after, left, want)
		}
	}
	v.Index = 10
	for after, want := range map[time.Duration]time.Duration{-time.Hour: time.Minute, 20 * time.Second: 40 * time.Second, time.Hour: 0} {
		if left := r.left(v, noon.Add(after)); left != want {
			t.Errorf("found on the disk %v later: %v left, want %v", after, left, want)
		}
	}
}

// voters is a group whose network and disks are in memory.
type voters struct {
	t     testing.TB
	names []drawbridge.PeerName
	all   map[drawbridge.PeerName]*memoryVoter
	docs  map[uint64]string // what anybody ever saw as a version
	kept  map[uint64]string // acknowledged to whoever asked
	r     *rand.Rand
}

// memoryVoter is one of them; raft is nil while it is dead.
type memoryVoter struct {
	store     *raft.InmemStore
	snapshots *raft.InmemSnapshotStore
	raft      *raft.Raft
	transport *raft.InmemTransport
	machine   *machine
	stop      context.CancelFunc
}

func newVoters(t testing.TB, seed uint64, names ...drawbridge.PeerName) *voters {
	v := &voters{t: t, names: names, all: map[drawbridge.PeerName]*memoryVoter{}, docs: map[uint64]string{}, kept: map[uint64]string{}, r: rand.New(rand.NewPCG(seed, 1))}
	var servers []raft.Server
	for _, n := range names {
		servers = append(servers, raft.Server{ID: raft.ServerID(n), Address: raft.ServerAddress(n)})
		v.all[n] = &memoryVoter{store: raft.NewInmemStore(), snapshots: raft.NewInmemSnapshotStore()}
	}
	for _, n := range names {
		v.start(n)
	}
	if err := v.all[names[0]].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *voters) start(name drawbridge.PeerName) {
	m := v.all[name]
	_, m.transport = raft.NewInmemTransport(raft.ServerAddress(name))
	m.machine = newMachine(0)
	old, err := m.store.LastIndex()
	if err != nil {
		v.t.Fatal(err)
	}
	c := (&Group{cfg: Config{Self: name}}).timing()
	c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 32, 8, time.Second
	if m.raft, err = raft.NewRaft(c, m.machine, m.store, m.store, m.snapshots, m.transport); err != nil {
		v.t.Fatal(err)
	}
	v.connect()
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	r, machine := m.raft, m.machine
	go reverter{
		state: machine.get, old: old, by: string(name), log: slog.New(slog.DiscardHandler),
		leads:   func() bool { return r.State() == raft.Leader },
		propose: func(_ context.Context, c Command) error { return v.on(r, c) },
	}.run(ctx)
}

// connect gives every living voter a way to every other.
func (v *voters) connect() {
	for a, one := range v.all {
		for b, other := range v.all {
			if a != b && one.raft != nil && other.raft != nil {
				one.transport.Connect(raft.ServerAddress(b), other.transport)
			}
		}
	}
}

// kill stops a voter; its disk stays.
func (v *voters) kill(name drawbridge.PeerName) {
	m := v.all[name]
	for n, other := range v.all {
		if n != name && other.raft != nil {
			other.transport.Disconnect(raft.ServerAddress(name))
		}
	}
	m.transport.DisconnectAll()
	m.stop()
	if err := m.raft.Shutdown().Error(); err != nil {
		v.t.Fatal(err)
	}
	m.raft = nil
}

// cut takes a voter off the net; it goes on.
func (v *voters) cut(name drawbridge.PeerName) {
	v.all[name].transport.DisconnectAll()
	for n, other := range v.all {
		if n != name && other.raft != nil {
			other.transport.Disconnect(raft.ServerAddress(name))
		}
	}
}

func (v *voters) on(r *raft.Raft, c Command) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f := r.Apply(b, time.Second)
	if err := f.Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	err, _ = f.Response().(error)
	return err
}

// leader waits for one.
func (v *voters) leader() (drawbridge.PeerName, *memoryVoter) {
	for range 1000 {
		for _, n := range v.names {
			if m := v.all[n]; m.raft != nil && m.raft.State() == raft.Leader {
				return n, m
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	v.t.Fatal("no leader")
	return "", nil
}

// look checks that no voter has another document under a number than anybody ever had, and that numbers only go up.
func (v *voters) look() {
	for _, n := range v.names {
		m := v.all[n]
		if m.raft == nil {
			continue
		}
		s, _ := m.machine.get()
		if w, _ := s.Newest(); w.Waiting() && m.raft.State() == raft.Leader && time.Since(w.Time) > w.Within+10*time.Second {
			v.t.Fatalf("version %d waits since %v, for %v", w.Number, time.Since(w.Time), w.Within)
		}
		for i, version := range s.Versions {
			is := fmt.Sprintf("%s by %s after %d", version.Document, version.Author, version.Parent)
			if was, known := v.docs[version.Number]; known && was != is {
				v.t.Fatalf("version %d is %q at %s and was %q", version.Number, is, n, was)
			}
			v.docs[version.Number] = is
			if i > 0 && version.Parent != s.Versions[i-1].Number {
				v.t.Fatalf("version %d follows %d: %s", version.Number, version.Parent, history(s))
			}
		}
	}
}

// step does something at random.
func (v *voters) step(i int) {
	name := v.names[v.r.IntN(len(v.names))]
	dead := 0
	for _, m := range v.all {
		if m.raft == nil {
			dead++
		}
	}
	switch m := v.all[name]; {
	case v.r.IntN(40) == 0 && dead == 0:
		leader, _ := v.leader()
		v.kill(leader)
		return
	case m.raft == nil:
		v.start(name)
		return
	case v.r.IntN(60) == 0 && dead == 0:
		v.cut(name)
		time.Sleep(time.Duration(v.r.IntN(3000)) * time.Millisecond)
		v.connect()
		return
	case v.r.IntN(10) == 0:
		time.Sleep(time.Duration(v.r.IntN(20)) * time.Second) // deadlines pass
		return
	}
	v.change(i)
}

// change asks the leader for something about the newest version, or at times about an older one. A request whose
// answer is lost is asked again, with the same id.
func (v *voters) change(i int) {
	_, m := v.leader()
	s, _ := m.machine.get()
	base := s.newest()
	if v.r.IntN(4) == 0 && base > 0 {
		base--
	}
	c := Command{ID: fmt.Sprintf("request %d", i), By: fmt.Sprintf("author %d", i), Time: time.Now()}
	document := fmt.Sprintf(`{"i":%d}`, i)
	switch v.r.IntN(6) {
	case 0:
		c.RollbackConfig = &RollbackConfig{Base: base, To: max(base, 3) - uint64(v.r.IntN(3))}
	case 1:
		c.ConfirmConfig = &ConfirmConfig{base}
	case 2, 3:
		c.PutConfig = &PutConfig{Base: base, Document: json.RawMessage(document)}
		if base > 0 {
			c.PutConfig.Within = time.Duration(1+v.r.IntN(10)) * time.Second
		}
	default:
		c.PutConfig = &PutConfig{Base: base, Document: json.RawMessage(document)}
	}
	for range 20 {
		_, m := v.leader()
		err := v.on(m.raft, c)
		if errors.Is(err, ErrNoLeader) {
			continue
		}
		if s, _ := m.machine.get(); err == nil && c.PutConfig != nil {
			for _, version := range s.Versions {
				if version.Request == c.ID {
					v.kept[version.Number] = string(version.Document)
					if version.Parent != base {
						v.t.Fatalf("version %d was based on %d and follows %d", version.Number, base, version.Parent)
					}
				}
			}
		}
		return
	}
}

// TestVersionsNeverFork: whatever is asked for, and whoever dies or is cut off meanwhile, one number is one document
// at every voter for ever, every acknowledged one is there in the end, and nothing is left waiting.
func TestVersionsNeverFork(t *testing.T) {
	const steps = 1000
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			v := newVoters(t, seed, "a", "b", "c")
			for i := range steps {
				v.step(i)
				v.look()
			}
			for _, n := range v.names {
				if v.all[n].raft == nil {
					v.start(n)
				}
			}
			v.connect()
			time.Sleep(time.Minute)
			v.look()
			var first string
			for _, n := range v.names {
				s, _ := v.all[n].machine.get()
				if first == "" {
					first = history(s)
				}
				if newest, _ := s.Newest(); history(s) != first || newest.Waiting() {
					t.Errorf("%s has another history, or waits: %s", n, history(s))
				}
				for number, document := range v.kept {
					if version, err := s.Version(number); err == nil && string(version.Document) != document || err != nil && number >= s.Versions[0].Number {
						t.Errorf("%s: version %d was acknowledged as %s: %s, %v", n, number, document, version.Document, err)
					}
				}
			}
			reverted := strings.Count(first, "-<")
			if len(v.kept) < steps/10 || reverted == 0 {
				t.Errorf("%d acknowledged and %d reverted versions show little", len(v.kept), reverted)
			}
			t.Logf("seed %d: %d versions, %d acknowledged, %d reverted", seed, len(v.docs), len(v.kept), reverted)
			for _, n := range v.names {
				v.kill(n)
			}
		})
	}
}
