package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// Network is where the nodes of a network keep what they agree on.
type Network interface {
	// Newest is the directory that this node heard of last, nil for none, and a number that differs with it. It answers
	// from memory.
	Newest() (number uint64, text json.RawMessage)
	// Agree has edit make the next directory from the present one and returns when that is agreed on. It may call edit
	// again when somebody else was faster. It reports ErrApart when too few nodes can be reached.
	Agree(ctx context.Context, why string, edit func(now json.RawMessage) (next json.RawMessage, err error)) error
}

// ErrApart is reported when the nodes cannot agree now.
var ErrApart = errors.New("the nodes cannot agree now")

// agreeFor bounds one change.
const agreeFor = 12 * time.Second

// shareEvery is how often a node looks whether it has something to tell or to hear.
const shareEvery = 3 * time.Second

// Shared is a Store of one directory for all nodes of a network. Every node has a copy in its own file, by which it
// goes when it hears of no other node. The directory of a network only ever goes forward: when the network
// configuration is rolled back, who was removed does not come back, and no password of before.
type Shared struct {
	file    *File
	mark    string // path of a file that exists when the copy is the network's
	network Network
	told    func(text string) // what people should know; may be nil

	agreeing sync.Mutex // held during a change

	mu     sync.Mutex // guards what follows
	shared bool       // the copy is the network's
	heard  uint64     // number of what was heard last
	failed bool       // it could not be taken over
	used   map[string]time.Time
}

// OpenShared begins with the copy in the file at path. Nothing is written or said before Load, Save or Run. A file of
// users that this node alone has had is brought to the others by Run.
func OpenShared(path string, network Network, told func(string)) *Shared {
	s := &Shared{file: OpenFile(path), mark: path + ".shared", network: network, told: told, used: map[string]time.Time{}}
	_, err := os.Stat(s.mark)
	s.shared = err == nil
	return s
}

// Load implements Store.
func (s *Shared) Load() (Directory, error) {
	s.hear()
	d, err := s.file.Load()
	if err != nil {
		return d, err
	}
	return s.withUse(d), nil
}

// withUse adds when tokens were used here, which is not worth a decision of all.
func (s *Shared) withUse(d Directory) Directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.used) == 0 {
		return d
	}
	d.Tokens = slices.Clone(d.Tokens)
	for i, t := range d.Tokens {
		if at, ok := s.used[t.ID]; ok && at.After(t.LastUsed) {
			d.Tokens[i].LastUsed = at
		}
	}
	return d
}

// hear takes over what the network has, when that is newer, or this node has nobody.
func (s *Shared) hear() {
	number, text := s.network.Newest()
	s.mu.Lock()
	news := number != s.heard
	s.heard = number
	s.mu.Unlock()
	if !news || text == nil {
		return
	}
	d, err := parseShared(text)
	if err == nil {
		err = s.adopt(d)
	}
	s.mu.Lock()
	again := s.failed
	s.failed = err != nil
	s.mu.Unlock()
	if err != nil && !again {
		s.tell("the network's users cannot be taken over, this node goes by those it knows and tries again: " + err.Error())
	}
}

// retry has what could not be taken over heard once more.
func (s *Shared) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed {
		s.heard = 0
	}
}

// parseShared reads a directory; none and an empty object are one without users.
func parseShared(text json.RawMessage) (Directory, error) {
	if len(text) == 0 {
		return Directory{}, nil
	}
	return parseDirectory(text)
}

// adopt makes d the copy, unless the copy is newer, or has users that the network does not know yet. Of two of one version,
// which a roll-back and a change after it can make, the network's stays, so that all nodes have the same.
func (s *Shared) adopt(d Directory) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.file.Load()
	own := err == nil && !s.shared && !now.Empty()
	if d.Empty() || own || err == nil && s.shared && (d.Version < now.Version || d.Version == now.Version && same(d, now)) {
		return nil
	}
	return s.settle(d)
}

// settle writes the copy and then that it is the network's: after a crash in between, all of its users are known there.
func (s *Shared) settle(d Directory) error {
	if err := s.file.replace(d); err != nil {
		return err
	}
	if !s.shared {
		if err := writeSecret(s.mark, nil); err != nil {
			return fmt.Errorf("users: %w", err)
		}
		s.shared = true
	}
	return nil
}

// Save implements Store. Where the nodes cannot agree, only a node whose users nobody else knows can be changed: so a
// machine alone can be set up, and nothing is promised that another node would not know of.
func (s *Shared) Save(old uint64, d Directory) error {
	s.agreeing.Lock()
	defer s.agreeing.Unlock()
	now, err := s.Load()
	switch {
	case err != nil:
		return err
	case now.Version != old:
		return ErrStale
	}
	if s.onlyUse(now, d) {
		return nil
	}
	if err = s.bring(); err == nil {
		if now, err = s.Load(); err == nil && now.Version != old {
			return ErrStale // others had users, too
		}
		err = s.agree(describe(now, d), func(network Directory) (Directory, error) {
			if network.Version > old {
				return network, ErrStale
			}
			return d, nil
		})
	}
	if errors.Is(err, ErrApart) {
		return s.saveAlone(old, d, err)
	}
	return err
}

