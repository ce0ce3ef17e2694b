package web

import "time"

// The types of the API. Their doc tags are the descriptions in the OpenAPI document; a test demands one on
// every field. Times are RFC 3339 in UTC; lengths of time carry their unit in the field's name.

// Milliseconds is a length of time as the API writes it.
type Milliseconds float64

// MillisecondsOf converts d.
func MillisecondsOf(d time.Duration) Milliseconds {
	return Milliseconds(float64(d) / float64(time.Millisecond))
}

// Duration converts back, to the nanosecond.
func (m Milliseconds) Duration() time.Duration {
	return time.Duration(float64(m) * float64(time.Millisecond))
}

// Version is what runs.
type Version struct {
	Version string `json:"version" doc:"Version of the daemon" example:"1.2.0"`
	Go      string `json:"go" doc:"Version of Go that it was built with" example:"go1.26.0"`
	OS      string `json:"os" doc:"Operating system and architecture" example:"linux/amd64"`
	Kernel  string `json:"kernel,omitempty" doc:"Release of the running kernel"`
}

// Status is the state of this peer at a glance.
type Status struct {
	Name      string            `json:"name" doc:"Name of this peer"`
	ID        string            `json:"id" doc:"Eight hexadecimal digits of this peer's key"`
	UID       string            `json:"uid" doc:"Sixteen hexadecimal digits that tell this run of the peer from others"`
	Roles     []string          `json:"roles" doc:"What the certificate entitles to: voter, gateway, or peer for neither"`
	Network   Network           `json:"network" doc:"The network that this peer belongs to"`
	Version   string            `json:"version" doc:"Version of the daemon"`
	Started   time.Time         `json:"started" doc:"When this run began"`
	UptimeS   float64           `json:"uptime_s" doc:"Seconds since then"`
	Listen    []string          `json:"listen" doc:"Addresses at which other peers reach this one, by TCP and UDP"`
	Advertise []string          `json:"advertise" doc:"Addresses that other peers are told; empty when nobody can call this one"`
	DataPath  DataPath          `json:"data_path" doc:"How frames travel, as it was found by probing"`
	MTU       int               `json:"mtu" doc:"Largest IP packet in bytes that crosses to every peer whole; set it on guests. 0: no peer is reachable"`
	Peers     PeerCount         `json:"peers" doc:"How many other peers are known, by state"`
	MACs      int               `json:"macs" doc:"How many MAC addresses are known"`
	Drops     map[string]uint64 `json:"drops" doc:"Frames that were dropped since the start, by reason"`
	Ready     bool              `json:"ready" doc:"Whether this peer does everything that its node file asks for"`
	Problems  []Problem         `json:"problems" doc:"What is wrong just now, worst first"`
	Clone     string            `json:"clone,omitempty" doc:"Set when another host runs with this peer's identity: who and where"`
}

// Network says which network.
type Network struct {
	Name string `json:"name" doc:"Name of the network"`
	ID   string `json:"id" doc:"Its random identity, 32 hexadecimal digits"`
}

// Gates.
const (
	GateHard = "hard"
	GateSoft = "soft"
	GateNone = "none"
)

// DataPath says which of the possible ways frames take.
type DataPath struct {
	Engine string   `json:"engine" enum:"user,kernel" doc:"What forwards frames: user space or the kernel"`
	GSO    bool     `json:"gso" doc:"The kernel cuts our datagrams (UDP segmentation offload)"`
	GRO    bool     `json:"gro" doc:"The kernel joins datagrams that arrive (UDP receive offload)"`
	Vnet   bool     `json:"vnet" doc:"Ports take super-frames with virtio-net headers"`
	Gate   string   `json:"gate" enum:"hard,soft,none" doc:"Who checks the lease of a segment: the kernel for every frame (hard), this process (soft), or nobody because there is no segment port"`
	Cipher string   `json:"cipher" doc:"How frames are sealed between peers" example:"aes-128-gcm"`
	Notes  []string `json:"notes" doc:"Why something better is not in use"`

	Overlays []OverlayPath `json:"overlays" doc:"Overlays that the network configuration wants in the kernel"`
}

