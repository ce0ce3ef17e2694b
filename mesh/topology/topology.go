// Package topology knows which peers and links there are, and the routes that follow (docs/protocol/topology.md).
// It is pure: no clock, socket or goroutine; the mesh carries records in and out, signs and verifies them, and
// keeps the calls in sequence.
package topology

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// Topology is one peer's knowledge of the network. Records that it returns are not to be changed. It is not
// safe for concurrent use, but for RolesOf.
type Topology struct {
	id        drawbridge.PeerID
	records   []wire.Record              // by id, the own one too
	forgotten map[drawbridge.PeerID]bool // only ever grows
	overrides map[drawbridge.PeerUID]int // how often another run of this peer overrode this one
	chosen    map[drawbridge.PeerID]bool // whom Choose chose; true: at random, for the long way

	recast bool // roles lags behind the records
	roles  atomic.Pointer[map[drawbridge.PeerID]uint8]

	stale   bool   // the graph may lag behind the records
	graph   graph  // what both ends of every link agree on
	changes uint64 // of the graph
	routes  *Routes

	withoutHearsay bool // tests switch restart rule 3 off, to see that they would notice
}

// New returns a topology that knows only self. Of self, UID is random and Version is usually 0.
func New(self wire.Record) *Topology {
	self = wire.Canonical(self)
	self.Version = max(self.Version, 1)
	t := &Topology{
		id:        self.ID,
		records:   []wire.Record{self},
		forgotten: map[drawbridge.PeerID]bool{},
		overrides: map[drawbridge.PeerUID]int{},
		chosen:    map[drawbridge.PeerID]bool{},
		stale:     true,
		recast:    true,
	}
	t.cast()
	return t
}

// Self is the own record. Its Signed is empty: whoever sends it signs it, once per Version.
func (t *Topology) Self() wire.Record {
	i, _ := t.find(t.id)
	return t.records[i]
}

// Get returns the newest record of a peer that was heard.
func (t *Topology) Get(id drawbridge.PeerID) (wire.Record, bool) {
	if i, ok := t.find(id); ok {
		return t.records[i], true
	}
	return wire.Record{}, false
}

func (t *Topology) find(id drawbridge.PeerID) (int, bool) {
	i := sort.Search(len(t.records), func(i int) bool { return t.records[i].ID >= id })
	return i, i < len(t.records) && t.records[i].ID == id
}

// RolesOf are the roles of a peer; false when it is not known. Any goroutine may ask, at any time, and waits for nobody: the
// data path does, for the first frame of a new tenure.
func (t *Topology) RolesOf(id drawbridge.PeerID) (roles uint8, known bool) {
	roles, known = (*t.roles.Load())[id]
	return roles, known
}

// cast shows the roles as the records have them now.
func (t *Topology) cast() {
	if !t.recast {
		return
	}
	t.recast = false
	roles := make(map[drawbridge.PeerID]uint8, len(t.records))
	for i := range t.records {
		roles[t.records[i].ID] = t.records[i].Roles
	}
	t.roles.Store(&roles)
}

// Records returns all records, the own one too, by id.
func (t *Topology) Records() []wire.Record { return slices.Clone(t.records) }

// SetLinks says which links this peer has now, and reports whether the own record changed.
func (t *Topology) SetLinks(links []wire.Link) bool {
	return t.update(func(r *wire.Record) { r.Links = steady(r.Links, t.canonical(wire.Record{Links: links}).Links) })
}

// SetPorts says which ports this peer has now, and reports whether the own record changed.
func (t *Topology) SetPorts(ports []wire.Port) bool {
	return t.update(func(r *wire.Record) { r.Ports = t.canonical(wire.Record{Ports: ports}).Ports })
}

// SetEndpoints says where this peer can be called now, and reports whether the own record changed.
func (t *Topology) SetEndpoints(endpoints []netip.AddrPort) bool {
	return t.update(func(r *wire.Record) { r.Endpoints = t.canonical(wire.Record{Endpoints: endpoints}).Endpoints })
}

// SetRoles says which roles the certificate grants now, and reports whether the own record changed.
func (t *Topology) SetRoles(roles uint8) bool {
	return t.update(func(r *wire.Record) { r.Roles = roles })
}

// Leave says goodbye: the own record loses links and ports for good. It reports whether that is news.
func (t *Topology) Leave() bool {
	return t.update(func(r *wire.Record) { r.Gone = true })
}

func (t *Topology) canonical(r wire.Record) wire.Record {
	r.ID = t.id
	return wire.Canonical(r)
}

// update lets change alter the own record, and counts its version up only when that made a difference:
// every version costs a message on every link of the network.
func (t *Topology) update(change func(r *wire.Record)) bool {
	old := t.Self()
	r := old
	change(&r)
	if r.Gone {
		r.Links, r.Ports = nil, nil
	}
	if reflect.DeepEqual(old, r) {
		return false
	}
	r.Version++
	t.put(r)
	t.cast()
	return true
}

// put stores r, and remembers that the graph may have changed when its links have, and who is what when its roles have.
// Who calls it calls cast.
func (t *Topology) put(r wire.Record) {
	i, known := t.find(r.ID)
	if !known {
		t.records = slices.Insert(t.records, i, r)
	}
	old := &t.records[i]
	t.stale = t.stale || !known || old.Gone != r.Gone || !slices.Equal(old.Links, r.Links)
	t.recast = t.recast || !known || old.Roles != r.Roles
	*old = r
}

// A link's metric is told anew only when it moved by more than a quarter and by more than metricGrain. On a
// quiet LAN round trips jitter between 100 and 300 µs, on the Internet by some 10 %; neither is news.
const metricGrain = 200 // µs

// steady is now, with the metrics of before where they have not moved far enough.
func steady(before, now []wire.Link) []wire.Link {
	for i := range now {
		j, found := findLink(before, now[i].Peer)
		if found && !moved(before[j].Metric, now[i].Metric) {
			now[i].Metric = before[j].Metric
		}
	}
	return now
}

func moved(before, now uint32) bool {
	d := max(before, now) - min(before, now)
	return d > metricGrain && d > before/4
}

func findLink(links []wire.Link, peer drawbridge.PeerID) (int, bool) {
	return slices.BinarySearchFunc(links, peer, func(l wire.Link, p drawbridge.PeerID) int { return cmp.Compare(l.Peer, p) })
}

// Forget drops what is known of a peer and refuses to hear of it again; it reports whether there was
// anything to drop. It is local: peers are removed by revocation, which reaches every peer by itself and is
// permanent, so what is forgotten only ever grows. The own record cannot be forgotten.
func (t *Topology) Forget(id drawbridge.PeerID) bool {
	if id == t.id {
		return false
	}
	i, known := t.find(id)
	if known {
		t.records = slices.Delete(t.records, i, i+1)
	}
	delete(t.chosen, id)
	t.forgotten[id] = true
	t.stale, t.recast = t.stale || known, t.recast || known
	t.cast()
	return known
}
