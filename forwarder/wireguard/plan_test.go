package wireguard

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

func peerOf(id int, endpoint string) Peer {
	return Peer{ID: drawbridge.PeerID(id), Name: drawbridge.PeerName(fmt.Sprint("p", id)), Key: Key{byte(id), 1}, Endpoint: netip.MustParseAddr(endpoint)}
}

func TestInnerAddresses(t *testing.T) {
	a := Inner(0x01020304)
	if a != netip.MustParseAddr("fe80::102:304") || !a.IsLinkLocalUnicast() {
		t.Errorf("%s", a)
	}
}

func TestSizes(t *testing.T) {
	if p, _ := Make(1, Key{9}, []Peer{peerOf(2, "192.0.2.2")}); p.MTU != 1440 {
		t.Errorf("IPv4: MTU %d", p.MTU)
	}
	mixed := []Peer{peerOf(2, "192.0.2.2"), peerOf(3, "2001:db8::3"), peerOf(4, "192.0.2.4")}
	mixed[2].Datagram = 8972
	if p, _ := Make(1, Key{9}, mixed); p.MTU != 1420 {
		t.Errorf("mixed: MTU %d", p.MTU)
	}
	mixed[0].Datagram = 548
	if p, _ := Make(1, Key{9}, mixed); p.MTU != 1280 {
		t.Errorf("a narrow way: MTU %d, which is too little for IPv6", p.MTU)
	}
	if p, _ := Make(1, Key{9}, nil); p.MTU != 1280 {
		t.Errorf("nobody: MTU %d", p.MTU)
	}
}

// TestWhoCollidesIsLeftOut: a device gives an address to whoever came last, so nobody gets it.
func TestWhoCollidesIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		twist func(p []Peer)
		left  []drawbridge.PeerID
	}{
		"none":          {func([]Peer) {}, []drawbridge.PeerID{2, 3, 4}},
		"same key":      {func(p []Peer) { p[2].Key = p[0].Key }, []drawbridge.PeerID{3}},
		"same id":       {func(p []Peer) { p[2].ID = p[0].ID }, []drawbridge.PeerID{3}},
		"our key":       {func(p []Peer) { p[1].Key = Key{9} }, []drawbridge.PeerID{2, 4}},
		"our id":        {func(p []Peer) { p[1].ID = 1 }, []drawbridge.PeerID{2, 4}},
		"no key":        {func(p []Peer) { p[1].Key = Key{} }, []drawbridge.PeerID{2, 4}},
		"an id of zero": {func(p []Peer) { p[1].ID = 0 }, []drawbridge.PeerID{2, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			peers := []Peer{peerOf(4, "192.0.2.4"), peerOf(3, "192.0.2.3"), peerOf(2, "192.0.2.2")}
			c.twist(peers)
			p, why := Make(1, Key{9}, peers)
			var left []drawbridge.PeerID
			for _, o := range p.Peers {
				left = append(left, o.ID)
			}
			if !reflect.DeepEqual(left, c.left) || strings.Contains(why, "shares") != (len(c.left) < 3) {
				t.Errorf("%v because of %q, want %v", left, why, c.left)
			}
		})
	}
}

// table is a device as WireGuard keeps it: one owner for each address, and whoever is told last has it.
type table map[Key]Peer

func (d table) apply(t *testing.T, steps []step) {
	for _, s := range steps {
		if s.remove {
			delete(d, s.peer.Key)
			continue
		}
		for k, o := range d {
			if o.ID == s.peer.ID && k != s.peer.Key {
				t.Fatalf("address of %d moves from a key that is still there", o.ID)
			}
		}
		d[s.peer.Key] = s.peer
	}
}

// TestStepsLeadToThePlan from any plan to any other, and every address has one key on the way.
func TestStepsLeadToThePlan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d, last := table{}, Plan{}
	for range 500 {
		var peers []Peer
		for id := 2; id < 8; id++ {
			if r.IntN(3) == 0 {
				continue
			}
			p := peerOf(id, fmt.Sprintf("192.0.2.%d", 10*id+r.IntN(2)))
			p.Key[1] = byte(r.IntN(2))
			peers = append(peers, p)
		}
		next, _ := Make(1, Key{9}, peers)
		steps := last.steps(next)
		d.apply(t, steps)
		if len(d) != len(next.Peers) {
			t.Fatalf("%d peers in the device, %d in the plan", len(d), len(next.Peers))
		}
		for _, p := range next.Peers {
			if d[p.Key] != p {
				t.Fatalf("%+v in the device, %+v in the plan", d[p.Key], p)
			}
		}
		if again := next.steps(next); len(again) > 0 {
			t.Fatalf("steps from a plan to itself: %v", again)
		}
		last = next
	}
}

func TestUnheardPeersAreNamed(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	p, _ := Make(1, Key{9}, []Peer{peerOf(2, "192.0.2.2"), peerOf(3, "192.0.2.3")})
	for name, c := range map[string]struct {
		last map[drawbridge.PeerID]time.Time
		want string
	}{
		"all":    {map[drawbridge.PeerID]time.Time{2: now, 3: now.Add(-shaken)}, ""},
		"never":  {map[drawbridge.PeerID]time.Time{2: now, 3: {}}, "with p3"},
		"absent": {map[drawbridge.PeerID]time.Time{3: now}, "with p2"},
		"long":   {map[drawbridge.PeerID]time.Time{2: now, 3: now.Add(-shaken - 1)}, "with p3"},
	} {
		if got := p.Unheard(c.last, now); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := (Plan{}).Unheard(nil, now); got != "" {
		t.Errorf("nobody: %q", got)
	}
}
