package ipam

import (
	"errors"
	"net/netip"
	"testing"
)

// closing is lone's decisions with the subnet closed, and then without it.
func closing(p *Peer) (closed, gone Decided) {
	closed = p.decided.clone()
	closed.Number++
	closed.Grounds[0].Closed = true
	gone = closed.clone()
	gone.Number++
	gone.Grounds = nil
	return closed, gone
}

func TestAClosedSubnetIsGivenNoMore(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	subnet := p.Subnets()[0]
	had := one(p, Request{Subnet: subnet, Owner: "a"})
	closed, gone := closing(p)
	if err := p.Decide(3, closed); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"a", "b"} {
		if a := one(p, Request{Subnet: subnet, Owner: owner}); !errors.Is(a.Err, ErrUnable) {
			t.Errorf("%s gets %+v", owner, a)
		}
	}
	if d, n := p.InUse(subnet); d != closed.Number || n != 1 {
		t.Errorf("under %d %d in use", d, n)
	}
	if err := p.Decide(3, gone); !errors.Is(err, ErrSubnet) || len(p.Subnets()) != 1 {
		t.Errorf("a subnet in use goes: %v", err)
	}
	if err := p.Release(3, had.Addr); err != nil {
		t.Fatal(err)
	}
	if err := p.Foreign(3, netip.MustParseAddr("10.1.0.9"), "a printer", true); err != nil {
		t.Fatal(err)
	}
	if _, n := p.InUse(subnet); n != 0 {
		t.Errorf("%d in use", n)
	}
	if c := p.Counts(); c.Given != 1 || c.Refused["unable"] != 2 || c.Foreign != 1 || c.Conflict != 0 {
		t.Errorf("counted %+v", c)
	}
	if c := p.Pools(); len(c) != 1 || c[0].Able || c[0].Blocks != 16 || c[0].Allocated != 0 || c[0].Entries != 1 {
		t.Errorf("pools %+v", c)
	}
	if err := p.Decide(3, gone); err != nil || len(p.Subnets()) != 0 {
		t.Errorf("an unused subnet stays: %v", err)
	}
	again, err := NewPeer(p.config, 3, []Batch{p.Snapshot()})
	if err != nil || len(again.Subnets()) != 0 {
		t.Errorf("after a restart: %v, %v", again.Subnets(), err)
	}
}

// TestASubnetThatCameAgainIsAnother: a peer that hears of neither the end of a subnet nor its new beginning, but of what is
// decided after both, owns nothing of the new one because it owned something of the old one.
func TestASubnetThatCameAgainIsAnother(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	frames := []Batch{p.Snapshot()}
	other := Holder{2, 7}
	d := p.decided.clone()
	d.Number += 5
	d.Members = append(d.Members, Member{Holder: other})
	d.Grounds[0].Seeds = []Seed{{d.Grounds[0].Prefix, d.Number, []Holder{other}}}
	if err := p.Decide(3, d); err != nil {
		t.Fatal(err)
	}
	check := func(when string, p *Peer) {
		t.Helper()
		for i, held := range p.pools[0].space.held {
			if held || p.pools[0].ring.regs[i].Owner != other {
				t.Fatalf("%s: block %d: held %v, %+v", when, i, held, p.pools[0].ring.regs[i])
			}
		}
	}
	check("at once", p)
	again, err := NewPeer(p.config, 3, append(frames, p.Take().Batch))
	if err != nil {
		t.Fatal(err)
	}
	check("after a restart", again)
}