// Engines.
const (
	EngineUser   = "user"
	EngineKernel = "kernel"
	EngineNone   = "none"
	EngineMixed  = "mixed"
)

// OverlayPath is one overlay that the kernel is to carry.
type OverlayPath struct {
	Overlay string `json:"overlay" doc:"Name of the overlay; its number while the configuration does not name it"`
	VNI     uint32 `json:"vni" doc:"Number of the overlay"`
	Wanted  string `json:"wanted" enum:"user,kernel,auto" doc:"What the network configuration says"`
	Engine  string `json:"engine" enum:"user,kernel,mixed,none" doc:"What forwards its frames here; mixed: the kernel does what is for one station at some of the peers, user space the rest; none for a moment after the kernel has failed"`
	Reason  string `json:"reason,omitempty" doc:"Why the kernel does not, or not all" example:"b: port eth1 has a soft gate"`

	Peers []PeerEngine `json:"peers" doc:"What takes in frames for one station at each other peer that is reached"`
}

// PeerEngine is what takes in frames for one station at a peer.
type PeerEngine struct {
	Peer   string `json:"peer" doc:"Name of the peer"`
	Engine string `json:"engine" enum:"user,kernel" doc:"User space or the kernel"`
	Reason string `json:"reason,omitempty" doc:"Why the kernel does not" example:"port tap0 is a TAP device, whose frames no program sees"`
}

// PeerCount counts peers by state, this one left out.
type PeerCount struct {
	Total       int `json:"total" doc:"All other peers that are known"`
	Direct      int `json:"direct" doc:"Reached over a link of our own"`
	Relayed     int `json:"relayed" doc:"Reached through other peers"`
	Unreachable int `json:"unreachable" doc:"Not reached"`
}

// Problem is something that an operator should know and can do something about.
type Problem struct {
	Summary string `json:"summary" doc:"What is wrong"`
	Remedy  string `json:"remedy,omitempty" doc:"What to do about it"`
}

// States of a peer.
const (
	PeerSelf        = "self"
	PeerDirect      = "direct"
	PeerRelayed     = "relayed"
	PeerUnreachable = "unreachable"
	PeerLeft        = "left"
)

// Peer is one peer of the network, seen from this one.
type Peer struct {
	Name       string       `json:"name" doc:"Name of the peer"`
	ID         string       `json:"id" doc:"Eight hexadecimal digits of its key"`
	UID        string       `json:"uid,omitempty" doc:"Which run of the peer"`
	State      string       `json:"state" enum:"self,direct,relayed,unreachable,left" doc:"How frames reach it: over a link of our own, through other peers, or not; left: it said goodbye"`
	Membership string       `json:"membership,omitempty" doc:"What failure detection among all peers says: alive, suspect, dead or left"`
	Since      time.Time    `json:"since" doc:"Since when it is in this state"`
	Path       string       `json:"path,omitempty" doc:"Way of the link: udp, tcp (UDP is blocked; slower) or none"`
	Via        string       `json:"via,omitempty" doc:"Adjacent peer that frames for it go to, when relayed"`
	Remote     string       `json:"remote,omitempty" doc:"Address that it is heard from"`
	RTT        Milliseconds `json:"rtt_ms" doc:"Round trip in milliseconds, smoothed; of the whole path when relayed; 0: unknown"`
	Jitter     Milliseconds `json:"jitter_ms" doc:"How much successive round trips differ, in milliseconds, smoothed"`
	Loss       float64      `json:"loss" doc:"Share of probes of the last seconds that were lost, 0 to 1"`
	MTU        int          `json:"mtu" doc:"Largest IP packet in bytes that crosses to it whole; 0: unknown"`
	Roles      []string     `json:"roles" doc:"What its certificate entitles it to: voter, gateway, or peer for neither"`
	Segments   []string     `json:"segments" doc:"Segments that it is a gateway of"`
	Software   string       `json:"software,omitempty" doc:"Version of its daemon"`
	Version    uint64       `json:"version" doc:"Version of what it last told about itself"`
	Endpoints  []string     `json:"endpoints" doc:"Addresses at which it says it can be called"`
	Traffic
}

