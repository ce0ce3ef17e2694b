package ipam

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// one asks a lone peer and gives the disk time.
func one(p *Peer, r Request) Answer {
	p.Allocate(p.now, r)
	b := p.Take()
	if len(b.Answers) == 0 {
		p.Persisted(p.now, b.Batch.Stamp)
		b = p.Take()
	}
	if len(b.Answers) == 0 {
		return Answer{Err: errors.New("no answer")}
	}
	return b.Answers[0]
}

func TestNothingIsAcknowledgedBeforeTheDisk(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	p.Allocate(2, Request{Subnet: p.Subnets()[0], Owner: "a"})
	out := p.Take()
	if len(out.Answers) != 0 || len(out.Batch.Records) == 0 {
		t.Fatalf("%+v", out)
	}
	p.DiskFailed(3, syscall.ENOSPC)
	out = p.Take()
	if len(out.Answers) != 1 || !errors.Is(out.Answers[0].Err, ErrUnable) || !errors.Is(out.Answers[0].Err, syscall.ENOSPC) {
		t.Errorf("full disk: %+v", out)
	}
	if a := one(p, Request{Subnet: p.Subnets()[0], Owner: "b"}); !errors.Is(a.Err, ErrUnable) {
		t.Errorf("a peer without a disk answers %+v", a)
	}
}

func TestSameOwnerSameAddress(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	subnet := p.Subnets()[0]
	first := one(p, Request{Subnet: subnet, Owner: "a", For: time.Minute})
	if again := one(p, Request{Subnet: subnet, Owner: "a", For: time.Second}); again.Addr != first.Addr || again.Until < first.Until {
		t.Errorf("%+v, then %+v", first, again)
	}
	one(p, Request{Subnet: subnet, Owner: "b"})
	if err := p.Release(3, first.Addr); err != nil {
		t.Fatal(err)
	}
	if c := one(p, Request{Subnet: subnet, Owner: "a"}); c.Addr != first.Addr {
		t.Errorf("%v comes back and gets %v", first.Addr, c.Addr)
	}
	if got := p.Lookup("a"); len(got) != 1 || got[0] != first.Addr {
		t.Errorf("lookup %v", got)
	}
}

func TestForeignAddressIsNotGiven(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	a := one(p, Request{Subnet: p.Subnets()[0], Owner: "a"})
	if err := p.Foreign(3, a.Addr, "00:11:22:33:44:55", true); err != nil {
		t.Fatal(err)
	}
	if b := one(p, Request{Subnet: p.Subnets()[0], Owner: "a"}); b.Addr == a.Addr || b.Err != nil {
		t.Errorf("after a conflict: %+v", b)
	}
	if why := strings.Join(p.Why(a.Addr), "; "); !strings.Contains(why, "foreign") || !strings.Contains(why, "decision 1 seeded") {
		t.Error(why)
	}
	if err := p.Release(4, a.Addr); err != nil {
		t.Fatal(err)
	}
	if b := one(p, Request{Owner: "b", Addr: a.Addr}); b.Err != nil {
		t.Errorf("after the mark was taken away: %v", b.Err)
	}
}

func TestClaims(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	addr := netip.MustParseAddr
	for _, c := range []struct {
		owner, addr string
		want        error
	}{
		{"a", "10.1.0.77", nil},
		{"b", "10.1.0.77", ErrTaken},
		{"a", "10.1.0.78", ErrTaken},
		{"c", "10.1.0.0", ErrTaken},
		{"c", "10.2.0.1", ErrOutside},
		{"", "10.1.0.9", ErrUnknown},
	} {
		if a := one(p, Request{Owner: c.owner, Addr: addr(c.addr)}); !errors.Is(a.Err, c.want) {
			t.Errorf("%s claims %s: %v, want %v", c.owner, c.addr, a.Err, c.want)
		}
	}
}

