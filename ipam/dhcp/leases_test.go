package dhcp

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// book is a Leases for tests: a map, and a clock that the test moves.
type book struct {
	mu      sync.Mutex
	now     time.Time
	first   map[netip.Prefix]netip.Addr
	of      map[netip.Addr]entry
	foreign map[netip.Addr]bool
	fail    error         // what every call answers, if set
	most    time.Duration // for which a lease is given; 0: as long as is asked for
	calls   []string
	hosts   map[string]string
}

type entry struct {
	key    string
	expiry time.Time
}

var start = time.Unix(1_700_000_000, 0)

func newBook() *book {
	return &book{now: start, first: map[netip.Prefix]netip.Addr{}, of: map[netip.Addr]entry{}, foreign: map[netip.Addr]bool{}, hosts: map[string]string{}}
}

func (b *book) call(name string, c Client) error {
	b.calls = append(b.calls, name)
	b.hosts[c.Key] = c.Host
	return b.fail
}

func (b *book) Allocate(_ context.Context, subnet netip.Prefix, c Client, wanted netip.Addr, hold time.Duration) (netip.Addr, time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call("allocate", c); err != nil {
		return netip.Addr{}, time.Time{}, err
	}
	for a, e := range b.of {
		if e.key == c.Key && subnet.Contains(a) {
			return a, b.keep(a, c, hold), nil
		}
	}
	if wanted.IsValid() && b.free(wanted) {
		return wanted, b.keep(wanted, c, hold), nil
	}
	first := subnet.Addr()
	for range 10 {
		first = first.Next()
	}
	for a := first; subnet.Contains(a); a = a.Next() {
		if b.free(a) {
			return a, b.keep(a, c, hold), nil
		}
	}
	return netip.Addr{}, time.Time{}, ErrExhausted
}

func (b *book) free(a netip.Addr) bool {
	e, ok := b.of[a]
	return !b.foreign[a] && (!ok || !e.expiry.After(b.now))
}

func (b *book) keep(a netip.Addr, c Client, d time.Duration) time.Time {
	expiry := b.now.Add(d)
	if e, ok := b.of[a]; ok && e.key == c.Key && e.expiry.After(expiry) {
		expiry = e.expiry
	}
	b.of[a] = entry{c.Key, expiry}
	return expiry
}

func (b *book) Renew(_ context.Context, _ netip.Prefix, c Client, addr netip.Addr, lease time.Duration) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call("renew", c); err != nil {
		return time.Time{}, err
	}
	if e, ok := b.of[addr]; !ok {
		return time.Time{}, ErrUnknown
	} else if e.key != c.Key {
		return time.Time{}, ErrTaken
	}
	if b.most > 0 {
		b.now = time.Now()
		delete(b.of, addr)
		return b.keep(addr, c, b.most), nil
	}
	return b.keep(addr, c, lease), nil
}

func (b *book) Release(_ context.Context, _ netip.Prefix, c Client, addr netip.Addr) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call("release", c); err != nil {
		return err
	}
	if b.of[addr].key != c.Key {
		return ErrUnknown
	}
	delete(b.of, addr)
	return nil
}

func (b *book) Decline(_ context.Context, _ netip.Prefix, c Client, addr netip.Addr) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.call("decline", c); err != nil {
		return err
	}
	if b.of[addr].key != c.Key {
		return ErrUnknown
	}
	delete(b.of, addr)
	b.foreign[addr] = true
	return nil
}

func (b *book) giveAtMost(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.most = d
}

func (b *book) has(t *testing.T, a string, key string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := b.of[netip.MustParseAddr(a)].key; got != key {
		t.Errorf("%s is of %q, want %q", a, got, key)
	}
}
