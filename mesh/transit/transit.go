// Package transit is the data plane of one peer: it cuts frames into sealed datagrams, sends them to
// adjacent peers, opens what arrives, and passes on what is meant for others (docs/protocol/data.md). It
// knows links and routes, and neither ports nor topology: mesh gives it both.
package transit

import (
	"net/netip"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Receiver takes what arrives for this peer. Both methods are called from one goroutine. The frame of p is
// valid, and may be overwritten, until Flush returns; Flush ends a batch.
type Receiver interface {
	Deliver(h *drawbridge.Header, p *drawbridge.Packet)
	Flush()
}

// Routes say where frames go next. They are replaced whole and never changed.
type Routes struct {
	Next     map[drawbridge.PeerID]drawbridge.PeerID   // destination to adjacent peer
	Children map[drawbridge.PeerID][]drawbridge.PeerID // origin of a flood to the adjacent peers it is passed to; the own id is an origin too
	PathMTU  map[drawbridge.PeerID]int                 // largest frame, Ethernet header included, that crosses to the destination in one datagram

	// Flux says that the topology changed a moment ago: floods are sent to all neighbours with a mark that
	// sticks, and the duplicate window takes care of the surplus.
	Flux bool
}

// LinkConfig is what a link needs from the control link that stands beside it.
type LinkConfig struct {
	Peer drawbridge.PeerID
	Name drawbridge.PeerName

	Exporter []byte // 32 bytes exported from the TLS session of the control link, the same at both ends
	Dialler  bool   // this end called; tells the two directions' keys apart

	// Control sends msg to the far end's HandleControl over the control link: reliable, in order, never
	// blocking. It fails when its queue is full or the link is gone. msg is copied before it returns.
	Control func(msg []byte) error

	Endpoints []netip.AddrPort // where the far end may be reached by UDP; empty when it is behind NAT
	Changed   func(LinkState)  // the state, metric or MTU moved; called without locks held, must not block
}

// Ways that frames take over a link.
const (
	PathNone = "none" // neither works
	PathUDP  = "udp"
	PathTCP  = "tcp" // UDP is blocked: frames ride the control link, slower
)

// LinkState is how a link does. Counters count from the beginning of the link.
type LinkState struct {
	Up     bool
	Path   string
	Remote netip.AddrPort // the far end's address as heard, 0 until then
	RTT    time.Duration  // smoothed
	MinRTT time.Duration  // smallest of the last ten to twenty seconds: the path's own, without what load adds
	Jitter time.Duration  // smoothed difference of successive round trips
	Loss   float64        // share of heartbeats of the last seconds that stayed unanswered
	MTU    int            // largest frame, Ethernet header included, that fits one datagram
	GSO    bool           // the kernel cuts our datagrams
	GRO    bool           // the kernel joins those that arrive
	Since  time.Time      // of the last change of Up or Path
	KeyAge time.Duration  // of the key that we seal with

	RxFrames, RxBytes, TxFrames, TxBytes uint64
}
