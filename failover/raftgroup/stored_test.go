package raftgroup

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/drawbridge-net/drawbridge"
)

// everything is a state with something in every field.
func everything(t testing.TB) State {
	t.Helper()
	return decided(t,
		Command{SetSegment: &SetSegment{"lan", Segment{VNI: 7, Eligible: []drawbridge.PeerName{"a", "b"}, Preferred: "a", Hold: true}}},
		maintenance("a", true), Command{Priority: &Priority{"b", 2}}, Command{Generation: &Generation{4}}, timers(50e6, 250e6), timers(5e6, 20e6),
		Command{SetPolicy: &SetPolicy{HoldGates}}, config(0, `{"dns":["<a>&b"]}`), Command{PutFact: &PutFact{"a/eth1", Fact{"same-wire", "b/eth2", noon}}},
		Command{ID: "id", By: "ann", Time: noon, Remove: &Remove{"gone", 9}},
	)
}

// memory is a place for a snapshot, and a snapshot store of one.
type memory struct {
	bytes.Buffer
	closed, cancelled bool
	broken            error
}

func (m *memory) Write(b []byte) (int, error) {
	if m.broken != nil {
		return 0, m.broken
	}
	return m.Buffer.Write(b)
}

func (m *memory) Close() error  { m.closed = true; return nil }
func (m *memory) Cancel() error { m.cancelled = true; return nil }
func (m *memory) ID() string    { return "one" }

