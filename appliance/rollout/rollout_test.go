package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// network is a pair of gateways and a witness, as simple as can be: one segment, and software that starts when told to.
type network struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	active  string // "": nobody
	runs    map[string]int
	version map[string]string
	down    map[string]time.Time // until when
	tired   map[string]time.Time // back, but not well until then
	falls   map[string]int       // how often its next start falls back to the old version
	touched []string             // in order
}

func newNetwork(t *testing.T, seed uint64) *network {
	n := &network{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: start, active: "a",
		runs: map[string]int{}, version: map[string]string{}, down: map[string]time.Time{}, tired: map[string]time.Time{}, falls: map[string]int{},
	}
	for _, name := range []string{"a", "b", "w"} {
		n.runs[name], n.version[name] = 1, "old"
	}
	return n
}

func (n *network) seen() map[string]Seen {
	all := map[string]Seen{}
	for name := range n.runs {
		v := Seen{Reached: !n.now.Before(n.down[name]), Run: fmt.Sprint(n.runs[name]), Version: n.version[name]}
		if n.active == name {
			v.Active = []string{"office"}
		}
		if n.now.Before(n.tired[name]) {
			v.Unwell = []string{"listening"}
		}
		all[name] = v
	}
	return all
}

// restart is what an update does to a peer; no two may be away at once, and none with a segment.
func (n *network) restart(name string) {
	n.t.Helper()
	if n.active == name {
		n.t.Fatalf("%s was restarted while it was active: a failover", name)
	}
	for other, v := range n.seen() {
		if other != name && (!v.Reached || len(v.Unwell) > 0) {
			n.t.Fatalf("%s was restarted while %s was not well", name, other)
		}
	}
	n.touched = append(n.touched, name)
	n.runs[name]++
	n.version[name] = "new"
	if n.falls[name] > 0 {
		n.falls[name]--
		n.version[name] = "old"
	}
	n.down[name] = n.now.Add(time.Duration(n.rng.IntN(20)) * time.Second)
	n.tired[name] = n.down[name].Add(time.Duration(n.rng.IntN(20)) * time.Second)
}

// do carries out a deed.
func (n *network) do(a Action) error {
	switch a.Do {
	case DoMove:
		to := map[string]string{"a": "b", "b": "a"}[a.Peer]
		if v := n.seen()[to]; n.active != a.Peer || !v.Reached || len(v.Unwell) > 0 || n.rng.IntN(4) == 0 {
			return errors.New("refused")
		}
		n.active = to
	case DoUpdate:
		n.restart(a.Peer)
	}
	return nil
}

// reload is what a crash leaves.
func reload(t *testing.T, r Rollout) (again Rollout) {
	t.Helper()
	b, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(b, &again)
	}
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// play runs a roll-out to its end. The coordinating peer self crashes at each moment that crash says: before the deed that
// was noted, or after it, when its result is lost. Operators resume what pauses.
func (n *network) play(self string, want string, crash func(moment int) bool) Rollout {
	n.t.Helper()
	r, err := New("1", "test", "restart", want, []string{"a", "b", "w"}, n.now)
	if err != nil {
		n.t.Fatal(err)
	}
	moment := 0
	dies := func() bool {
		moment++
		return crash(moment)
	}
	for range 5000 {
		if r.Over() {
			return r
		}
		n.now = n.now.Add(time.Second)
		if n.now.Before(n.down[self]) { // the update of the coordinator itself took it away
			continue
		}
		if r.State == Paused {
			if err := r.Resume("test", n.now); err != nil {
				n.t.Fatal(err)
			}
		}
		run := n.runs[self]
		a := r.Next(n.seen(), n.now)
		r = reload(n.t, r) // it is on disk before anything is done
		if dies() {
			n.crash(&r, self)
			continue
		}
		if a.Do == DoNothing {
			continue
		}
		err := n.do(a)
		if n.runs[self] != run || dies() { // its result is never heard
			n.crash(&r, self)
			continue
		}
		r.Result(a, err, n.now)
	}
	n.t.Fatalf("not over: %+v", r)
	return r
}

// crash loses the coordinator: whatever it held moves on, as any failover does.
func (n *network) crash(r *Rollout, self string) {
	n.now = n.now.Add(time.Second)
	if n.down[self].Before(n.now) { // no update, so nobody is to blame
		n.runs[self]++
		n.tired[self] = n.now.Add(5 * time.Second)
		if other := map[string]string{"a": "b", "b": "a"}[self]; n.active == self && !n.now.Before(n.down[other]) {
			n.active = other
		}
	}
	r.Interrupted(self, n.now)
}

func never(int) bool { return false }

func TestPassiveFirst(t *testing.T) {
	for seed := range uint64(50) {
		n := newNetwork(t, seed)
		r := n.play("w", "new", never)
		if r.State != Done || fmt.Sprint(n.touched) != "[b w a]" {
			t.Fatalf("%s, in the order %v, want the active gateway last", r.State, n.touched)
		}
	}
}

