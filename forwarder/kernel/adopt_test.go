package kernel

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/gate"
)

// tryAdopt adopts at a node, in its namespace.
func tryAdopt(t *testing.T, d *node, o Options) (e *Engine, err error) {
	t.Helper()
	must(t, d.ns.Do(func() error {
		e, err = Adopt(o)
		return nil
	}))
	return e, err
}

// carried is how many frames a peer sends into the tunnel for one that a station on it sends. All happens on one processor, so it has happened
// when send returns.
func carried(l *lab, from Short, a, b *station) uint64 {
	l.t.Helper()
	before := l.count(from, "sent")
	a.send(a.frame(b.mac))
	return l.count(from, "sent") - before
}

// TestOnlyTheSameIsAdopted: whatever differs makes a process begin anew, and so does what nobody has renewed in time.
func TestOnlyTheSameIsAdopted(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	folder, d := pinning(t, l), l.nodes[1]
	must(t, d.e.Close())
	same := pinned(folder)
	identity, settle, nowhere := same, same, same
	identity.Identity = "lan0 of somebody else"
	settle.Settle++
	nowhere.Pins = t.TempDir()
	for name, o := range map[string]Options{"identity": identity, "settle time": settle, "folder": nowhere} {
		if e, err := tryAdopt(t, d, o); !errors.Is(err, ErrNotAdopted) {
			t.Errorf("adopted with another %s: %v", name, errors.Join(err, e.Remove()))
		}
	}
	program := dataplane
	dataplane = append([]byte{}, append(program, 0)...)
	_, err := tryAdopt(t, d, same)
	if dataplane = program; !errors.Is(err, ErrNotAdopted) {
		t.Errorf("adopted by another object: %v", err)
	}
	if _, err := tryAdopt(t, l.nodes[2], same); err != nil {
		t.Errorf("node 2 has its own: %v", err)
	}
	if d.e, err = tryAdopt(t, d, same); err != nil {
		t.Fatalf("the refused attempts changed something: %v", err)
	}
	must(t, d.e.Renew(0), d.e.Close())
	if _, err := tryAdopt(t, d, same); !errors.Is(err, ErrNotAdopted) {
		t.Errorf("adopted although its time was over: %v", err)
	}
	l.removeAll()
}

// TestNamespacesKeepToThemselves: they share one BPF file system.
func TestNamespacesKeepToThemselves(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	folder := pinning(t, l)
	one, two := l.nodes[1], l.nodes[2]
	must(t, one.e.Remove())
	one.e = newEmpty()
	if _, err := tryAdopt(t, one, pinned(folder)); !errors.Is(err, ErrNotAdopted) {
		t.Errorf("another namespace's engine: %v", err)
	}
	must(t, one.ns.Do(func() error {
		removed, err := Clean(folder)
		if len(removed) != 0 {
			t.Errorf("another namespace's engine: %v", removed)
		}
		return err
	}))
	if left := pinsOf(t, two, folder); len(left) != 1 {
		t.Errorf("the other namespace has %v", left)
	}
	must(t, two.e.Renew(-2*orphaned))
	if left := pinsOf(t, one, folder); len(left) != 1 {
		t.Errorf("of those that are gone for long there are %v", left)
	}
	l.removeAll()
}

// TestAdoptionRenewsNothing: what nobody renews ends at its time, whoever has adopted it.
func TestAdoptionRenewsNothing(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	folder, d := pinning(t, l), l.nodes[1]
	a, b := d.host, l.nodes[2].host
	meet(l, a, b)
	must(t, d.e.Renew(time.Minute), d.e.Close())
	var err error
	if d.e, err = tryAdopt(t, d, pinned(folder)); err != nil {
		t.Fatal(err)
	}
	if left, err := d.e.Lives(); err != nil || left > time.Minute {
		t.Errorf("it lives for %v, it had a minute: %v", left, err)
	}
	if n := carried(l, 1, a, b); n != 1 {
		t.Errorf("%d of 1 frame were carried", n)
	}
	must(t, d.e.Renew(0))
	if n := carried(l, 1, a, b); n != 0 {
		t.Errorf("%d frames were carried after its time", n)
	}
	l.removeAll()
}

// TestAGateIsNotAdoptedOpen: a segment port that was open when its process went goes on until its lease ends, and no adoption
// makes that later. Served anew, it has the gate that it is served with.
func TestAGateIsNotAdoptedOpen(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	folder, d := pinning(t, l), l.nodes[1]
	v, b := l.onSegment(1), l.nodes[2].host
	l.gateway(1)
	b.send(b.frame(v.mac))
	v.send(v.frame(b.mac))
	must(t, d.e.Close())
	var err error
	if d.e, err = tryAdopt(t, d, pinned(folder)); err != nil {
		t.Fatal(err)
	}
	if n := carried(l, 1, v, b); n != 1 {
		t.Errorf("%d of 1 frame were carried while the lease lasts", n)
	}
	d.gate.Shut()
	if n := carried(l, 1, v, b); n != 0 {
		t.Errorf("%d frames were carried after the lease", n)
	}
	d.gate.Open(2, gate.Now().Add(time.Hour))
	fresh, err := gate.New()
	must(t, err)
	defer fresh.Close()
	must(t, d.addPort("seg0", Port{Self: 1 + behind, Segment: theSegment, Gate: fresh.Memory()}))
	if n := carried(l, 1, v, b); n != 0 {
		t.Errorf("%d frames were carried by a port whose new gate nobody has opened", n)
	}
	l.removeAll()
}

// TestTheTableIsReadBack: who adopts knows what the earlier process knew.
func TestTheTableIsReadBack(t *testing.T) {
	l := newLab(t, 3, [2]Short{1, 2}, [2]Short{2, 3})
	l.onSegment(3)
	l.gateway(3)
	for _, d := range l.nodes {
		before, err := d.e.rows()
		must(t, err)
		table, err := d.e.Table()
		must(t, err, table.check())
		if got := table.rows(); !reflect.DeepEqual(got, before) || len(got.peers) == 0 || len(got.tree) == 0 || len(got.gateways) != 1 {
			t.Errorf("peer %d: %+v is read back as %+v", d.short, before, got)
		}
	}
}

func (l *lab) removeAll() {
	for _, d := range l.nodes {
		must(l.t, d.e.Remove())
		d.e = newEmpty()
	}
}