func TestSnapshotReadsBack(t *testing.T) {
	want := everything(t)
	from, to := newMachine(0), newMachine(0)
	from.set(want)
	s, err := from.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	from.Apply(&raft.Log{Index: 99, Data: []byte(`{"id":"later","generation":{"from":100}}`)}) // while it is being written
	var sink memory
	if err := s.Persist(&sink); err != nil || !sink.closed {
		t.Fatalf("closed %v: %v", sink.closed, err)
	}
	_, changed := to.get()
	if err := to.Restore(io.NopCloser(&sink.Buffer)); err != nil {
		t.Fatal(err)
	}
	got, _ := to.get()
	if encoded(t, got) != encoded(t, want) {
		t.Errorf("read %s, want %s", encoded(t, got), encoded(t, want))
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	if to.promised() != 250*time.Millisecond {
		t.Errorf("longest lease is %v", to.promised())
	}
}

func TestHalfASnapshotIsCancelled(t *testing.T) {
	full := errors.New("disk full")
	sink := memory{broken: full}
	if err := (snapshot{everything(t)}).Persist(&sink); !errors.Is(err, full) || !sink.cancelled || sink.closed {
		t.Errorf("cancelled %v, closed %v: %v", sink.cancelled, sink.closed, err)
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	whole := encoded(t, everything(t))
	for name, s := range map[string]string{
		"empty": "", "cut": whole[:len(whole)/2], "two": whole + whole, "later format": strings.Replace(whole, `"format":1`, `"format":2`, 1),
		"no format": `{"state":{}}`, "another kind": strings.Replace(whole, `"generation":7`, `"generation":"five"`, 1), "negative": strings.Replace(whole, `"generation":7`, `"generation":-5`, 1),
	} {
		if _, err := readState(strings.NewReader(s)); err == nil {
			t.Errorf("%s was read", name)
		}
		m := newMachine(0)
		if err := m.Restore(io.NopCloser(strings.NewReader(s))); err == nil {
			t.Errorf("%s was restored", name)
		}
		if got, _ := m.get(); encoded(t, got) != encoded(t, newState()) {
			t.Errorf("%s: state is %s", name, encoded(t, got))
		}
	}
}

// TestNullMapsCanBeWrittenTo: a backup that somebody wrote by hand must not stop every voter of the network.
func TestNullMapsCanBeWrittenTo(t *testing.T) {
	s, err := readState(strings.NewReader(`{"format":1,"state":{"generation":1,"segments":null,"gateways":null,"facts":null,"removed":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Command{segment("lan", 1), maintenance("a", true), {PutFact: &PutFact{"k", Fact{Kind: "x"}}}, {Remove: &Remove{"a", 1}}} {
		if s, err = s.Apply(1, c); err != nil {
			t.Error(err)
		}
	}
}

func TestEntriesThatNobodyCanReadMoveTheIndexOnly(t *testing.T) {
	m := newMachine(0)
	for i, data := range []string{"", "?", `{"id":5}`, `{"of_tomorrow":{}}`} {
		err, _ := m.Apply(&raft.Log{Index: uint64(i + 1), Data: []byte(data)}).(error)
		if s, _ := m.get(); !errors.Is(err, ErrCommand) || s.Index != uint64(i+1) || s.Generation != 1 {
			t.Errorf("%q: %v, index %d", data, err, s.Index)
		}
	}
}

// TestStateIsReadAgainWhenItsChannelCloses: nothing that was decided in between can be missed.
func TestStateIsReadAgainWhenItsChannelCloses(t *testing.T) {
	m := newMachine(0)
	s, changed := m.get()
	for i := range uint64(3) {
		if r := m.Apply(&raft.Log{Index: i + 1, Data: []byte(`{"generation":{"from":` + string(rune('1'+i)) + `}}`)}); r != nil {
			t.Fatal(r)
		}
	}
	<-changed
	after, changed := m.get()
	if s.Generation != 1 || after.Generation != 4 || after.Index != 3 {
		t.Errorf("from %d to %d", s.Generation, after.Generation)
	}
	select {
	case <-changed:
		t.Error("closed although nothing changed")
	default:
	}
}

// logOf is a log store with these commands.
func logOf(t testing.TB, commands ...any) raft.LogStore {
	t.Helper()
	store := raft.NewInmemStore()
	for i, c := range commands {
		entry := &raft.Log{Index: uint64(i + 3), Type: raft.LogCommand}
		if s, is := c.(string); is {
			entry.Type, entry.Data = raft.LogNoop, []byte(s)
		} else {
			entry.Data, _ = json.Marshal(c)
		}
		if err := store.StoreLog(entry); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func TestLongestLeaseIsKnownFromTheDisk(t *testing.T) {
	snapshots := raft.NewInmemSnapshotStore()
	none := raft.NewDiscardSnapshotStore()
	sink, err := snapshots.Create(1, 1, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (snapshot{everything(t)}).Persist(sink); err != nil {
		t.Fatal(err)
	}
	restored := newState()
	restored.Timers.Longest = 3 * time.Second
	for name, tt := range map[string]struct {
		log       raft.LogStore
		snapshots raft.SnapshotStore
		want      time.Duration
	}{
		"fresh":                {logOf(t), none, DefaultTimers.Longest},
		"log":                  {logOf(t, "noop", timers(50e6, 250e6), timers(5e6, 20e6), Command{RetireTimers: &RetireTimers{4}}), none, 250e6},
		"snapshot":             {logOf(t), snapshots, 250e6},
		"log above it":         {logOf(t, timers(100e6, 500e6)), snapshots, 500e6},
		"log below it":         {logOf(t, timers(5e6, 20e6)), snapshots, 250e6},
		"restored":             {logOf(t, Command{Restore: &Restore{restored}}), snapshots, 3e9},
		"refused in any case":  {logOf(t, timers(time.Hour, 9*time.Hour)), none, maxLease},
		"an unreadable entry":  {logOf(t, 5), none, DefaultTimers.Longest},
		"not a command":        {logOf(t, `{"set_timers":{"length":9000000000}}`), none, DefaultTimers.Longest},
		"no snapshot, restart": {logOf(t, segment("lan", 1)), none, DefaultTimers.Longest},
	} {
		if got, err := longestOnDisk(tt.log, tt.snapshots); err != nil || got != tt.want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, tt.want)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(encoded(f, everything(f))))
	f.Add([]byte(encoded(f, newState())))
	f.Add([]byte(`{"format":1,"state":{"segments":null}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		backup, err := readState(bytes.NewReader(b))
		if err != nil {
			return
		}
		before := newState()
		after, err := before.Apply(1, Command{Restore: &Restore{backup}})
		if err != nil {
			return
		}
		if err := after.valid(); err != nil || after.Generation <= before.Generation {
			t.Errorf("restored %s: %v", encoded(t, after), err)
		}
		again, err := readState(strings.NewReader(encoded(t, after)))
		if err != nil || encoded(t, again) != encoded(t, after) {
			t.Errorf("%s reads back as %s: %v", encoded(t, after), encoded(t, again), err)
		}
	})
}

func FuzzCommand(f *testing.F) {
	for _, c := range []Command{segment("lan", 1), maintenance("a", true), config(1, `{}`), timers(5e6, 20e6), {Restore: &Restore{newState()}}, {Remove: &Remove{"a", 1}}} {
		b, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := everything(t)
		after, err := before.applyEntry(&raft.Log{Index: before.Index + 1, Data: b})
		if after.Index != before.Index+1 || after.Generation < before.Generation {
			t.Errorf("state is %s: %v", encoded(t, after), err)
		}
		if bad := after.valid(); bad != nil {
			t.Errorf("impossible: %v", bad)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, err := range []error{nil, ErrConflict, ErrNoLeader, errors.New("?")} {
		b, _ := json.Marshal(answerOf(7, err))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a answer
		if json.Unmarshal(b, &a) == nil && (a.err() == nil) != (a.Error == "") {
			t.Errorf("%s is %v", b, a.err())
		}
	})
}

func TestConditionsSurviveForwarding(t *testing.T) {
	for _, condition := range conditions {
		err := answerOf(3, errors.Join(errors.New("because"), condition)).err()
		if !errors.Is(err, condition) || !strings.Contains(err.Error(), "because") {
			t.Errorf("%v arrives as %v", condition, err)
		}
	}
	if err := answerOf(3, errors.New("other")).err(); err == nil || err.Error() != "other" || errors.Is(err, ErrConflict) {
		t.Errorf("arrives as %v", err)
	}
	if a := answerOf(3, nil); a.err() != nil || a.Index != 3 {
		t.Errorf("answer is %+v", a)
	}
}