// onlyUse notes the use of tokens, and reports whether there was nothing else.
func (s *Shared) onlyUse(now, d Directory) bool {
	used := map[string]time.Time{}
	a, b := now, d
	a.Version, b.Version = 0, 0
	b.Tokens = slices.Clone(b.Tokens)
	for i, t := range b.Tokens {
		if was, ok := now.Token(t.ID); ok && !t.LastUsed.Equal(was.LastUsed) {
			used[t.ID], b.Tokens[i].LastUsed = t.LastUsed, was.LastUsed
		}
	}
	if len(used) == 0 || !same(a, b) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.used, used)
	return true
}

func same(a, b Directory) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func (s *Shared) saveAlone(old uint64, d Directory, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared {
		return &Refusal{Status: http.StatusServiceUnavailable, Detail: "users are the same on all nodes, and cannot be changed while those cannot agree: " + why.Error() + "; log in goes on with those that are known"}
	}
	return s.file.Save(old, d)
}

// agree brings the network to what edit makes of its directory, and this node to that.
func (s *Shared) agree(why string, edit func(Directory) (Directory, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), agreeFor)
	defer cancel()
	var newest Directory
	err := s.network.Agree(ctx, why, func(text json.RawMessage) (json.RawMessage, error) {
		now, err := parseShared(text)
		if err != nil {
			return nil, conflict("the network's users cannot be read by this node: %v: update it", err)
		}
		if newest, err = edit(now); err != nil {
			return nil, err
		}
		return json.Marshal(newest)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settle(newest)
}

// bring tells the network of users that only this node has, and of a newer directory than it has.
func (s *Shared) bring() error {
	s.mu.Lock()
	shared := s.shared
	s.mu.Unlock()
	own, err := s.file.Load()
	if err != nil || own.Empty() || shared && !s.behind(own.Version) {
		return err
	}
	var added []string
	why := "users of one node, for all"
	if shared {
		why = "users are not rolled back"
	}
	err = s.agree(why, func(network Directory) (next Directory, err error) {
		if shared {
			if network.Version >= own.Version {
				return network, errNothing
			}
			return own, nil
		}
		next, added = merge(network, own)
		return next, nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	if err == nil && !shared && len(added) > 0 {
		s.tell(fmt.Sprintf("users are now the same on all nodes; this one brought %v", added))
	}
	return err
}

// errNothing ends a change that is not needed.
var errNothing = errors.New("nothing to change")

// behind reports whether what was heard of the network is older than a version.
func (s *Shared) behind(version uint64) bool {
	_, text := s.network.Newest()
	d, err := parseShared(text)
	return err == nil && d.Version < version
}

// merge adds the users and tokens of one node to those of the network. Of two with one name the network's stays: it
// is what the other nodes go by. The issuer is taken where the network has none.
func merge(network, own Directory) (Directory, []string) {
	next := network.next()
	next.Version = max(next.Version, own.Version)
	var added []string
	for _, u := range own.Users {
		if at, known := next.place(u.Name); !known && len(next.Users) < maxUsers {
			next.Users = slices.Insert(next.Users, at, u)
			added = append(added, u.Name)
		}
	}
	for _, t := range own.Tokens {
		_, ownerKnown := network.User(t.Owner)
		if at, known := next.tokenPlace(t.ID); !known && len(next.Tokens) < maxTokens && (t.Owner == "" || slices.Contains(added, t.Owner) && !ownerKnown) {
			next.Tokens = slices.Insert(next.Tokens, at, t)
		}
	}
	if next.OIDC == nil {
		next.OIDC = own.OIDC
	}
	return next, added
}

// Run keeps this node's copy and the network's directory together until ctx ends.
func (s *Shared) Run(ctx context.Context) error {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	for {
		s.retry()
		_, _ = s.Load() // whoever asks next is told why not
		s.agreeing.Lock()
		_ = s.bring() // apart: the next time
		s.agreeing.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *Shared) tell(text string) {
	if s.told != nil {
		s.told(text)
	}
}

// describe says what a change was, for the history of the network configuration: names, never secrets.
func describe(a, b Directory) string {
	for _, u := range b.Users {
		was, known := a.User(u.Name)
		switch {
		case !known:
			return "user " + u.Name + " made"
		case u.Role != was.Role:
			return fmt.Sprintf("user %s is %s", u.Name, u.Role)
		case u.Disabled != was.Disabled && u.Disabled:
			return "user " + u.Name + " disabled"
		case u.Disabled != was.Disabled:
			return "user " + u.Name + " enabled"
		case u.Hash != was.Hash:
			return "password of " + u.Name
		case u.Generation != was.Generation, len(u.Recovery) != len(was.Recovery):
			return "second factor of " + u.Name
		}
	}
	for _, u := range a.Users {
		if _, known := b.User(u.Name); !known {
			return "user " + u.Name + " removed"
		}
	}
	switch {
	case len(b.Tokens) != len(a.Tokens):
		return "API tokens"
	case (a.OIDC == nil) != (b.OIDC == nil) || a.OIDC != nil && !same(Directory{OIDC: a.OIDC}, Directory{OIDC: b.OIDC}):
		return "OpenID Connect issuer"
	}
	return "users"
}
