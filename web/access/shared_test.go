package access

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// agreed is what nodes agree on, with its history.
type agreed struct {
	mu       sync.Mutex
	versions []json.RawMessage
}

// near is a Network as one node sees it.
type near struct {
	*agreed
	apart bool
	seen  int // how many versions it heard of
}

func (n *near) Newest() (uint64, json.RawMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.apart {
		n.seen = len(n.versions)
	}
	if n.seen == 0 {
		return 0, nil
	}
	return uint64(n.seen), n.versions[n.seen-1]
}

func (n *near) Agree(_ context.Context, _ string, edit func(json.RawMessage) (json.RawMessage, error)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.apart {
		return ErrApart
	}
	var now json.RawMessage
	if len(n.versions) > 0 {
		now = n.versions[len(n.versions)-1]
	}
	next, err := edit(now)
	if err == nil {
		n.versions = append(n.versions, next)
	}
	return err
}

// rollback is what an operator does to the network configuration.
func (a *agreed) rollback(to int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.versions = append(a.versions, a.versions[to])
}

func aNode(t testing.TB, dir string, all *agreed) (*Shared, *near) {
	n := &near{agreed: all}
	return OpenShared(filepath.Join(dir, "users.json"), n, func(text string) { t.Log(text) }), n
}

func (s *Shared) must(t testing.TB, edit func(Directory) (Directory, error)) {
	t.Helper()
	if err := s.try(edit); err != nil {
		t.Fatal(err)
	}
}

func (s *Shared) try(edit func(Directory) (Directory, error)) error {
	d, err := s.Load()
	if err != nil {
		return err
	}
	next, err := edit(d)
	if err != nil {
		return err
	}
	return s.Save(d.Version, next)
}

func (s *Shared) knows(name string) bool {
	d, _ := s.Load()
	_, ok := d.User(name)
	return ok
}

func adding(name string) func(Directory) (Directory, error) {
	return func(d Directory) (Directory, error) { return d.AddUser(name, Admin, testHash, day) }
}

func removing(name string) func(Directory) (Directory, error) {
	return func(d Directory) (Directory, error) { return d.RemoveUser(name) }
}

// round is one turn of Run.
func (s *Shared) round() error {
	s.retry()
	_, err := s.Load()
	return errors.Join(err, s.bring())
}

func TestAUserOfOneNodeIsKnownOnEach(t *testing.T) {
	all := &agreed{}
	a, _ := aNode(t, t.TempDir(), all)
	b, atB := aNode(t, t.TempDir(), all)
	a.must(t, adding("ann"))
	b.must(t, adding("bob"))
	if !a.knows("bob") || !b.knows("ann") {
		t.Error("they differ")
	}
	atB.apart = true
	a.must(t, removing("bob"))
	if !b.knows("ann") || !b.knows("bob") {
		t.Error("a node apart does not go by those it knows")
	}
	var refused *Refusal
	if err := b.try(adding("eve")); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("a node apart makes users: %v", err)
	}
	atB.apart = false
	if b.knows("bob") || b.knows("eve") {
		t.Error("who was removed stays known")
	}
}

func TestTheFirstUserIsMadeAlone(t *testing.T) {
	all, dir := &agreed{}, t.TempDir()
	a, atA := aNode(t, dir, all)
	atA.apart = true
	a.must(t, adding("ann"))
	a.must(t, adding("bob"))
	a, _ = aNode(t, dir, all) // it starts again, and the others are there
	if err := a.round(); err != nil {
		t.Fatal(err)
	}
	b, _ := aNode(t, t.TempDir(), all)
	if !b.knows("ann") || !b.knows("bob") {
		t.Error("the users did not come along")
	}
}

