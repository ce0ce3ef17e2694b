package doctor

import "time"

// Facts are what Gather found on the host. Errors are texts: facts go into reports and bundles as JSON.
type Facts struct {
	Taken      time.Time   `json:"taken"`
	Version    string      `json:"version"`
	Root       bool        `json:"root"`
	NodeFile   NodeFile    `json:"node_file"`
	Ports      []Port      `json:"ports"`
	Interfaces []Interface `json:"interfaces"`
	Uplinks    []Uplink    `json:"uplinks"`
	Wires      []Wire      `json:"wires"`
	Clock      Clock       `json:"clock"`
	Kernel     Kernel      `json:"kernel"`
	Buffers    Buffers     `json:"buffers"`
	Listen     []Listen    `json:"listen"`
	Firewall   Firewall    `json:"firewall"`
	Disk       Disk        `json:"disk"`
	Daemon     Daemon      `json:"daemon"`
	Leftovers  []Leftover  `json:"leftovers"`
}

// NodeFile is how the node file reads.
type NodeFile struct {
	Path    string `json:"path"`
	Missing bool   `json:"missing"`
	Error   string `json:"error,omitempty"` // what is wrong with it, a line for each problem
}

// Port is a port of the node file.
type Port struct {
	Name      string `json:"name"`
	Segment   string `json:"segment,omitempty"` // empty: a guest port
	Interface string `json:"interface"`
	TAP       bool   `json:"tap"` // made by the daemon
	VLAN      uint16 `json:"vlan,omitempty"`
	Bridge    string `json:"bridge,omitempty"`
}

// Interface is one of the host.
type Interface struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	MAC      string   `json:"mac,omitempty"`
	MTU      int      `json:"mtu"`
	Up       bool     `json:"up"`
	Carrier  bool     `json:"carrier"`
	Master   string   `json:"master,omitempty"` // the bridge or bond that it is a member of
	Parent   string   `json:"parent,omitempty"` // what a VLAN device stands on
	VLAN     uint16   `json:"vlan,omitempty"`
	Features []string `json:"features,omitempty"` // offloads that are on, as ethtool -k calls them
	Managers []string `json:"managers,omitempty"` // NetworkManager, systemd-networkd
}

// Uplink is the way to another peer.
type Uplink struct {
	To        string `json:"to"`
	Interface string `json:"interface,omitempty"`
	MTU       int    `json:"mtu,omitempty"` // of the interface or the route, whichever is less
	IPv6      bool   `json:"ipv6,omitempty"`
	TCP       string `json:"tcp,omitempty"` // why nobody answered there; empty: somebody did
	Asked     bool   `json:"asked"`         // TCP was tried
	Error     string `json:"error,omitempty"`
}

// Wire is what was heard on a segment port.
type Wire struct {
	Interface string        `json:"interface"`
	Listened  time.Duration `json:"listened_ns"` // 0: not at all
	BPDUs     int           `json:"bpdus"`
	Last      *BPDU         `json:"last,omitempty"`
	Twins     int           `json:"twins"` // frames that came in under the interface's own MAC address
	Error     string        `json:"error,omitempty"`
}

// Clock is how the host's clocks stand.
type Clock struct {
	Now            time.Time     `json:"now"`
	Unsynchronised bool          `json:"unsynchronised"` // the kernel was not told by NTP, PTP or the like
	MaxError       time.Duration `json:"max_error_ns"`
	Tick           int64         `json:"tick"` // microseconds between ticks, 10,000 by default (adjtimex(2))
	Source         string        `json:"source"`
	Drift          float64       `json:"drift_ppm"`       // CLOCK_BOOTTIME against CLOCK_MONOTONIC_RAW
	DriftError     float64       `json:"drift_error"`     // how far Drift may be off, by how it was measured
	Behind         bool          `json:"behind"`          // CLOCK_BOOTTIME is behind CLOCK_MONOTONIC, which cannot be
	Resolution     time.Duration `json:"resolution_ns"`   // of CLOCK_BOOTTIME
	Newest         time.Time     `json:"newest"`          // of the state directory's files
	Error          string        `json:"error,omitempty"` // why it was not read
}

// Kernel is what the kernel lets us do; texts say why not, and are empty where it does.
type Kernel struct {
	Release   string `json:"release"`
	Gate      string `json:"gate,omitempty"`
	Packet    string `json:"packet,omitempty"` // AF_PACKET at all
	Vnet      string `json:"vnet,omitempty"`
	GSO       string `json:"gso,omitempty"`
	GRO       string `json:"gro,omitempty"`
	TUN       string `json:"tun,omitempty"`
	Realtime  string `json:"realtime,omitempty"`
	Slack     string `json:"slack,omitempty"`
	RTRuntime int64  `json:"rt_runtime_us"` // what real-time threads may take of each second; -1: all
}

// Buffers are the limits of socket buffers in bytes.
type Buffers struct {
	Want       int  `json:"want"`
	ReceiveMax int  `json:"rmem_max"`
	SendMax    int  `json:"wmem_max"`
	Force      bool `json:"force"` // the caller may go beyond them, as the daemon may
}

// Listen is an address of the node file's listen.
type Listen struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	TCP     string `json:"tcp,omitempty"` // why it could not be had
	UDP     string `json:"udp,omitempty"`
}

// Firewall is what the host's packet filter does with what comes in.
type Firewall struct {
	Tool   string  `json:"tool,omitempty"` // who was asked; empty: none is there
	Error  string  `json:"error,omitempty"`
	Chains []Chain `json:"chains,omitempty"`
}

// Chain is a base chain on the input hook.
type Chain struct {
	Name  string      `json:"name"`
	Drops bool        `json:"drops"` // what no rule lets in
	Open  []PortRange `json:"open,omitempty"`
	// Opaque: a rule lets in by something that we do not read, such as a named set or any port.
	Opaque bool `json:"opaque,omitempty"`
}

// PortRange is a range of UDP ports that a rule lets in.
type PortRange struct {
	From uint16 `json:"from"`
	To   uint16 `json:"to"`
}

// Disk is the state directory.
type Disk struct {
	Path    string          `json:"path"`
	Missing bool            `json:"missing"`
	Error   string          `json:"error,omitempty"`
	Free    uint64          `json:"free"`
	Total   uint64          `json:"total"`
	Voter   bool            `json:"voter"` // it holds a vote's log
	Syncs   []time.Duration `json:"syncs_ns"`
}

// Daemon is what the running peer says.
type Daemon struct {
	Socket   string    `json:"socket"`
	Running  bool      `json:"running"`
	Error    string    `json:"error,omitempty"`
	Name     string    `json:"name,omitempty"`
	Version  string    `json:"version,omitempty"`
	Gate     string    `json:"gate,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
	Links    []Link    `json:"links,omitempty"`
}

// Problem is a complaint of the daemon's.
type Problem struct {
	Summary string `json:"summary"`
	Remedy  string `json:"remedy,omitempty"`
}

// Link is one of the daemon's.
type Link struct {
	Peer    string `json:"peer"`
	Path    string `json:"path"`
	Dialled bool   `json:"dialled"`
}

// Leftover is something of ours that outlived a run.
type Leftover struct {
	Kind string `json:"kind"` // Pinned, Socket, Filter or Engine
	Path string `json:"path"`
	Why  string `json:"why"` // how it is known that nobody uses it
}