// Traffic counts frames and bytes since the start.
type Traffic struct {
	RxFrames uint64 `json:"rx_frames" doc:"Frames received"`
	RxBytes  uint64 `json:"rx_bytes" doc:"Bytes received"`
	TxFrames uint64 `json:"tx_frames" doc:"Frames sent"`
	TxBytes  uint64 `json:"tx_bytes" doc:"Bytes sent"`
}

// Link is a connection between this peer and an adjacent one.
type Link struct {
	Peer     string       `json:"peer" doc:"Name of the far end"`
	Up       bool         `json:"up" doc:"Whether it carries frames"`
	Path     string       `json:"path" enum:"udp,tcp,none" doc:"Way that frames take: datagrams, the control connection (UDP is blocked; slower), or none"`
	Remote   string       `json:"remote,omitempty" doc:"Address that the far end is heard from"`
	Dialled  bool         `json:"dialled" doc:"This peer made the call"`
	Since    time.Time    `json:"since" doc:"Of the last change of up or path"`
	RTT      Milliseconds `json:"rtt_ms" doc:"Round trip in milliseconds, smoothed"`
	Jitter   Milliseconds `json:"jitter_ms" doc:"How much successive round trips differ, in milliseconds, smoothed"`
	Loss     float64      `json:"loss" doc:"Share of heartbeats of the last seconds that were lost, 0 to 1"`
	MTU      int          `json:"mtu" doc:"Largest IP packet in bytes that crosses in one datagram"`
	GSO      bool         `json:"gso" doc:"The kernel cuts our datagrams"`
	GRO      bool         `json:"gro" doc:"The kernel joins datagrams that arrive"`
	KeyAgeS  float64      `json:"key_age_s" doc:"Age in seconds of the key that this end seals with"`
	Problems []Problem    `json:"problems" doc:"Why it is not better"`
	Traffic
}

// Routes are how frames leave this peer.
type Routes struct {
	Unicast   []Route `json:"unicast" doc:"The way to every other peer"`
	Broadcast []Tree  `json:"broadcast" doc:"Where floods go, by the peer that they began at"`
	Flux      bool    `json:"flux" doc:"The topology changed a moment ago: floods take every link until it has settled"`
}

// Route is the way to one peer.
type Route struct {
	Peer   string       `json:"peer" doc:"Where to"`
	Via    string       `json:"via" doc:"Adjacent peer that frames are handed to; empty: unreachable"`
	Hops   []string     `json:"hops" doc:"Every peer on the way, the destination last"`
	Metric Milliseconds `json:"metric_ms" doc:"Sum of the links' metrics, in milliseconds"`
	MTU    int          `json:"mtu" doc:"Largest IP packet in bytes that crosses the way whole"`
}

// Tree is this peer's part in the broadcast tree of one origin.
type Tree struct {
	Origin   string   `json:"origin" doc:"Peer at which the flood began"`
	Children []string `json:"children" doc:"Adjacent peers that this one passes it to"`
}

// Places where a MAC address can be.
const (
	AtPort    = "port"
	AtPeer    = "peer"
	AtSegment = "segment"
)

// MAC is where one station is.
type MAC struct {
	MAC     string    `json:"mac" doc:"Address of the station" example:"02:00:5e:10:00:01"`
	VNI     uint32    `json:"vni" doc:"Number of the overlay"`
	At      string    `json:"at" enum:"port,peer,segment" doc:"Where it is: at a guest port of this peer, at another peer, or behind a segment"`
	Port    string    `json:"port,omitempty" doc:"Port of this peer that it was seen at"`
	Peer    string    `json:"peer,omitempty" doc:"Peer that frames for it go to: where it is, or the segment's active gateway"`
	Segment string    `json:"segment,omitempty" doc:"Segment that it is behind"`
	Learned time.Time `json:"learned" doc:"When it was first seen there"`
	Seen    time.Time `json:"seen" doc:"When it was last seen there"`
}

// MACFilter selects entries that match everything in it that is not zero. The zero filter selects all.
type MACFilter struct {
	MAC     string `json:"mac,omitempty" query:"mac" doc:"Only this address"`
	VNI     uint32 `json:"vni,omitempty" query:"vni" maximum:"16777215" doc:"Only this overlay"`
	Port    string `json:"port,omitempty" query:"port" doc:"Only what was seen at this port"`
	Peer    string `json:"peer,omitempty" query:"peer" doc:"Only what goes to this peer"`
	Segment string `json:"segment,omitempty" query:"segment" doc:"Only what is behind this segment"`
}

