package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/topology"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// States of a peer.
const (
	StateSelf        = "self"
	StateDirect      = "direct"      // frames go straight there
	StateRelayed     = "relayed"     // frames go there through other peers
	StateUnreachable = "unreachable" // no links lead there
	StateLeft        = "left"        // it said goodbye
)

// PeerStatus is what is known of one peer.
type PeerStatus struct {
	Name       drawbridge.PeerName
	ID         drawbridge.PeerID
	UID        drawbridge.PeerUID
	Roles      secure.Roles
	Software   string
	Version    uint64 // of its record
	StartedAt  time.Time
	State      string
	Since      time.Time // of State
	Membership string    // alive, suspect, dead or left as memberlist sees it; empty: it has not heard of it
	Endpoints  []netip.AddrPort
	Ports      []wire.Port
	Clone      string // where another process with this peer's key was seen; empty: none

	Control bool                  // a control link to it is up
	Via     drawbridge.PeerName   // the neighbour that frames take when relayed
	Route   []drawbridge.PeerName // every peer that frames pass on their way, this one last
	Path    string                // of the data link: udp, tcp or none
	Remote  netip.AddrPort        // of the data link
	RTT     time.Duration         // of the data link; of the way, when relayed
	Link    *transit.LinkState    // all that the data link tells; nil when there is none
	MTU     int                   // largest frame that crosses in one datagram
	Links   []drawbridge.PeerName // its neighbours, as it says
}

// change is when the state of a peer became what it is.
type change struct {
	state string
	at    time.Time
}

// stateOf is called with mu held.
func (r *Router) stateOf(rec *wire.Record) string {
	l := r.links[rec.ID]
	next, reachable := r.flow.routes.Next[rec.ID]
	switch {
	case rec.ID == r.id:
		return StateSelf
	case rec.Gone:
		return StateLeft
	case reachable && next == rec.ID && l != nil && l.state.Up:
		return StateDirect
	case reachable:
		return StateRelayed
	}
	return StateUnreachable
}

// noteStates notes when states change; called with mu held.
func (r *Router) noteStates(now time.Time) {
	records := r.topo.Records()
	known := make(map[drawbridge.PeerID]bool, len(records))
	for i := range records {
		rec := &records[i]
		known[rec.ID] = true
		state := r.stateOf(rec)
		before := r.since[rec.ID]
		if before.state == state {
			continue
		}
		r.since[rec.ID] = change{state, now}
		if state != StateSelf && (before.state != "" || state != StateUnreachable) { // a moment after hearing of a peer nothing leads there yet
			r.journal.tell("peer_"+state, rec.Name, "is "+state)
		}
	}
	for id := range r.since {
		if !known[id] {
			delete(r.since, id)
		}
	}
}

// Survey asks memberlist what it thinks of everybody, which takes it a moment: whom it suspects is said by Peers for some
// tenths of a second after that, and by nobody else.
func (r *Router) Survey() { r.members.survey() }

// Roles are those of a peer; false when it is not known. It waits for nobody: the data path asks.
func (r *Router) Roles(id drawbridge.PeerID) (secure.Roles, bool) {
	roles, known := r.topo.RolesOf(id)
	return secure.Roles(roles), known
}

// Peers tells of every known peer, this one first, then by name. It waits for nobody: a gateway that takes over asks.
func (r *Router) Peers() []PeerStatus {
	membership, live := r.members.known(), r.liveStates()
	r.mu.Lock()
	defer r.mu.Unlock()
	records := r.topo.Records()
	out := make([]PeerStatus, 0, len(records))
	for i := range records {
		s := r.status(&records[i], live)
		s.Membership = membership[s.ID]
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b PeerStatus) int {
		if (a.State == StateSelf) != (b.State == StateSelf) {
			if a.State == StateSelf {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return out
}

// status is called with mu held.
func (r *Router) status(rec *wire.Record, live map[drawbridge.PeerID]transit.LinkState) PeerStatus {
	s := PeerStatus{
		Name: rec.Name, ID: rec.ID, UID: rec.UID, Roles: secure.Roles(rec.Roles), Software: rec.Software,
		Version: rec.Version, StartedAt: time.Unix(rec.StartedAt, 0), Endpoints: rec.Endpoints, Ports: rec.Ports,
		State: r.stateOf(rec), Since: r.since[rec.ID].at, Path: transit.PathNone,
		MTU: r.flow.routes.PathMTU[rec.ID],
		RTT: time.Duration(r.flow.routes.Distance[rec.ID]) * time.Microsecond,
	}
	for _, l := range rec.Links {
		s.Links = append(s.Links, r.name(l.Peer))
	}
	if rec.ID == r.id {
		s.Clone = r.clone
	}
	for _, id := range r.flow.routes.Path[rec.ID] {
		s.Route = append(s.Route, r.name(id))
	}
	if s.State == StateRelayed {
		s.Via = r.name(r.flow.routes.Next[rec.ID])
	}
	s.Control = r.links[rec.ID] != nil
	if l, ok := live[rec.ID]; ok {
		s.Path, s.Remote, s.Link = l.Path, l.Remote, &l
		if s.State == StateDirect {
			s.RTT, s.MTU = l.RTT, l.MTU
		}
	}
	return s
}

// name is what a peer is called, its id when nobody has said; called with mu held.
func (r *Router) name(id drawbridge.PeerID) drawbridge.PeerName {
	if rec, ok := r.topo.Get(id); ok {
		return rec.Name
	}
	return drawbridge.PeerName(id.String())
}

// LinkStatus is one link of this peer.
type LinkStatus struct {
	Peer       drawbridge.PeerName
	ID         drawbridge.PeerID
	Dialled    bool   // by this peer
	Control    string // the far end's TCP address
	ControlRTT time.Duration
	Since      time.Time // of the control link
	transit.LinkState
}

// Links tells of every link, by name of the peer.
func (r *Router) Links() []LinkStatus {
	live := r.liveStates()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]LinkStatus, 0, len(r.links))
	for _, l := range r.links {
		out = append(out, LinkStatus{
			Peer: l.peer.Name, ID: l.id(), Dialled: l.dialled, Control: l.remote.String(),
			ControlRTT: time.Duration(l.rtt.Load()), Since: l.since, LinkState: live[l.id()],
		})
	}
	slices.SortFunc(out, func(a, b LinkStatus) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

// liveStates asks the data links how they do, counters included. It calls out: not for use with mu held.
func (r *Router) liveStates() map[drawbridge.PeerID]transit.LinkState {
	r.mu.Lock()
	data := make(map[drawbridge.PeerID]DataLink, len(r.links))
	for id, l := range r.links {
		if l.data != nil {
			data[id] = l.data
		}
	}
	r.mu.Unlock()
	states := make(map[drawbridge.PeerID]transit.LinkState, len(data))
	for id, d := range data {
		states[id] = d.State()
	}
	return states
}

// Routes are the present routes, for display.
func (r *Router) Routes() topology.Routes {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flow.routes
}

// Records are all records, the own one too, by id. They are not to be changed.
func (r *Router) Records() []wire.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topo.Records()
}

// gone reports whether a peer has said goodbye.
func (r *Router) gone(id drawbridge.PeerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, _ := r.topo.Get(id)
	return rec.Gone
}

// SetPorts says which ports this peer has now.
func (r *Router) SetPorts(ports []wire.Port) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.topo.SetPorts(ports) {
		r.wake()
	}
}
