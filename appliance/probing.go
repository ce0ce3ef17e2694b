package appliance

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/afpacket"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// probesService is the name under which peers help a drill.
const probesService = "probes"

// probeEvery is the rhythm of probes, and maxProbes bounds a leg.
const (
	probeEvery = time.Millisecond
	maxProbes  = 20000
)

// Parts in a drill.
const (
	partGateway = "gateway" // sends to the segment what its other gateways hear, and watches its gate
	partPeer    = "peer"    // sends to everybody, as a guest would
)

// probeRequest asks a peer for its part in a drill. It answers a line when it has begun, and its result when asked to
// end, by the end of what is sent to it.
type probeRequest struct {
	Part    string         `json:"part"`
	Segment string         `json:"segment"`
	VNI     drawbridge.VNI `json:"vni"`
	Drill   uint64         `json:"drill"`
}

// probeResult is what one part did and saw.
type probeResult struct {
	Sent     int                 `json:"sent"`
	Captured []handover.Crossing `json:"captured"`
	Injected []handover.Crossing `json:"injected"`
}

// Sources of probes: stations that do not exist, one on each side of the gate. Both gateways send with the same
// address: the frames of one number are one frame, as that of a station on the segment would be.
var (
	probeOnSegment = drawbridge.MAC{0x02, 0x44, 0x52, 0x49, 0x4c, 0x01}
	probeInOverlay = drawbridge.MAC{0x02, 0x44, 0x52, 0x49, 0x4c, 0x02}
)

// probing is one leg under way, at the gateway that leads it.
type probing struct {
	own   *probePart
	other *farPart
	peer  *farPart // nil: there is no third peer
}

// startProbing has probes sent both ways through the gates.
func (n *Node) startProbing(ctx context.Context, p *port, other mesh.PeerStatus) (*probing, error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails, by its contract
	r := probeRequest{Part: partGateway, Segment: p.segment.Name, VNI: p.vni(), Drill: binary.BigEndian.Uint64(id[:])}
	far, err := n.startFar(ctx, other.ID, r)
	if err != nil {
		return nil, err
	}
	own, err := n.startPart(r)
	if err != nil {
		far.end(ctx)
		return nil, err
	}
	b := &probing{own: own, other: far}
	r.Part = partPeer
	for _, helper := range n.helpers(other.ID) {
		if b.peer, err = n.startFar(ctx, helper, r); err == nil {
			break
		}
		n.log.Warn("a peer sends no probes to the segment", "peer", helper, "err", err)
	}
	return b, nil
}

// helpers are peers that are no gateway here and can be reached.
func (n *Node) helpers(other drawbridge.PeerID) (all []drawbridge.PeerID) {
	_, others := n.peers()
	for _, p := range others {
		if p.ID != other && p.State == mesh.StateDirect {
			all = append(all, p.ID)
		}
	}
	return all
}

// stop ends the probes and judges them. A gateway does not capture what it sends itself, so no frame of the segment can come
// by both. Where frames are kept, the taker forwards one of each number; else those of the other gateway count from another moment.
func (b *probing) stop(ctx context.Context, kept bool) []web.DrillProbe {
	sent := 0
	if b.peer != nil {
		r := b.peer.end(ctx)
		sent = r.Sent
	}
	own := b.own.end()
	other := b.other.end(ctx)
	all := []web.DrillProbe{}
	// A number that only one of the gateways sent at the end is nobody's loss.
	all = append(all, judge("from-segment", min(own.Sent, other.Sent), !kept, upTo(own.Captured, min(own.Sent, other.Sent)), upTo(other.Captured, min(own.Sent, other.Sent))))
	if b.peer != nil {
		all = append(all, judge("to-segment", sent, false, own.Injected, other.Injected))
	}
	return all
}

func upTo(all []handover.Crossing, n int) (kept []handover.Crossing) {
	for _, c := range all {
		if int(c.Number) <= n {
			kept = append(kept, c)
		}
	}
	return kept
}

// probePart is the part of this peer.
type probePart struct {
	node   *Node
	drill  uint64
	stop   context.CancelFunc
	ended  chan struct{}
	sent   atomic.Int64
	untap  func()
	device *afpacket.Port // nil: no gateway

	mu     sync.Mutex // guards what follows
	result probeResult
}

// startPart begins to send, and at a gateway to watch.
func (n *Node) startPart(r probeRequest) (*probePart, error) {
	ctx, stop := context.WithCancel(n.life)
	b := &probePart{node: n, drill: r.Drill, stop: stop, ended: make(chan struct{}), untap: func() {}}
	if r.Part == partPeer {
		if k, err := n.engines.path(r.VNI).guestEntry(); err != nil {
			stop()
			return nil, err
		} else if k != nil {
			go b.send(ctx, func(i uint32) {
				_ = k(handover.ProbeFrame(probeInOverlay, r.Drill, i)) // what does not cross is counted
			}, func() {})
			return b, nil
		}
		out := n.plane.Sender()
		go b.send(ctx, func(i uint32) {
			out.Send(&drawbridge.Header{Origin: n.creds.ID(), VNI: r.VNI}, &drawbridge.Packet{Frame: handover.ProbeFrame(probeInOverlay, r.Drill, i)})
			out.Flush()
		}, out.Close)
		return b, nil
	}
	if err := b.tap(r.Segment); err != nil {
		stop()
		return nil, err
	}
	go b.send(ctx, func(i uint32) {
		_, _ = b.device.WriteBatch([]drawbridge.Packet{{Frame: handover.ProbeFrame(probeOnSegment, r.Drill, i)}}) // what is not sent is not counted as crossed
	}, func() { _ = b.device.Close() })
	return b, nil
}

