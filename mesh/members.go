package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// Membership of a peer as memberlist sees it.
const (
	MemberUnknown = ""
	MemberAlive   = "alive"
	MemberSuspect = "suspect"
	MemberDead    = "dead"
	MemberLeft    = "left"
)

// membership is the service that memberlist's streams are for.
const membership = "membership"

// maxPacket bounds memberlist's packets. They ride TCP, so no path MTU speaks against more; what counts is
// that a burst of them does not hold up a heartbeat.
const maxPacket = 16 << 10

// tellings is how often each peer that hears a broadcast tells it, to peers at random: 300 ms of gossip. memberlist would
// make it 4 in a network of nine: among six peers of which one has just died, 14 of 800 were never heard, and learnt of ten
// seconds later, from State. By 16 that happens to one in 10^8. In a network of 1,000 memberlist makes it 16, too.
const tellings = 16

// members is memberlist, with peers instead of addresses under it: it names nodes by peer id, and its
// packets and streams take the control links.
type members struct {
	r    *Router
	list *memberlist.Memberlist

	packets chan *memberlist.Packet
	streams chan net.Conn
	begun   chan struct{} // closed when list is set
	stopped chan struct{}

	broadcasts memberlist.TransmitLimitedQueue
	recent     recent

	mu     sync.Mutex
	states map[drawbridge.PeerID]string // as events told
	last   map[drawbridge.PeerID]string // as the last survey told
	lastAt time.Time
}

func newMembers(r *Router) *members {
	m := &members{
		r: r, packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn), begun: make(chan struct{}), stopped: make(chan struct{}),
		states: map[drawbridge.PeerID]string{},
	}
	m.broadcasts = memberlist.TransmitLimitedQueue{RetransmitMult: tellings, NumNodes: func() int { return 1 }}
	return m
}

// start begins gossip about who is there.
func (m *members) start() error {
	list, err := memberlist.Create(m.config())
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	m.list = list
	close(m.begun)
	return nil
}

// config has the paces that were measured (docs/adr/0005-memberlist-for-membership.md): on a LAN a dead peer
// is dead to all in 0.9 s (3 peers) to 1.5 s (100), for 10 packets in a second.
func (m *members) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.ProbeInterval, c.ProbeTimeout = 200*time.Millisecond, 150*time.Millisecond
	c.GossipInterval, c.PushPullInterval = 50*time.Millisecond, 10*time.Second
	if m.r.config.Profile == WAN {
		c.ProbeInterval, c.ProbeTimeout = time.Second, 750*time.Millisecond
		c.SuspicionMult = 5
		c.GossipInterval, c.PushPullInterval = 200*time.Millisecond, 30*time.Second
	}
	c.Name = m.r.id.String()
	c.Transport = transport{m}
	c.Delegate, c.Events, c.Alive = delegate{m}, delegate{m}, delegate{m}
	c.DisableTcpPings = true    // packets ride the same links as streams
	c.EnableCompression = false // costs more than it saves
	c.UDPBufferSize = maxPacket
	c.TCPTimeout = 5 * time.Second
	c.Logger = log.New(memberLog{m.r}, "", 0)
	return c
}

func (m *members) stop() {
	m.list.Shutdown() // never fails with our transport
}

// join tells memberlist of a new neighbour: both exchange all they know.
func (m *members) join(id drawbridge.PeerID) {
	m.r.all.Go(func() {
		a := address(id)
		if _, err := m.list.Join([]string{id.String() + "/" + a.String()}); err != nil {
			m.r.log.Debug("membership: exchange with a neighbour", "peer", id, "err", err)
		}
	})
}

// prefix makes addresses of peer ids. memberlist wants an IP address of a node; nothing ever connects to it.
var prefix = [12]byte{0xfd, 'd', 'r', 'a', 'w'} // fd00::/8: unique local (RFC 4193)

func address(id drawbridge.PeerID) netip.AddrPort {
	var b [16]byte
	copy(b[:], prefix[:])
	binary.BigEndian.PutUint32(b[12:], uint32(id))
	return netip.AddrPortFrom(netip.AddrFrom16(b), DefaultPort)
}

func peerAt(addr string) (drawbridge.PeerID, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || !a.Addr().Is6() || [12]byte(a.Addr().AsSlice()) != prefix {
		return 0, fmt.Errorf("%q is not the address of a peer", addr)
	}
	b := a.Addr().As16()
	return drawbridge.PeerID(binary.BigEndian.Uint32(b[12:])), nil
}

