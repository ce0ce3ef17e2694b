package acks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh"
)

// TestTablesMeet: whatever is lost on the way, an exchange of states brings everybody to the same, and a peer
// that begins anew is believed again.
func TestTablesMeet(t *testing.T) {
	var lost [][]byte
	a, b := New(1, func(m []byte) { lost = append(lost, m) }, func() {}), New(2, func([]byte) {}, func() {})
	a.Config(5, 5, "")
	a.Config(6, 5, "does not fit")
	b.Config(6, 6, "")
	b.Merge(1, a.State())
	a.Merge(2, b.State())
	if a.Of(1) != b.Of(1) || a.Of(2) != b.Of(2) || b.Of(1).Problem == "" || b.Newest() != 6 {
		t.Errorf("%s and %s", a.State(), b.State())
	}
	b.Receive(2, lost[0]) // says that it is from 1, and comes from 2
	b.Receive(1, lost[0]) // late
	b.Receive(1, []byte("{"))
	b.Merge(1, []byte(`[{"peer":0,"serial":9}]`))
	if b.Of(1).Known != 6 || len(b.all) != 2 {
		t.Errorf("%s", b.State())
	}
	anew := New(1, func(m []byte) { b.Receive(1, m) }, func() {})
	anew.Config(7, 7, "")
	if b.Of(1).Applied == 7 {
		t.Error("an earlier run's word should have been newer")
	}
	anew.Merge(2, b.State())
	if b.Of(1).Applied != 7 || b.Of(1) != anew.Of(1) {
		t.Errorf("a peer that began anew is not believed: %s", b.State())
	}
	for i := range maxPeers + 5 {
		b.Merge(1, []byte(fmt.Sprintf(`[{"peer":%d,"serial":1}]`, i+10)))
	}
	if len(b.all) != maxPeers {
		t.Errorf("%d peers are remembered", len(b.all))
	}
}

// TestOnlyNewsAreTold: of this peer to the others, and of the others here; and no more of a problem than fits.
func TestOnlyNewsAreTold(t *testing.T) {
	heard := 0
	b := New(2, func([]byte) {}, func() { heard++ })
	told := 0
	a := New(1, func(m []byte) {
		told++
		b.Receive(1, m)
		b.Receive(1, m)
	}, func() {})
	a.Config(1, 1, "")
	a.Engines("{}")
	a.Engines("{}")
	if told != 2 || heard != 2 || b.Of(1).Applied != 1 || b.Of(1).Engines != "{}" {
		t.Errorf("told %d times, heard %d times of %+v", told, heard, b.Of(1))
	}
	b.Merge(3, []byte(`[{"peer":3,"serial":1,"problem":"`+strings.Repeat("x", 4096)+`"}]`))
	if cut := b.Of(3).Problem; len(cut) > 520 || Short(cut) != cut {
		t.Errorf("a problem of %d bytes was kept", len(cut))
	}
}

// TestALongProblemComesBackAsItWasTold: it goes over the line as JSON, which half a character does not survive, and whoever hears itself quoted
// otherwise says it again, for ever.
func TestALongProblemComesBackAsItWasTold(t *testing.T) {
	told := 0
	a, b := New(1, func([]byte) { told++ }, func() {}), New(2, func([]byte) {}, func() {})
	for i := range 4 {
		problem := Short(strings.Repeat("x", i) + strings.Repeat("€", 200))
		a.Config(1, 0, problem)
		told = 0
		b.Merge(1, a.State())
		a.Merge(2, b.State())
		if told != 0 || b.Of(1).Problem != problem || len(problem) > 512 {
			t.Errorf("told again %d times: %d bytes, and %d came back", told, len(problem), len(b.Of(1).Problem))
		}
	}
}

func TestWhoGoesByAVersion(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	a := New(1, func([]byte) {}, func() {})
	a.merge([]Word{
		{Peer: 2, Serial: 1, Known: 8, Applied: 8, At: now.UnixMilli()},
		{Peer: 3, Serial: 1, Known: 7, Applied: 7, At: now.UnixMilli()},
		{Peer: 4, Serial: 1, Known: 8, Applied: 7, Problem: "overlay[1].mtu: no", At: now.UnixMilli()},
		{Peer: 5, Serial: 1, Known: 7, Applied: 7, At: now.UnixMilli()},
		{Peer: 6, Serial: 1, Known: 7, Applied: 7, At: now.UnixMilli()},
	})
	peers := []mesh.PeerStatus{
		{Name: "fine", ID: 2},
		{Name: "late", ID: 3},
		{Name: "refuses", ID: 4},
		{Name: "frozen", ID: 5, State: mesh.StateUnreachable, Since: now.Add(-10 * time.Second)},
		{Name: "off", ID: 6, State: mesh.StateUnreachable, Since: now.Add(-time.Hour)},
		{Name: "gone", ID: 8, State: mesh.StateLeft},
		{Name: "mute", ID: 9},
	}
	said := func(version uint64, peers []mesh.PeerStatus) (string, bool) {
		r := a.Applied(version, peers, now)
		var all []string
		for _, p := range r.Peers {
			all = append(all, fmt.Sprintf("%s %s %s", p.Peer, p.State, p.Reason))
		}
		return strings.Join(all, "; "), r.Complete
	}
	want := "refuses refused overlay[1].mtu: no; frozen silent no answer since 2026-03-04T11:59:50Z; late behind it goes by version 7; " +
		"mute behind it has not said yet which version it goes by; off away no answer since 2026-03-04T11:00:00Z; fine applied "
	if have, complete := said(8, peers); have != want || complete {
		t.Errorf("complete %v:\n%s, want\n%s", complete, have, want)
	}
	if have, complete := said(8, []mesh.PeerStatus{peers[0], peers[4]}); !complete {
		t.Errorf("a peer that is away is waited for: %s", have)
	}
	if have, complete := said(7, peers[:6]); !complete {
		t.Errorf("all have version 7: %s", have)
	}
}