// TestOldFileIsFound starts a peer with a copy of its file that is older than what others have heard of.
func TestOldFileIsFound(t *testing.T) {
	s := newSim(1, 3, rules{})
	s.calm = true
	s.run(5 * second)
	b := s.boxes[0]
	old := append([]Batch(nil), b.disk...)
	for range 5 {
		s.bad = ""
		b.peer.Allocate(s.now, Request{Subnet: small, Owner: "x", Patience: time.Second, For: time.Second})
		s.output(b)
		s.run(3 * second)
	}
	if s.bad != "" {
		t.Fatal(s.bad)
	}
	s.crash(b)
	b.disk, b.side = old, 1
	s.start(b)
	for range 50 { // alone, it goes on beyond the stamps that the others have heard
		b.peer.Allocate(s.now, Request{Subnet: small, Owner: "y", For: time.Second})
		s.output(b)
		s.run(second / 10)
	}
	b.side = 0
	for range 50 {
		s.bad = "" // what it gave while nobody could tell it, and that others refuse it now, is not the point
		s.run(second / 10)
	}
	if err := b.peer.Unable(); !errors.Is(err, ErrState) || !strings.Contains(err.Error(), "old copy") {
		t.Errorf("with an old file: %v", err)
	}
	s.crash(b)
	b.disk = nil
	s.start(b)
	for range 50 {
		s.bad = ""
		s.run(second / 10)
	}
	if err := b.peer.Unable(); err == nil || !strings.Contains(err.Error(), "is new") {
		t.Errorf("without its file: %v", err)
	}
	if v, _ := b.peer.View(small); v.Used != 0 || len(b.peer.pools) != 1 || b.peer.pools[0].space.free != 0 {
		t.Error("a peer without its file has space")
	}
}

// TestClaimNamesTheOwner claims from a peer that cannot be reached, and from one that has given the address.
func TestClaimNamesTheOwner(t *testing.T) {
	s := newSim(1, 3, rules{})
	s.calm = true
	s.run(5 * second)
	p := s.boxes[2].peer
	var got []Answer
	claim := func() {
		s.seen = func(a Answer) {
			if a.Number == 77 {
				got = append(got, a)
			}
		}
		p.Allocate(s.now, Request{Number: 77, Owner: "me", Addr: netip.MustParseAddr("10.1.0.9"), Patience: 3 * time.Second})
		s.output(s.boxes[2])
		s.run(5 * second)
		s.seen = nil
	}
	s.boxes[2].side = 1
	claim()
	s.boxes[2].side = 0
	owner := s.boxes[0].peer
	owner.Allocate(s.now, Request{Owner: "printer", Addr: netip.MustParseAddr("10.1.0.9")})
	s.output(s.boxes[0])
	claim()
	if len(got) != 2 || !errors.Is(got[0].Err, ErrExhausted) || !strings.Contains(got[0].Err.Error(), "00000001 did not answer") {
		t.Fatalf("%+v", got)
	}
	if !errors.Is(got[1].Err, ErrTaken) || !strings.Contains(got[1].Err.Error(), "printer") || !strings.Contains(got[1].Err.Error(), "00000001") {
		t.Errorf("%+v", got[1])
	}
}

// TestHundredPeersConverge bounds the gossip after a heal: 3 log2(n) rounds.
func TestHundredPeersConverge(t *testing.T) {
	const n = 100
	s := newSim(3, n, rules{})
	s.calm, s.favourite = true, opLag
	s.run(5 * second)
	for i, b := range s.boxes {
		b.side = i % 2
	}
	for range 400 {
		s.request(netip.Addr{})
		s.run(second / 20)
	}
	s.run(20 * second) // patience is over: nothing moves any more
	if s.agreed() {
		t.Fatal("the halves know the same already")
	}
	s.heal()
	limit := Instant(3*bits.Len(n)) * gossipEvery
	start := s.now
	for s.now < start+limit && !s.agreed() {
		s.run(gossipEvery)
	}
	if !s.agreed() || s.bad != "" {
		t.Errorf("after %d rounds 100 peers disagree; %s", limit/gossipEvery, s.bad)
	}
	t.Logf("%d rounds, at most %d", (s.now-start)/gossipEvery, limit/gossipEvery)
}

// TestGrow makes a subnet larger while it is in use; then it does not shrink.
func TestGrow(t *testing.T) {
	p := lone(t, "10.1.1.0/24")
	a := one(p, Request{Subnet: p.Subnets()[0], Owner: "a"})
	small := p.decided.clone()
	d := p.decided.clone()
	d.Number = 2
	d.Grounds[0].Prefix = netip.MustParsePrefix("10.1.0.0/23")
	d.Grounds[0].Seeds = append(d.Grounds[0].Seeds, Seed{netip.MustParsePrefix("10.1.0.0/24"), 2, []Holder{p.Me()}})
	if err := p.Decide(3, d); err != nil {
		t.Fatal(err)
	}
	frames := []Batch{p.Snapshot()}
	again, err := NewPeer(Config{Self: 1, Random: rand.Uint64}, 4, frames)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Peer{p, again} {
		if got := p.Lookup("a"); len(got) != 1 || got[0] != a.Addr || p.pools[0].space.free != 512-2-1 {
			t.Errorf("%v, %d free", got, p.pools[0].space.free)
		}
	}
	small.Number = 3
	if err := p.Decide(5, small); !errors.Is(err, ErrSubnet) {
		t.Errorf("shrunk: %v", err)
	}
}

