package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
)

// disk is a state file in memory.
type disk struct {
	mu     sync.Mutex
	frames []ipam.Batch
	fail   error
}

func (d *disk) Write(b ipam.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	time.Sleep(time.Millisecond) // of the fake clock: what an SSD takes
	if d.fail == nil {
		d.frames = append(d.frames, b)
	}
	return d.fail
}
func (d *disk) Bloated() bool { return len(d.frames) > 50 }
func (d *disk) Compact(b ipam.Batch) error {
	d.frames = []ipam.Batch{b}
	return nil
}
func (d *disk) Close() error { return nil }

// voters decide alone, at once, and can be cut off.
type voters struct {
	mu      sync.Mutex
	d       ipam.Decided
	world   World
	cut     bool
	changed chan struct{}
	reads   int
}

var errCut = errors.New("no voter answers")

func (v *voters) change(f func(ipam.Decided) (ipam.Decided, bool, error)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.cut {
		return errCut
	}
	next, ok, err := f(v.d)
	if ok {
		v.d = next
		close(v.changed)
		v.changed = make(chan struct{})
	}
	return err
}

func (v *voters) next() error {
	return v.change(func(d ipam.Decided) (ipam.Decided, bool, error) { return Next(d, v.world) })
}

func (v *voters) Known(context.Context) (d ipam.Decided, err error) {
	err = v.change(func(now ipam.Decided) (ipam.Decided, bool, error) { d = now; return now, false, nil })
	return d, err
}

func (v *voters) Confirmed(ctx context.Context) (ipam.Decided, error) {
	v.mu.Lock()
	v.reads++
	v.mu.Unlock()
	return v.Known(ctx)
}

func (v *voters) Admit(_ context.Context, h ipam.Holder) error {
	return v.change(func(d ipam.Decided) (ipam.Decided, bool, error) { return Admit(d, h, "", v.world) })
}

func (v *voters) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// network is keepers that hear each other.
type network struct {
	*voters
	ctx     context.Context
	mu      sync.Mutex
	keepers map[drawbridge.PeerID]*Keeper
	removed map[drawbridge.PeerID]bool
}

func newNetwork(ctx context.Context) *network {
	n := &network{ctx: ctx, keepers: map[drawbridge.PeerID]*Keeper{}, removed: map[drawbridge.PeerID]bool{}}
	n.voters = &voters{changed: make(chan struct{}), world: World{
		Removed:   func(p drawbridge.PeerID) bool { return n.removed[p] },
		Reachable: func(drawbridge.PeerID) bool { return true },
	}}
	return n
}

type sender struct {
	n    *network
	from drawbridge.PeerID
}

func (s sender) Send(to drawbridge.PeerID, msg []byte) error {
	s.n.mu.Lock()
	k := s.n.keepers[to]
	s.n.mu.Unlock()
	if k == nil {
		return errCut
	}
	k.Receive(s.from, msg)
	return nil
}

// start runs a peer; stop ends it.
func (n *network) start(t *testing.T, id drawbridge.PeerID, d *disk) (k *Keeper, stop func()) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(id), uint64(len(d.frames))))
	k, err := New(Config{
		Peer: ipam.Config{Self: id, Random: r.Uint64}, Frames: d.frames, Disk: d, Mesh: sender{n, id}, Decisions: n.voters,
		Now: func() ipam.Instant { return ipam.Instant(time.Now().UnixNano()) }, Event: func(ipam.Event) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.ctx)
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	n.mu.Lock()
	n.keepers[id] = k
	n.mu.Unlock()
	return k, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		n.mu.Lock()
		delete(n.keepers, id)
		n.mu.Unlock()
	}
}

var subnet = netip.MustParsePrefix("10.43.0.0/24")

func (n *network) allocate(k *Keeper, owner string) (ipam.Answer, error) {
	return k.Allocate(n.ctx, ipam.Request{Subnet: subnet, Owner: owner, For: time.Hour, Patience: 5 * time.Second})
}

// wait lets the fake clock run.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestThreePeersGiveTwoHundredAddressesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t.Context())
		var all []*Keeper
		for id := drawbridge.PeerID(1); id <= 3; id++ {
			k, stop := n.start(t, id, &disk{})
			defer stop()
			all = append(all, k)
		}
		n.world.Subnets = []ipam.Subnet{{Shape: ipam.Shape{Prefix: subnet}}}
		if err := n.next(); err != nil {
			t.Fatal(err)
		}
		wait(40 * time.Second)
		if err := n.next(); err != nil { // members were admitted meanwhile
			t.Fatal(err)
		}
		wait(time.Minute)
		seen := map[netip.Addr]string{}
		for i := range 200 {
			owner := fmt.Sprint("guest", i)
			a, err := n.allocate(all[i%2], owner) // the third only gives
			if err != nil {
				t.Fatalf("%s: %v", owner, err)
			}
			if seen[a.Addr] != "" {
				t.Fatalf("%v was given to %s and %s", a.Addr, seen[a.Addr], owner)
			}
			seen[a.Addr] = owner
		}
	})
}

