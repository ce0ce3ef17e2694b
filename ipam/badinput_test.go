package ipam

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInput has one case for each thing that people, files and peers must not get through. All are refused with a reason,
// and change nothing.
func TestBadInput(t *testing.T) {
	p := lone(t, "10.1.0.0/24")
	liar := Holder{2, 7}
	d := p.decided.clone()
	d.Number++
	d.Members = append(d.Members, Member{Holder: liar, Name: "liar"})
	if err := p.Decide(2, d); err != nil {
		t.Fatal(err)
	}
	used := one(p, Request{Subnet: p.Subnets()[0], Owner: "a"})
	next := func(change func(*Decided)) error {
		d := p.decided.clone()
		d.Number++
		change(&d)
		return p.Decide(2, d)
	}
	other := netip.MustParseAddr("10.1.0.77")
	reg := p.pools[0].ring.regs[3]
	for name, c := range map[string]struct {
		do   func() error
		want error
		says string
	}{
		"overlapping subnets": {func() error {
			return next(func(d *Decided) { d.Grounds = append(d.Grounds, Ground{Subnet: subnet(t, "10.1.0.128/25")}) })
		}, ErrSubnet, "10.1.0.0/24"},
		"a used subnet shrinks": {func() error {
			return next(func(d *Decided) {
				d.Grounds[0].Prefix = netip.MustParsePrefix("10.1.0.0/25")
				d.Grounds[0].Seeds[0].Part = d.Grounds[0].Prefix
			})
		}, ErrSubnet, "10.1.0.0/24"},
		"a used subnet goes": {func() error { return next(func(d *Decided) { d.Grounds = nil }) }, ErrSubnet, "has allocations"},
		"a subnet with the underlay in it": {func() error {
			return CheckSubnets([]Subnet{subnet(t, "192.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("192.0.2.13/32")})
		}, ErrSubnet, "192.0.2.13"},
		"host bits": {func() error { return CheckPrefix(netip.MustParsePrefix("10.1.0.7/24")) }, ErrSubnet, "did you mean 10.1.0.0/24"},
		"a claim outside any subnet": {func() error {
			return one(p, Request{Owner: "b", Addr: netip.MustParseAddr("10.2.0.9")}).Err
		}, ErrOutside, "10.2.0.9"},
		"an address twice at import": {func() error {
			return planned(p, Row{Addr: other, Owner: "b", Line: 2}, Row{Addr: other, Owner: "c", Line: 3})
		}, ErrTaken, "line 3: 10.1.0.77 is on line 2 already"},
		"an address of another at import": {func() error {
			return planned(p, Row{Addr: other, Owner: "b"}, Row{Addr: used.Addr, Owner: "c"})
		}, ErrTaken, `"a"`},
		"gossip about the space of another": {func() error {
			m := Message{
				Kind: State, From: liar, To: p.me, Decision: p.decided.Number, Subnet: p.pools[0].ring.Shape,
				Runs: []Run{{3, 1, true, Register{reg.Gen + 1, liar, p.me}}},
			}
			return p.Receive(2, liar.Peer, m.Append(nil))
		}, ErrForged, "only its owner gives it away"},
		"gossip in the name of another": {func() error {
			m := Message{Kind: Digest, From: p.me, To: p.me, Decision: p.decided.Number, Subnet: p.pools[0].ring.Shape}
			return p.Receive(2, liar.Peer, m.Append(nil))
		}, ErrForged, ""},
		"a state file that is cut in the middle": {func() error { return opened(t, func(b []byte) []byte { return append(b[:40:40], b[50:]...) }) }, ErrState, ""},
		"a state file of another version": {func() error {
			return opened(t, func(b []byte) []byte { return bytes.Replace(b, []byte("ipam 1"), []byte("ipam 0"), 1) })
		}, ErrState, ""},
	} {
		p.Persisted(2, p.Take().Batch.Stamp)
		before := p.Snapshot()
		p.Persisted(2, before.Stamp)
		err := c.do()
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, c.want, c.says)
		}
		if after := p.Snapshot(); !bytes.Equal(before.Records, after.Records) {
			t.Errorf("%s: something was changed", name)
		}
	}
}

// opened is what comes of opening a state file that was spoilt.
func opened(t *testing.T, spoil func([]byte) []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	s, _, err := OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.Write(Batch{uint64(i + 1), []byte("records of some length")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, spoil(b), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _, err = OpenStore(path)
	if err == nil {
		_ = s.Close()
	}
	return err
}