// nodeID is the peer behind a name in memberlist.
func nodeID(name string) (drawbridge.PeerID, error) {
	n, err := strconv.ParseUint(name, 16, 32)
	if err != nil || drawbridge.PeerID(n).String() != name {
		return 0, fmt.Errorf("%q is not the id of a peer", name)
	}
	return drawbridge.PeerID(n), nil
}

// transport is memberlist.NodeAwareTransport over control links.
type transport struct{ *members }

var errStopped = errors.New("the router has stopped")

func (t transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	a := address(t.r.id)
	return a.Addr().AsSlice(), int(a.Port()), nil
}

func (t transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress never reports that a peer cannot be reached: memberlist takes an error for one of its own
// and does not suspect the peer.
func (t transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	to, err := peerAt(addr.Addr)
	if err != nil {
		return time.Time{}, err
	}
	m := wire.Routed{From: t.r.id, To: to, Hops: maxHops, Payload: b}
	if err := t.r.post(wire.KindPacket, &m); err != nil {
		t.r.drop("membership packet: " + dropCause(err))
	}
	return time.Now(), nil
}

func (t transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t transport) StreamCh() <-chan net.Conn           { return t.streams }

func (t transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t transport) DialAddressTimeout(addr memberlist.Address, _ time.Duration) (net.Conn, error) {
	to, err := peerAt(addr.Addr)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.stopped:
		return nil, errStopped
	default:
	}
	s, err := t.r.Open(to, membership)
	if err != nil {
		return nil, err
	}
	return &guarded{Conn: s, drop: t.r.drop}, nil
}

func (t transport) Shutdown() error {
	close(t.stopped) // memberlist calls it once
	return nil
}

func (m *members) receivePacket(p *wire.Routed) {
	packet := &memberlist.Packet{
		Buf: append([]byte(nil), p.Payload...), From: net.UDPAddrFromAddrPort(address(p.From)), Timestamp: time.Now(),
	}
	select {
	case m.packets <- packet:
	default:
		m.r.drop("membership packet: queue full")
	}
}

func (m *members) receiveStream(_ drawbridge.PeerID, s net.Conn) {
	select {
	case m.streams <- &guarded{Conn: s, drop: m.r.drop}:
	case <-m.stopped:
		s.Close()
	}
}

// delegate is what memberlist asks and tells us.
type delegate struct{ *members }

// NodeMeta is shown by whatever else reads memberlist's state.
func (d delegate) NodeMeta(int) []byte { return []byte(d.r.config.Credentials.Name) }

// NotifyAlive keeps out what is not a peer, and peers that were removed.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	id, err := nodeID(n.Name)
	if err != nil {
		return err
	}
	if at, err := peerAt(net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port)))); err != nil || at != id {
		return fmt.Errorf("node %s is not at the address of its id, but at %s", n.Name, n.Addr)
	}
	if d.r.config.Credentials.Revocations.Revoked(id) {
		return fmt.Errorf("peer %s: %w", id, secure.ErrRevoked)
	}
	return nil
}

func (d delegate) NotifyJoin(n *memberlist.Node)   { d.note(n, MemberAlive) }
func (d delegate) NotifyUpdate(n *memberlist.Node) {}

// NotifyLeave is not told why; the peer's record does.
func (d delegate) NotifyLeave(n *memberlist.Node) { d.note(n, MemberDead) }

// note is called with memberlist's lock held.
func (m *members) note(n *memberlist.Node, state string) {
	id, err := nodeID(n.Name)
	if err != nil || id == m.r.id {
		return
	}
	if state == MemberDead && m.r.gone(id) {
		state = MemberLeft
	}
	m.mu.Lock()
	m.states[id], m.last = state, nil
	if m.r.config.Credentials.Revocations.Revoked(id) { // with mu held, or forget could come between
		delete(m.states, id)
	}
	m.mu.Unlock()
	m.r.mu.Lock()
	m.r.touch()
	m.r.mu.Unlock()
	m.r.journal.tell("member_"+state, drawbridge.PeerName(n.Meta), "is "+state)
}

// forget lets go of peers that were removed from the network: their ids never come back, so nothing else would end what is
// kept of them. memberlist forgets them itself, some time after they are dead.
func (m *members) forget(removed []secure.Revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range removed {
		delete(m.states, v.ID)
		delete(m.last, v.ID)
	}
}

// memberLog passes memberlist's log on. Its lines are for whoever looks into membership, not for operators.
type memberLog struct{ r *Router }

func (l memberLog) Write(b []byte) (int, error) {
	l.r.log.Debug("membership", "text", string(b[:max(0, len(b)-1)]))
	return len(b), nil
}

var _ io.Writer = memberLog{}