// Nodes of before had a file each. Nobody may be locked out, and of two of one name the first stays.
func TestUsersOfEveryNodeAreBrought(t *testing.T) {
	all := &agreed{}
	stores := []*Shared{}
	for _, name := range []string{"ann", "bob"} {
		dir := t.TempDir()
		own := OpenFile(filepath.Join(dir, "users.json"))
		d, err := Directory{}.AddUser("admin", Admin, testHash, day.Add(time.Duration(len(stores))*time.Hour))
		if err == nil {
			err = own.Save(0, d)
		}
		if err == nil {
			if d, err = d.AddUser(name, Viewer, testHash, day); err == nil {
				err = own.Save(1, d)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		s, _ := aNode(t, dir, all)
		stores = append(stores, s)
	}
	for range 2 {
		for _, s := range stores {
			if err := s.round(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range stores {
		d, err := s.Load()
		if admin, _ := d.User("admin"); err != nil || !s.knows("ann") || !s.knows("bob") || !admin.Created.Equal(day) {
			t.Errorf("%+v %v", d, err)
		}
	}
	if len(all.versions) != 2 {
		t.Errorf("%d versions", len(all.versions))
	}
}

// Who was removed must not come back because somebody took back a change of a timer.
func TestARollbackIsNotOneOfUsers(t *testing.T) {
	all := &agreed{}
	a, _ := aNode(t, t.TempDir(), all)
	b, _ := aNode(t, t.TempDir(), all)
	a.must(t, adding("ann"))
	a.must(t, adding("bob"))
	a.must(t, removing("bob"))
	_ = b.knows("ann")
	all.rollback(1)
	if a.knows("bob") || b.knows("bob") {
		t.Error("a removed user came back")
	}
	if err := errors.Join(b.round(), a.round()); err != nil {
		t.Fatal(err)
	}
	c, _ := aNode(t, t.TempDir(), all)
	if c.knows("bob") || !c.knows("ann") || len(all.versions) != 5 {
		t.Errorf("a new node knows a removed user, or not who is there; %d versions", len(all.versions))
	}
	all.versions = append(all.versions, json.RawMessage(`{}`)) // a document with an empty table
	if !a.knows("ann") || errors.Join(a.round()) != nil || !c.knows("ann") {
		t.Error("nobody is left, and the first run is open again")
	}
}

func TestUseOfATokenIsNoDecision(t *testing.T) {
	all := &agreed{}
	a, _ := aNode(t, t.TempDir(), all)
	a.must(t, adding("ann"))
	a.must(t, func(d Directory) (Directory, error) {
		return d.AddToken(Token{ID: "0000000001", Digest: make([]byte, 32), Role: Viewer, Created: day, Expires: day.Add(time.Hour)})
	})
	before := len(all.versions)
	a.must(t, func(d Directory) (Directory, error) {
		next, _ := d.TouchToken("0000000001", day.Add(time.Hour))
		return next, nil
	})
	d, _ := a.Load()
	if token, _ := d.Token("0000000001"); token.LastUsed.IsZero() || len(all.versions) != before {
		t.Errorf("used %v, %d versions more", token.LastUsed, len(all.versions)-before)
	}
	a.must(t, adding("bob")) // its version is still the network's
}

// A file that cannot be read opens no first run, but gives way to what the network knows.
func TestADamagedCopyIsReplacedByTheNetworks(t *testing.T) {
	all, dir := &agreed{}, t.TempDir()
	if err := writeSecret(filepath.Join(dir, "users.json"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	b, _ := aNode(t, dir, all)
	if _, err := b.Load(); err == nil {
		t.Fatal("it is taken for an empty one")
	}
	a, _ := aNode(t, t.TempDir(), all)
	a.must(t, adding("ann"))
	if !b.knows("ann") {
		t.Error("the network's users are not taken")
	}
}

func TestDescribeTellsNoSecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := Directory{}.AddUser("ann", Admin, testHash, day)
		next, err := step(t, d)
		if text := describe(d, next); err == nil && (text == "" || strings.Contains(text, "argon2")) {
			t.Errorf("%q", text)
		}
	})
}

// Whatever is cut off when and rolled back to what: what was agreed on stays, each node only goes forward, and in the
// end all are the same.
func TestSharedGoesForward(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := &agreed{}
		var stores []*Shared
		var nets []*near
		for range 3 {
			s, n := aNode(t, t.TempDir(), all)
			stores, nets = append(stores, s), append(nets, n)
		}
		stores[0].must(t, adding("root"))
		last := make([]uint64, 3)
		top := uint64(0)
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			i := rapid.IntRange(0, 2).Draw(rt, "node")
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				nets[i].apart = !nets[i].apart
			case 1:
				all.rollback(rapid.IntRange(0, len(all.versions)-1).Draw(rt, "to"))
			case 2:
				_ = stores[i].round()
			default:
				d, _ := stores[i].Load()
				next, err := step(rt, d)
				if err == nil && stores[i].Save(d.Version, next) == nil && !stores[i].onlyUse(d, next) {
					top = max(top, next.Version)
				}
			}
			for i, s := range stores {
				d, err := s.Load()
				if err != nil || d.Version < last[i] {
					rt.Fatalf("node %d goes back from %d to %d, %v", i, last[i], d.Version, err)
				}
				last[i] = d.Version
			}
		}
		for i := range nets {
			nets[i].apart = false
		}
		for range 2 {
			for _, s := range stores {
				if err := s.round(); err != nil {
					rt.Fatal(err)
				}
			}
		}
		a, _ := stores[0].file.Load()
		for i, s := range stores {
			if d, _ := s.file.Load(); !same(a, d) || d.Version < top {
				rt.Fatalf("node %d has version %d, node 0 %d, %d was agreed on", i, d.Version, a.Version, top)
			}
		}
	})
}