// ClearRequest asks for a port to be taken back into service that ALONE blocked.
type ClearRequest struct {
	By string `json:"by,omitempty" maxLength:"128" doc:"Who asks, for the record"`
}

// Flush asks for entries of the MAC tables to be forgotten.
type Flush struct {
	MACFilter
	Everywhere bool `json:"everywhere,omitempty" doc:"On all peers, not on this one alone"`
}

// Flushed says what a Flush did.
type Flushed struct {
	Flushed int `json:"flushed" doc:"Entries that were forgotten on this peer"`
}

// Kinds of ports, and what their gates can be.
const (
	PortSegment = "segment"
	PortGuest   = "guest"

	GateOpen = "open"
	GateShut = "shut"
)

// Port is one attachment of this peer.
type Port struct {
	Name      string            `json:"name" doc:"Name of the port: interface, with .VLAN when tagged"`
	Kind      string            `json:"kind" enum:"segment,guest" doc:"A gateway's port on a segment, or one for local guests"`
	Interface string            `json:"interface" doc:"Network interface behind it"`
	VLAN      uint16            `json:"vlan,omitempty" doc:"802.1Q tag; 0: untagged"`
	VNI       uint32            `json:"vni" doc:"Number of the overlay that it is on"`
	Segment   string            `json:"segment,omitempty" doc:"Name of the segment, on a segment port"`
	Bridge    string            `json:"bridge,omitempty" doc:"Kernel bridge that the TAP is a port of"`
	Mode      string            `json:"mode,omitempty" doc:"auto, passive or active-manual, on a segment port"`
	Up        bool              `json:"up" doc:"Whether the interface is there and has carrier"`
	Gate      string            `json:"gate" enum:"open,shut,none" doc:"Whether frames may cross; none: a guest port has no gate"`
	GateKind  string            `json:"gate_kind" enum:"hard,soft,none" doc:"Who checks it: the kernel, this process, nobody"`
	Epoch     string            `json:"epoch,omitempty" doc:"Tenure under which the gate is open: generation.ballot"`
	Blocked   string            `json:"blocked,omitempty" doc:"Why ALONE blocks the port until it is cleared; missing when it does not" example:"guest_on_segment"`
	Since     time.Time         `json:"since" doc:"Of the last change of up or gate"`
	MTU       int               `json:"mtu" doc:"MTU of the interface in bytes"`
	Vnet      bool              `json:"vnet" doc:"Takes super-frames with virtio-net headers"`
	MACs      int               `json:"macs" doc:"Addresses that were seen at it"`
	Drops     map[string]uint64 `json:"drops" doc:"Frames that were dropped at it since the start, by reason"`
	Problems  []Problem         `json:"problems" doc:"Why it does not work, or not as well as it could"`
	Traffic
}

// Segment is one segment and who bridges it, the same on every peer.
type Segment struct {
	Name     string    `json:"name" doc:"Name of the segment"`
	Overlay  string    `json:"overlay" doc:"Overlay that it is bridged to: its name, or its number while it has none"`
	VNI      uint32    `json:"vni" doc:"Number of that overlay"`
	Active   *string   `json:"active" nullable:"true" doc:"The gateway whose gate is open; null: nobody"`
	Since    time.Time `json:"since" doc:"Since when"`
	Cause    string    `json:"cause" doc:"Why the last change happened"`
	Epoch    string    `json:"epoch" doc:"Number of the tenure, generation.ballot; only grows"`
	Gateways []Gateway `json:"gateways" doc:"All gateways of the segment"`
	// What becomes of it without a majority.
	QuorumLoss string     `json:"quorum_loss,omitempty" enum:"close,hold,segment" doc:"What the active gateway does without a majority of the voters"`
	Drill      string     `json:"drill,omitempty" doc:"When a drill is made by itself, in UTC; absent: never" example:"Sun 03:00"`
	NextDrill  *time.Time `json:"next_drill,omitempty" doc:"When the next one is"`
	Unsafe     string     `json:"unsafe,omitempty" doc:"Why two gateways might be active at once, by the network's own choice; absent: they cannot"`
}

