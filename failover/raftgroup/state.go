// Package raftgroup keeps the decisions of a network: which segments and gateways there are, who may bridge what, who
// is in maintenance, the generation, the timers, and the versions of the network configuration. A few voters agree on
// them by Raft; everybody else reads. Decisions are not liveness: who is alive is the lease's business.
package raftgroup

import (
	"maps"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// State is everything that was decided. It is a value: readers get a copy that nobody changes.
type State struct {
	Index       uint64                             `json:"index"`      // of the newest entry in it
	Generation  uint32                             `json:"generation"` // upper half of every epoch
	Segments    map[string]Segment                 `json:"segments"`
	Gateways    map[drawbridge.PeerName]Gateway    `json:"gateways"`
	Timers      Timers                             `json:"timers"`
	Sets        Sets                               `json:"sets"`
	Policy      QuorumPolicy                       `json:"quorum_loss"`
	Versions    []Version                          `json:"versions"`     // of the network configuration, oldest first
	LastVersion uint64                             `json:"last_version"` // the highest number ever given, also before a restore
	Facts       map[string]Fact                    `json:"facts"`
	Revoked     map[drawbridge.PeerID]RevokedEntry `json:"removed"`
	IPAM        IPAM                               `json:"ipam,omitzero"`
	Engines     Engines                            `json:"engines,omitzero"`
	Seen        []string                           `json:"seen"` // ids of the latest commands, oldest first
}

// Segment is a real layer-2 domain that gateways bridge.
type Segment struct {
	VNI       drawbridge.VNI        `json:"vni"`
	Eligible  []drawbridge.PeerName `json:"eligible,omitempty"`  // who may bridge it, sorted; empty: every gateway
	Preferred drawbridge.PeerName   `json:"preferred,omitempty"` // "": chosen by rendezvous hash
	Hold      bool                  `json:"hold,omitempty"`      // no automatic change of the active gateway
}

// Gateway is what was decided about one gateway.
type Gateway struct {
	Maintenance bool      `json:"maintenance"`
	Since       time.Time `json:"since,omitzero"`
	By          string    `json:"by,omitempty"`
	Priority    int       `json:"priority"`
}

// Timers is the choice of lease timers (docs/protocol/lease.md, "Timers").
type Timers struct {
	Renew  time.Duration `json:"renew"`
	Length time.Duration `json:"length"`
	// Longest is the longest length ever in force that may still be promised somewhere. It goes down only by
	// RetireTimers, after every voter has outlived it. What a voter that restarts waits for is Group.Longest.
	Longest time.Duration `json:"longest"`
	Since   uint64        `json:"since"` // index of the decision; 0: the defaults
}

// DefaultTimers are R 10 ms and T 40 ms.
var DefaultTimers = Timers{Renew: 10 * time.Millisecond, Length: 40 * time.Millisecond, Longest: 40 * time.Millisecond}

// QuorumPolicy says what a holder does without a majority.
type QuorumPolicy string

// The policies of docs/protocol/lease.md.
const (
	CloseGates QuorumPolicy = "close"   // the gate shuts when the lease ends; the default and the only safe one
	HoldGates  QuorumPolicy = "hold"    // the last holder goes on while ALONE hears the other gateway passive
	BySegment  QuorumPolicy = "segment" // ALONE alone elects; shown as unsafe
)

// Limits of the state. All of it goes over the line at once when a voter is new, and stays below 8 MiB.
const (
	keepVersions = 1000      // of the network configuration
	keepHistory  = 1 << 20   // bytes of them, though the newest is always kept
	maxDocument  = 256 << 10 // bytes of one
	maxSegments  = 4096      // one for each VLAN
	maxGateways  = 1024
	maxEligible  = 64   // gateways of one segment
	maxFacts     = 1024 // ports with something to tell
	maxRevoked   = 7000 // as many as there may be revocations in a network (docs/protocol/join.md)
)

// MaxText is the most bytes that any name, key or remark has.
const MaxText = 256

// maxLease bounds the length of a lease: whoever waits for a dead holder longer than that sees an outage anyway.
const maxLease = 10 * time.Second

// Fact is something that ALONE found out about ports.
type Fact struct {
	Kind  string    `json:"kind"`
	Value string    `json:"value"`
	Since time.Time `json:"since"`
}

// RevokedEntry records that a peer was removed.
type RevokedEntry struct {
	Name drawbridge.PeerName `json:"name"` // another peer may have it by now
	At   time.Time           `json:"at"`
	By   string              `json:"by"`
}

// newState is the state before the first decision.
func newState() State {
	return State{
		Generation: 1, Timers: DefaultTimers, Policy: CloseGates,
		Segments: map[string]Segment{}, Gateways: map[drawbridge.PeerName]Gateway{}, Facts: map[string]Fact{},
		Revoked: map[drawbridge.PeerID]RevokedEntry{},
	}
}

func (s State) clone() State {
	s.Segments, s.Gateways, s.Facts, s.Revoked = copyOf(s.Segments), copyOf(s.Gateways), copyOf(s.Facts), copyOf(s.Revoked)
	s.Sets = s.Sets.clone()
	s.Versions, s.Seen = slices.Clip(s.Versions), slices.Clone(s.Seen) // a version is never changed in place
	return s
}

// copyOf never gives nil: a stored state may have null for an empty map.
func copyOf[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m)+1)
	maps.Copy(c, m)
	return c
}