// TestCrashAtEveryStep: wherever the coordinating peer dies, nobody is restarted with a segment or while somebody else is
// not well, and every peer has the new software in the end.
func TestCrashAtEveryStep(t *testing.T) {
	for _, self := range []string{"a", "b", "w"} {
		for at := 1; at < 120; at++ {
			n := newNetwork(t, uint64(at))
			n.play(self, "new", func(moment int) bool { return moment == at })
			n.finished(self, at)
		}
	}
}

func TestCrashesAtRandom(t *testing.T) {
	for seed := range uint64(300) {
		n := newNetwork(t, seed)
		n.falls[[]string{"a", "b", "w"}[n.rng.IntN(3)]] = n.rng.IntN(3)
		self := []string{"a", "b", "w"}[n.rng.IntN(3)]
		n.play(self, "new", func(int) bool { return n.rng.IntN(40) == 0 })
		n.finished(self, int(seed))
	}
}

func (n *network) finished(self string, at int) {
	n.t.Helper()
	for name, v := range n.version {
		if v != "new" {
			n.t.Fatalf("coordinator %s, crash %d: %s runs %s in the end", self, at, name, v)
		}
	}
}

func TestFallBackPauses(t *testing.T) {
	n := newNetwork(t, 1)
	n.falls["b"] = 1
	r, err := New("1", "test", "restart", "new", []string{"b", "a"}, n.now)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		n.now = n.now.Add(time.Second)
		if a := r.Next(n.seen(), n.now); a.Do != DoNothing {
			r.Result(a, n.do(a), n.now)
		}
	}
	if r.State != Paused || r.Present() == nil || r.Present().Name != "b" || len(n.touched) != 1 {
		t.Fatalf("%s at %+v after %v; want a pause at b, and a untouched", r.State, r.Present(), n.touched)
	}
	if err := r.Abort("test", n.now); err != nil || r.Abort("test", n.now) == nil {
		t.Fatal("aborting once must do, and twice be refused")
	}
}

// TestTheBundleIsKeptAsLongAsSomebodyNeedsIt: until the end, whatever else happens; and it is missed as long as it is owed to somebody.
func TestTheBundleIsKeptAsLongAsSomebodyNeedsIt(t *testing.T) {
	n := newNetwork(t, 1)
	r, _ := New("1", "test", "upload", "", []string{"b", "a"}, n.now)
	if r.Keeps() {
		t.Error("a bundle is kept that there is not")
	}
	r.Bundle = &Bundle{Version: "2", Size: 7}
	again := reload(t, r)
	if !again.Keeps() || *again.Bundle != *r.Bundle {
		t.Fatalf("after a restart %+v", again.Bundle)
	}
	for last := false; !last; {
		if n.now = n.now.Add(time.Second); r.State != Running {
			t.Fatalf("%+v", r)
		}
		a := r.Next(n.seen(), n.now)
		last = a.Do == DoUpdate && a.Peer == "a"
		if r.Owes() != !last || !r.Keeps() {
			t.Fatalf("%v: owed to somebody %v, kept %v", a, r.Owes(), r.Keeps())
		}
		if a.Do != DoNothing {
			r.Result(a, n.do(a), n.now)
		}
	}
	r.Pause("it takes long", n.now)
	if !r.Keeps() {
		t.Error("not kept while it is paused")
	}
	if err := r.Resume("test", n.now); err != nil || !r.Owes() {
		t.Errorf("resumed (%v), and not owed to the peer that may have fallen back", err)
	}
	if err := r.Abort("test", n.now); err != nil || r.Keeps() {
		t.Errorf("aborted (%v), and still kept", err)
	}
}

func TestWhatTakesTooLongPauses(t *testing.T) {
	n := newNetwork(t, 1)
	r, _ := New("1", "test", "restart", "", []string{"b", "a"}, n.now)
	n.tired["w"] = n.now.Add(time.Hour)
	for range int(CheckFor/time.Second) + 2 {
		n.now = n.now.Add(time.Second)
		if a := r.Next(n.seen(), n.now); a.Do != DoNothing {
			t.Fatalf("%v although w is not well", a)
		}
	}
	if r.State != Paused || r.Waits != "w: listening" {
		t.Fatalf("%s, waits for %q", r.State, r.Waits)
	}
	if err := r.Abort("test", n.now); err != nil || r.Waits != "" {
		t.Errorf("aborted (%v), and waits for %q", err, r.Waits)
	}
}

func TestTwiceOrNobodyIsRefused(t *testing.T) {
	for _, peers := range [][]string{nil, {"a", "a"}} {
		if _, err := New("1", "", "", "", peers, start); err == nil {
			t.Errorf("%v was taken", peers)
		}
	}
}