// TestLeaseSurvivesRestart renews often, restarts alone, and goes on; but not if the wall clock went back.
func TestLeaseSurvivesRestart(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	d := p.decided.clone()
	d.Number, d.Lease, d.Longest = 2, int64(16*second), int64(16*second)
	if err := p.Decide(2, d); err != nil {
		t.Fatal(err)
	}
	p.lease, p.written = 0, 0
	for at := second; at < 100*second; at += second {
		p.Renewed(at, at)
	}
	frames := []Batch{p.Take().Batch}
	frames[0].Records = append(lone(t, "10.1.0.0/24").Snapshot().Records, frames[0].Records...)
	for at, able := range map[Instant]bool{103 * second: true, 120 * second: false, 50 * second: false} {
		again, err := NewPeer(p.config, at, frames)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Unable(); (err == nil) != able {
			t.Errorf("restarted at %v: %v", time.Duration(at), err)
		}
	}
}

func TestDonate(t *testing.T) {
	s := newSim(1, 3, rules{})
	s.calm = true
	s.run(5 * second)
	from, to := s.boxes[0], s.boxes[2]
	had := to.peer.pools[0].space.freeBlocks()
	if had == 0 {
		t.Error("a peer without space has asked for none")
	}
	want, mine := Donation{Subnet: small, To: to.id.String(), Count: 2}, from.peer.pools[0].space.freeBlocks()
	foreseen, err1 := from.peer.Gift(s.now, want)
	if from.peer.pools[0].space.freeBlocks() != mine {
		t.Error("a preview gives")
	}
	g, err := from.peer.Donate(s.now, want)
	if len(g.Blocks) != 2 || g.Left != mine-2 || g.Free == 0 || err != nil || err1 != nil || !reflect.DeepEqual(g, foreseen) {
		t.Fatal(g, err, foreseen, err1)
	}
	s.output(from)
	s.run(20 * second)
	if v, _ := to.peer.View(small); v.Unheld != 0 || to.peer.pools[0].space.freeBlocks() != had+2 || !s.agreed() {
		t.Errorf("%+v", v)
	}
}

// TestDonationsThatAreRefused has why nothing is given, and that nothing is.
func TestDonationsThatAreRefused(t *testing.T) {
	s := newSim(1, 3, rules{})
	s.calm = true
	s.run(5 * second)
	p, other := s.boxes[0].peer, s.boxes[1].peer
	a := one(p, Request{Subnet: small, Owner: "a"}).Addr
	at, _ := p.pools[0].ring.Offset(a)
	used := p.pools[0].ring.Block(p.pools[0].ring.blockOf(at))
	theirs := p.pools[0].ring.Block(slices.Index(other.pools[0].space.held, true))
	before := p.pools[0].ring.Clone()
	for says, d := range map[string]Donation{
		"is this peer":                {To: s.boxes[0].id.String(), Count: 1},
		"no peer that takes part":     {To: "nobody", Count: 1},
		"in which nothing is used":    {To: s.boxes[2].id.String(), Count: 100},
		"0 blocks":                    {To: s.boxes[2].id.String()},
		"1 addresses that are not":    {To: s.boxes[2].id.String(), Part: used},
		"only its owner gives":        {To: s.boxes[2].id.String(), Part: theirs},
		"is less than a block":        {To: s.boxes[2].id.String(), Part: netip.PrefixFrom(a, 32)},
		"is not in subnet":            {To: s.boxes[2].id.String(), Part: netip.MustParsePrefix("10.9.0.0/29")},
		"did you mean 10.1.0.0/29":    {To: s.boxes[2].id.String(), Part: netip.MustParsePrefix("10.1.0.1/29")},
		"is no subnet of the network": {To: s.boxes[2].id.String(), Subnet: netip.MustParsePrefix("10.9.0.0/24"), Count: 1},
	} {
		if !d.Subnet.IsValid() {
			d.Subnet = small
		}
		if g, err := p.Donate(s.now, d); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %+v, %v; want %q", d, g, err, says)
		}
	}
	if !p.pools[0].ring.Equal(before) {
		t.Error("something was given")
	}
}

// FuzzRestore feeds state files whose sums are right and whose records may be anything.
func FuzzRestore(f *testing.F) {
	p := lone(f, "10.1.0.0/24")
	one(p, Request{Subnet: p.Subnets()[0], Owner: "a"})
	f.Add(p.Snapshot().Records)
	f.Add(record{true, []byte{keySelf}, []byte{0, 0, 0, 1, 0, 0, 0, 0}}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := NewPeer(Config{Self: 1, Random: rand.Uint64}, 5, []Batch{{1, b}})
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Error(err)
			}
			return
		}
		p.Tick(6)
		p.Take()
	})
}