// tap watches the gate of our port on a segment, and opens a socket beside it: what the gateway itself sends is not
// captured by it, so that each of two gateways hears the other.
func (b *probePart) tap(segment string) error {
	for _, p := range b.node.ports {
		if p.segment == nil || p.segment.Name != segment {
			continue
		}
		p.mu.Lock()
		a := p.attached
		p.mu.Unlock()
		if a == nil {
			return fmt.Errorf("port %s does not work", p.name())
		}
		device, err := afpacket.Open(afpacket.Config{Interface: p.segment.Interface, VLAN: p.segment.VLAN, Filter: deaf})
		if err != nil {
			return err
		}
		unwatch, err := p.watchIfKernel(b, false)
		if err != nil {
			return errors.Join(err, device.Close())
		}
		p.rehearsed.Add(1)
		untap := a.Capture(b, false)
		b.device, b.untap = device, func() { untap(); unwatch(); p.rehearsed.Add(-1) }
		return nil
	}
	return fmt.Errorf("no port on segment %s", segment)
}

// deaf keeps a socket from receiving anything.
func deaf(fd int) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{
		Len: 1, Filter: &unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	})
}

// Offer implements forwarder.Tap: it notes the probes that cross.
func (b *probePart) Offer(d forwarder.Direction, p *drawbridge.Packet) {
	drill, i, ok := handover.ParseProbe(p.Frame)
	if !ok || drill != b.drill {
		return
	}
	c := handover.Crossing{Number: i, At: b.node.elapsed()}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch src := p.Frame.Src(); {
	case len(b.result.Captured)+len(b.result.Injected) > 4*maxProbes:
	case d == forwarder.Inbound && src == probeOnSegment:
		b.result.Captured = append(b.result.Captured, c)
	case d == forwarder.Outbound && src == probeInOverlay:
		b.result.Injected = append(b.result.Injected, c)
	}
}

// send sends a probe each millisecond until ctx ends; those that are due at once are sent at once.
func (b *probePart) send(ctx context.Context, probe func(uint32), done func()) {
	defer close(b.ended)
	defer done()
	began := time.Now()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for i := uint32(1); i <= maxProbes; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := uint32(time.Since(began) / probeEvery); i <= due && i <= maxProbes; i++ {
			probe(i)
			b.sent.Store(int64(i))
		}
	}
	<-ctx.Done()
}

// probesLast is how long what is on its way when sending ends may take.
const probesLast = 100 * time.Millisecond

func (b *probePart) end() probeResult {
	b.stop()
	<-b.ended
	<-time.After(probesLast)
	b.untap()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result.Sent = int(b.sent.Load())
	return b.result
}

// farPart is the part of another peer.
type farPart struct {
	conn net.Conn
	in   *bufio.Reader
}

func (n *Node) startFar(ctx context.Context, at drawbridge.PeerID, r probeRequest) (*farPart, error) {
	conn, err := n.router.Open(at, probesService)
	if err != nil {
		return nil, err
	}
	f := &farPart{conn, bufio.NewReader(conn)}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline.Add(orderPatience))
	}
	b, err := json.Marshal(r)
	if err == nil {
		_, err = conn.Write(append(b, '\n'))
	}
	if err == nil {
		_, err = f.in.ReadString('\n')
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("peer %s does not send probes: %w", at, err)
	}
	return f, nil
}

// end asks for the result; a part that is gone has none.
func (f *farPart) end(context.Context) (r probeResult) {
	defer f.conn.Close()
	if _, err := f.conn.Write([]byte("end\n")); err != nil {
		return r
	}
	_ = json.NewDecoder(f.in).Decode(&r) // zero, then
	return r
}

// serveProbes takes part in another peer's drill.
func (n *Node) serveProbes(from drawbridge.PeerID, conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(drillLeg + 2*orderPatience))
	in := bufio.NewReaderSize(conn, 4096)
	line, err := in.ReadSlice('\n')
	var r probeRequest
	if err != nil || json.Unmarshal(line, &r) != nil {
		return
	}
	b, err := n.startPart(r)
	if err != nil {
		n.log.Warn("no part in a drill", "peer", from, "err", err)
		return
	}
	_, err = conn.Write([]byte("begun\n"))
	if err == nil {
		_, err = in.ReadSlice('\n')
	}
	result := b.end()
	if err == nil {
		_ = json.NewEncoder(conn).Encode(result) // who asked may be gone
	}
}
