// Package netconfig is the network configuration: one document that says what is true of all peers together, where the
// node file says what is true of one host. It reads, checks, compares and writes documents; which of them is in force
// is decided elsewhere (docs/protocol/config.md).
package netconfig

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Format is the newest form of the document that this software understands. A document says the lowest form that
// reads it right; keys that came later hold, in it, the value that software of that form behaves by.
const Format = 1

// MaxSize bounds a document in bytes, in any form; the decisions of the voters hold no larger one.
const MaxSize = 256 << 10

// Document is one network configuration. One that Parse, Read or Default gave has every default filled in, so that
// software with other defaults reads the same decisions.
type Document struct {
	Format   int             `json:"format" toml:"format"`
	Timers   Timers          `json:"timers" toml:"timers"`
	Overlays []Overlay       `json:"overlay,omitempty" toml:"overlay,omitempty"`
	Segments []Segment       `json:"segment,omitempty" toml:"segment,omitempty"`
	Subnets  []Subnet        `json:"subnet,omitempty" toml:"subnet,omitempty"`
	Alerts   Alerts          `json:"alerts,omitzero" toml:"alerts,omitempty"`
	Users    json.RawMessage `json:"users,omitempty" toml:"-"` // an object that only the access control understands
}

// Timers are the lease's (docs/protocol/lease.md, "Timers").
type Timers struct {
	Profile string   `json:"profile" toml:"profile"`
	Renew   Duration `json:"renew" toml:"renew"`
	Term    Duration `json:"term" toml:"term"`
}

// Profiles of timers.
const (
	ProfileDefault = "default"
	ProfileFast    = "fast" // wants real-time scheduling
	ProfileWAN     = "wan"
	ProfileCustom  = "custom"
)

// profiles are the sets of docs/protocol/lease.md.
var profiles = map[string]Timers{
	ProfileDefault: {ProfileDefault, Duration(10 * time.Millisecond), Duration(40 * time.Millisecond)},
	ProfileFast:    {ProfileFast, Duration(5 * time.Millisecond), Duration(20 * time.Millisecond)},
	ProfileWAN:     {ProfileWAN, Duration(50 * time.Millisecond), Duration(250 * time.Millisecond)},
}

// Overlay is one virtual Ethernet.
type Overlay struct {
	Name string         `json:"name" toml:"name"`
	VNI  drawbridge.VNI `json:"vni" toml:"vni"`
	MTU  int            `json:"mtu" toml:"mtu"` // bytes of an IP packet; 0: what crosses the mesh whole
	// ForeignDHCP lets answers of DHCP servers and routers cross that are not this network's own.
	ForeignDHCP bool `json:"foreign_dhcp" toml:"foreign_dhcp"`
	Storm       int  `json:"storm_limit" toml:"storm_limit"` // floods that a port may begin in a second

	Engine   string `json:"engine" toml:"engine"`
	Underlay string `json:"underlay" toml:"underlay"`
}

// Engines that may carry an overlay, and what is said of the network below it.
const (
	EngineUser        = "user"
	EngineKernel      = "kernel"
	EngineAuto        = "auto" // as kernel, and nobody minds when it is not to be had
	UnderlayUntrusted = "untrusted"
	UnderlayTrusted   = "trusted"
	UnderlayWireGuard = "wireguard" // peers protect it themselves, for the kernel engine
)

// InKernel reports whether the overlay is to be carried by the kernel, where that is possible.
func (o Overlay) InKernel() bool { return o.Engine != EngineUser && o.Engine != "" }

// Protected reports whether the overlay's underlay is to be protected by the peers' own WireGuard while the kernel carries it.
func (o Overlay) Protected() bool { return o.InKernel() && o.Underlay == UnderlayWireGuard }

// Modes of a segment.
const (
	ModeAuto    = "auto"
	ModePassive = "passive"
	ModeManual  = "active-manual"
)

// What a gateway does that holds a segment and has lost the majority.
const (
	QuorumClose   = "close"
	QuorumHold    = "hold"
	QuorumSegment = "segment"
)

// Segment is a real layer-2 domain, and who bridges it.
type Segment struct {
	Name       string                `json:"name" toml:"name"`
	Overlay    string                `json:"overlay" toml:"overlay"`
	Eligible   []drawbridge.PeerName `json:"eligible,omitempty" toml:"eligible,omitempty"` // none: every gateway that has a port on it
	Preferred  drawbridge.PeerName   `json:"preferred,omitempty" toml:"preferred,omitempty"`
	Mode       string                `json:"mode" toml:"mode"`
	QuorumLoss string                `json:"quorum_loss" toml:"quorum_loss"`
	Preempt    bool                  `json:"preempt" toml:"preempt"`                 // the preferred gateway takes over from one that works
	HoldDown   Duration              `json:"hold_down" toml:"hold_down"`             // how long a gateway must have been well before it preempts
	Drill      string                `json:"drill,omitempty" toml:"drill,omitempty"` // a Timetable; none: only when somebody asks for one
}