// TestARestartKeepsAllocations, and what was not on disk was never told.
func TestARestartKeepsAllocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t.Context())
		n.world.Subnets = []ipam.Subnet{{Shape: ipam.Shape{Prefix: subnet}}}
		d := &disk{}
		k, stop := n.start(t, 1, d)
		_ = n.next()
		wait(20 * time.Second)
		_ = n.next()
		wait(20 * time.Second)
		before, err := n.allocate(k, "a")
		if err != nil {
			t.Fatal(err)
		}
		stop()
		n.cut = true // the lease on disk is enough
		k, stop = n.start(t, 1, d)
		defer stop()
		wait(time.Second)
		after, err := n.allocate(k, "a")
		if err != nil || after.Addr != before.Addr {
			t.Errorf("after the restart: %v, %v; before: %v", after, err, before)
		}
	})
}

// TestADiskThatFailsIsTold: whoever asked for an address hears that there is none.
func TestADiskThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t.Context())
		n.world.Subnets = []ipam.Subnet{{Shape: ipam.Shape{Prefix: subnet}}}
		d := &disk{}
		k, stop := n.start(t, 1, d)
		defer stop()
		_ = n.next()
		wait(20 * time.Second)
		_ = n.next()
		wait(20 * time.Second)
		d.mu.Lock()
		d.fail = errors.New("no space left on device")
		d.mu.Unlock()
		if a, err := n.allocate(k, "a"); !errors.Is(err, ipam.ErrUnable) {
			t.Errorf("the disk failed, and %v was given: %v", a.Addr, err)
		}
	})
}

// TestTheSpaceLeaseEndsWithoutVoters: three days later nothing is given any more, until a voter answers.
func TestTheSpaceLeaseEndsWithoutVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t.Context())
		n.world.Subnets = []ipam.Subnet{{Shape: ipam.Shape{Prefix: subnet}}}
		k, stop := n.start(t, 1, &disk{})
		defer stop()
		_ = n.next()
		wait(20 * time.Second)
		_ = n.next()
		wait(20 * time.Second)
		n.voters.mu.Lock()
		n.cut = true
		n.voters.mu.Unlock()
		wait(DefaultLease * 7 / 8)
		if _, err := n.allocate(k, "a"); err != nil {
			t.Errorf("within the lease: %v", err)
		}
		wait(DefaultLease / 8)
		if _, err := n.allocate(k, "b"); !errors.Is(err, ipam.ErrUnable) {
			t.Errorf("after the lease: %v", err)
		}
		n.voters.mu.Lock()
		n.cut = false
		n.voters.mu.Unlock()
		wait(2 * askSeldom)
		if _, err := n.allocate(k, "b"); err != nil {
			t.Errorf("with the voters back: %v", err)
		}
	})
}

// TestRenewalsAreFew: what a quiet peer costs the voters.
func TestRenewalsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t.Context())
		_, stop := n.start(t, 1, &disk{})
		defer stop()
		_ = n.next()
		wait(DefaultLease)
		n.voters.mu.Lock()
		defer n.voters.mu.Unlock()
		if n.reads < renewals-1 || n.reads > 2*renewals {
			t.Errorf("%d renewals within one lease, want about %d", n.reads, renewals)
		}
	})
}

// TestWhoWaitsForASubnetHearsOfIt, and so does one who waits for its end.
func TestWhoWaitsForASubnetHearsOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t.Context())
		d := &disk{}
		k, stop := n.start(t, 1, d)
		none, changed := k.Subnets()
		n.world.Subnets = []ipam.Subnet{{Shape: ipam.Shape{Prefix: subnet}}}
		if err := n.next(); err != nil {
			t.Fatal(err)
		}
		<-changed
		all, changed := k.Subnets()
		if len(none) != 0 || len(all) != 1 || all[0] != subnet {
			t.Errorf("%v, and then %v", none, all)
		}
		wait(time.Minute)
		select {
		case <-changed:
			t.Error("told of a change that was none")
		default:
		}
		stop()
		k, stop = n.start(t, 1, d) // which reads its file
		defer stop()
		if all, _ := k.Subnets(); len(all) != 1 || all[0] != subnet {
			t.Errorf("after a start: %v", all)
		}
	})
}