// Gateway is the part of one peer in a segment.
type Gateway struct {
	Peer    string   `json:"peer" doc:"Name of the peer"`
	Gate    string   `json:"gate" enum:"open,shut" doc:"Whether its gate is open"`
	Ready   bool     `json:"ready" doc:"Whether it could take over now"`
	Reasons []string `json:"reasons" doc:"Why it could not, or why its gate is shut"`
	Mode    string   `json:"mode,omitempty" doc:"auto, passive or active-manual"`
}

// Event is something that happened on this peer or that it heard of.
type Event struct {
	ID      uint64    `json:"id" doc:"Grows from event to event, also across restarts"`
	Time    time.Time `json:"time" doc:"When"`
	Level   string    `json:"level" enum:"info,warn,error" doc:"How much it matters"`
	Kind    string    `json:"kind" doc:"What happened, in stable snake_case" example:"peer_up"`
	Text    string    `json:"text" doc:"What happened, for people"`
	Peer    string    `json:"peer,omitempty" doc:"Peer that it is about"`
	Port    string    `json:"port,omitempty" doc:"Port that it is about"`
	Segment string    `json:"segment,omitempty" doc:"Segment that it is about"`
	Epoch   string    `json:"epoch,omitempty" doc:"Tenure that it is about, generation.ballot"`
	Alert   string    `json:"alert,omitempty" doc:"ID of the alert that it began or ended" example:"no_active_gateway.office"`
	Reason  string    `json:"reason,omitempty" doc:"Why it happened, or what to do about it"`
}

// Levels of events.
const (
	LevelInfo  = "info"
	LevelWarn  = "warn"
	LevelError = "error"
)

// TokenRequest asks for an invitation to the network.
type TokenRequest struct {
	Roles []string `json:"roles,omitempty" doc:"What the peer that joins may be: voter, gateway; peer or none: neither"`
	TTLS  int64    `json:"ttl_s,omitempty" minimum:"0" doc:"Seconds until it expires; 0: one hour"`
	Uses  int      `json:"uses,omitempty" minimum:"0" doc:"How many peers may join by it; 0: one"`
	By    string   `json:"by,omitempty" doc:"Who asks, for the list"`
}

// NewToken is an invitation, shown this once.
type NewToken struct {
	Token string `json:"token" doc:"The text to give to drawbridge join; a secret"`
	Info  Token  `json:"info" doc:"What the list of tokens will show"`
}

// Token is an invitation without its secret.
type Token struct {
	ID        string    `json:"id" doc:"Ten hexadecimal digits; not a secret"`
	Roles     []string  `json:"roles" doc:"What a peer that joins by it may be"`
	Created   time.Time `json:"created" doc:"When it was made"`
	CreatedBy string    `json:"created_by,omitempty" doc:"Who asked for it"`
	Expires   time.Time `json:"expires" doc:"When it ends"`
	Uses      int       `json:"uses" doc:"How many peers it was made for"`
	Left      int       `json:"left" doc:"How many may still join by it"`
	State     string    `json:"state" enum:"valid,expired,used,revoked" doc:"Whether a peer can join by it now"`
}

// Where a capture listens.
const (
	BeforeGate = "before-gate" // everything that the interface sees
	AfterGate  = "after-gate"  // what the gate let through
)

// CaptureRequest says what to capture.
type CaptureRequest struct {
	Port    string `query:"port" doc:"Name of the port; left out: segment"`
	Segment string `query:"segment" doc:"Name of a segment: what all its gateways see there, merged by time, with the moves of their gates beside the frames. Asked for at one of them"`
	Filter  string `query:"filter" doc:"Which frames, as a pcap filter expression" example:"arp or icmp"`
	Where   string `query:"where" enum:"before-gate,after-gate" default:"after-gate" doc:"Whether frames that the gate stops are captured too"`
}

// Readiness says whether the peer does everything that its node file asks for.
type Readiness struct {
	Ready   bool     `json:"ready" doc:"Whether it does"`
	Reasons []string `json:"reasons" doc:"What is missing, when it does not"`
}