// Subnet is what addresses of an overlay are given out from.
type Subnet struct {
	CIDR     string   `json:"cidr" toml:"cidr"`
	Overlay  string   `json:"overlay" toml:"overlay"`
	Reserved []string `json:"reserved,omitempty" toml:"reserved,omitempty"` // addresses, prefixes, or ranges a-b
	Router   string   `json:"router,omitempty" toml:"router,omitempty"`
	DNS      []string `json:"dns,omitempty" toml:"dns,omitempty"`
	Options  []Option `json:"option,omitempty" toml:"option,omitempty"`
}

// Option is one of DHCP (RFC 2132), for those who hand out addresses that way.
type Option struct {
	Code  int    `json:"code" toml:"code"`
	Value string `json:"value" toml:"value"`
}

// Alerts says who is told of what happens.
type Alerts struct {
	Webhooks []Webhook `json:"webhook,omitempty" toml:"webhook,omitempty"`
	Commands []Command `json:"command,omitempty" toml:"command,omitempty"`
	Syslog   []Syslog  `json:"syslog,omitempty" toml:"syslog,omitempty"`
}

// Least severities of what a sink is told.
const (
	SeverityInfo  = "info"
	SeverityWarn  = "warn"
	SeverityError = "error"
)

// Ways to a collector of syslog messages.
const (
	TransportUDP = "udp"
	TransportTCP = "tcp"
	TransportTLS = "tls"
)

// Webhook is called by HTTP.
type Webhook struct {
	Name        string                `json:"name" toml:"name"`
	URL         string                `json:"url" toml:"url"`
	Secret      string                `json:"secret,omitempty" toml:"secret,omitempty"` // signs what is posted; none: nothing does
	Fingerprint string                `json:"fingerprint,omitempty" toml:"fingerprint,omitempty"`
	Events      []string              `json:"events,omitempty" toml:"events,omitempty"` // kinds; none: all
	Severity    string                `json:"severity" toml:"severity"`                 // the least that is told
	Peers       []drawbridge.PeerName `json:"peers,omitempty" toml:"peers,omitempty"`   // who tells; none: every peer
}

// Command is run on every peer that has it.
type Command struct {
	Name     string                `json:"name" toml:"name"`
	Run      []string              `json:"run" toml:"run"`
	Events   []string              `json:"events,omitempty" toml:"events,omitempty"`
	Severity string                `json:"severity" toml:"severity"`
	Peers    []drawbridge.PeerName `json:"peers,omitempty" toml:"peers,omitempty"`
}

// Syslog is a collector of RFC 5424 messages.
type Syslog struct {
	Name        string                `json:"name" toml:"name"`
	Address     string                `json:"address" toml:"address"`
	Transport   string                `json:"transport" toml:"transport"`
	Fingerprint string                `json:"fingerprint,omitempty" toml:"fingerprint,omitempty"`
	Events      []string              `json:"events,omitempty" toml:"events,omitempty"`
	Severity    string                `json:"severity" toml:"severity"`
	Peers       []drawbridge.PeerName `json:"peers,omitempty" toml:"peers,omitempty"`
}

// Default is the document of a network that was told nothing.
func Default() *Document {
	return &Document{Format: Format, Timers: profiles[ProfileDefault]}
}

// Overlay finds an overlay by name.
func (d *Document) Overlay(name string) (Overlay, bool) {
	for _, o := range d.Overlays {
		if o.Name == name {
			return o, true
		}
	}
	return Overlay{}, false
}

// Segment finds a segment by name; what the document does not name goes by the defaults.
func (d *Document) Segment(name string) Segment {
	for _, s := range d.Segments {
		if s.Name == name {
			return s
		}
	}
	s := Segment{Name: name, HoldDown: defaultHoldDown}
	s.complete()
	return s
}

// Duration is a length of time that reads and writes itself as people do: 40ms, 1m30s.
type Duration time.Duration

// String writes d as time.Duration does, without units that are zero at the end.
func (d Duration) String() string {
	s := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(s) > len(zero) && s[len(s)-len(zero):] == zero {
			s = s[:len(s)-len(zero)+1]
		}
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("length of time %q: want a number and a unit, such as 40ms or 1m30s", b)
	}
	*d = Duration(v)
	return nil
}
