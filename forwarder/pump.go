package forwarder

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// downAgain is how long a port that says its interface is down is left alone before it is read again.
const downAgain = 200 * time.Millisecond

// Run forwards what the port reads until the port is closed or detached, its interface vanishes or ctx ends; whoever
// ends ctx closes the port as well, since reading waits. It answers nil when the port was closed.
func (a *Attached) Run(ctx context.Context) error {
	ports := append([]Port{a.cfg.Port}, a.cfg.Queues...)
	failed := make([]error, len(ports))
	var group sync.WaitGroup
	for i, p := range ports {
		group.Go(func() {
			runtime.LockOSThread() // the thread waits in the system call and handles what wakes it
			failed[i] = newPump(a, p).run(ctx)
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// pump takes frames from one queue of a port into the switch. It belongs to one goroutine.
type pump struct {
	// Set at construction, then constant.
	from *Attached
	port Port
	sw   *Switch
	out  Sender
	here place // where sources are, on a guest port

	batch []drawbridge.Packet
	local queues
	kept  kept
	macs  cache

	number  uint32    // of this pump
	towards []towards // gateways of segments, as of the last frame for each
	last    towards   // the one of them that the last frame was for

	now    time.Duration
	header drawbridge.Header
}

func newPump(a *Attached, p Port) *pump {
	u := &pump{
		from: a, port: p, sw: a.sw, out: a.sw.cfg.Overlay.Sender(),
		batch: make([]drawbridge.Packet, a.sw.cfg.Batch), macs: cache{table: &a.sw.table},
		number: a.sw.pumps.Add(1),
	}
	u.here.port = a
	return u
}

func (u *pump) run(ctx context.Context) error {
	defer u.out.Close()
	for {
		n, err := u.port.ReadBatch(u.batch)
		u.from.batches.Add(1)
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrClosed), u.from.detached.Load():
			return nil
		case errors.Is(err, syscall.ENETDOWN):
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(downAgain):
			}
			continue
		case err != nil:
			return err
		}
		u.now = u.sw.now()
		u.take(u.batch[:n])
	}
}

// take forwards one batch.
func (u *pump) take(ps []drawbridge.Packet) {
	a := u.from
	if a.detached.Load() {
		a.drops.add(dropPort, len(ps))
		return
	}
	a.taking.RLock()
	defer a.taking.RUnlock()
	if a.apart.Load() || u.sw.Suspended(a.cfg.VNI) {
		a.overhearBlocked(ps)
		a.drops.add(dropSuspended, len(ps))
		return
	}
	a.show(&a.before, Inbound, ps)
	if h := a.holder.Load(); h != nil {
		if ps = h.Captured(ps); len(ps) == 0 {
			return
		}
	}
	u.forward(ps)
}

// forward is take without the holder.
func (u *pump) forward(ps []drawbridge.Packet) {
	a := u.from
	epoch, open := a.permit()
	if !open {
		a.overhearBlocked(ps)
		a.drops.add(dropGateShut, len(ps))
		return
	}
	a.show(&a.after, Inbound, ps)
	if a.segment != nil && !u.lead(epoch, len(ps)) {
		return
	}
	bytes := 0
	for i := range ps {
		bytes += len(ps[i].Frame)
		u.frame(&ps[i], epoch)
	}
	a.rxFrames.Add(uint64(len(ps)))
	a.rxBytes.Add(uint64(bytes))
	u.local.flush()
	u.kept.buf = u.kept.buf[:0]
	u.out.Flush()
}

// lead makes this peer the segment's gateway in its own eyes, which an open gate entitles it to, unless a
// newer tenure has been heard of: then the gate is about to be shut.
func (u *pump) lead(epoch drawbridge.Epoch, n int) bool {
	if r, ok := u.from.segment.heard(u.sw.cfg.Self, epoch, u.now); !ok {
		u.from.drops.add(r, n)
		return false
	}
	return true
}

// frame decides about one frame.
func (u *pump) frame(p *drawbridge.Packet, epoch drawbridge.Epoch) {
	a, f := u.from, p.Frame
	at := &u.here
	if a.segment != nil {
		at = &a.segment.at
	}
	if r, ok := admit(f); !ok {
		a.drops.add(r, 1)
		if r == dropLinkLocal {
			a.overhear(f)
		}
		if r == dropLinkLocal && a.segment != nil {
			// The hellos of other gateways: as long as they come, nobody else speaks with the gateway's address.
			u.macs.learn(keyOf(a.cfg.VNI, f, 6), at, u.now)
		}
		return
	}
	pass, learned := u.macs.learn(keyOf(a.cfg.VNI, f, 6), at, u.now)
	if !pass {
		a.drops.add(dropEcho, 1)
		a.echoes.note(f, u.now)
		u.sw.circled(a.cfg.VNI, f, at, u.now)
		return
	}
	if !learned {
		a.drops.add(dropMACLimit, 1)
	}
	if a.served(p) {
		return
	}
	if u.sw.foreign(a.cfg.VNI, f) {
		a.drops.add(dropForeign, 1)
		return
	}
	u.header = drawbridge.Header{Origin: u.sw.cfg.Self, VNI: a.cfg.VNI}
	if a.segment != nil {
		u.header.Segment, u.header.Epoch = a.segment.id, epoch
	}
	if f[0]&1 == 0 {
		if e := u.macs.find(keyOf(a.cfg.VNI, f, 0)); e != nil {
			u.unicast(p, e.at.Load())
			return
		}
	}
	u.flood(p)
}

// unicast sends a frame to where its destination is.
func (u *pump) unicast(p *drawbridge.Packet, to *place) {
	a := u.from
	switch {
	case to.port != nil:
		if to.port == a { // both ends are behind the port
			a.drops.add(dropSplitHorizon, 1)
			return
		}
		u.local.add(to.port, p, false, always)
		return
	case to.segment.refuses(a.cfg.Segment): // both ends are on the segment
		a.drops.add(dropSplitHorizon, 1)
		return
	case to.segment != nil:
		own, gateway := to.segment.gateway(u.sw.cfg.Self)
		by := gateway
		if own != nil {
			by = u.sw.cfg.Self
		}
		if by != 0 && (u.last.segment != to.segment || u.last.gateway != by) {
			u.turn(to.segment, by)
		}
		if own != nil {
			u.local.add(own, p, false, always)
			return
		}
		if gateway == 0 {
			a.drops.add(dropNoGateway, 1)
			return
		}
		u.header.Dest = gateway
	default:
		u.header.Dest = to.peer
	}
	u.send(p)
}

// send hands a frame to the mesh, or answers that it is too big.
func (u *pump) send(p *drawbridge.Packet) {
	if mtu := u.sw.cfg.Overlay.MTU(u.header.Dest); mtu > 0 && largest(p) > mtu && u.tooBig(p, mtu) {
		return
	}
	u.out.Send(&u.header, p)
}

// flood sends a frame to every other port of the overlay here, and to all peers.
func (u *pump) flood(p *drawbridge.Packet) {
	a := u.from
	if !a.mayFlood(u.now) {
		a.drops.add(dropStorm, 1)
		return
	}
	mine := drawbridge.Packet{Offload: p.Offload}
	for _, to := range (*u.sw.ports.Load())[a.cfg.VNI] {
		if to == a { // of a segment there is one port here at most
			continue
		}
		if mine.Frame == nil {
			mine.Frame = u.kept.keep(p.Frame)
		}
		u.local.add(to, &mine, true, always)
	}
	u.header.Dest = 0
	u.out.Send(&u.header, p)
}

// kept is memory for frames of a batch that our own ports get after Send may have overwritten them: not only
// those that the mesh cuts, as it also finishes checksums in place. It grows to what a batch needs.
type kept struct{ buf []byte }

func (k *kept) keep(f drawbridge.Frame) drawbridge.Frame {
	at := len(k.buf)
	k.buf = append(k.buf, f...)
	return k.buf[at:len(k.buf):len(k.buf)]
}

// queues collects frames by the port that they go to.
type queues struct {
	of []queue
}

// queue is frames for one port.
type queue struct {
	port     *Attached
	ps       []drawbridge.Packet
	floods   []bool              // of each frame, whether everybody was sent it
	arrived  []failover.Boottime // of each, when it reached this host
	earliest failover.Boottime   // of those
}

// always stands for the arrival of a frame that is written whenever the gate is open: nobody else has been sent it yet, or nobody knows
// when it came.
const always = failover.Forever

// queueOf is frames that are written without a queue.
func queueOf(ps []drawbridge.Packet) *queue { return &queue{ps: ps, earliest: always} }

func (q *queues) add(to *Attached, p *drawbridge.Packet, flood bool, arrived failover.Boottime) {
	for i := range q.of {
		if e := &q.of[i]; e.port == to {
			e.ps, e.floods, e.arrived = append(e.ps, *p), append(e.floods, flood), append(e.arrived, arrived)
			e.earliest = min(e.earliest, arrived)
			return
		}
	}
	q.of = append(q.of, queue{to, make([]drawbridge.Packet, 0, 64), make([]bool, 0, 64), make([]failover.Boottime, 0, 64), always})
	q.add(to, p, flood, arrived)
}

// since takes floods out that arrived before a moment, and answers how many.
func (q *queue) since(moment failover.Boottime) (dropped int) {
	kept := 0
	for i := range q.ps {
		if q.floods[i] && q.arrived[i] < moment {
			continue
		}
		q.ps[kept], q.floods[kept] = q.ps[i], q.floods[i]
		kept++
	}
	dropped = len(q.ps) - kept
	clear(q.ps[kept:])
	q.ps, q.floods = q.ps[:kept], q.floods[:kept]
	return dropped
}

// empty makes room for the next batch.
func (q *queue) empty() {
	clear(q.ps)
	q.ps, q.floods, q.arrived, q.earliest = q.ps[:0], q.floods[:0], q.arrived[:0], always
}

// flush writes what was collected. Ports that were detached are forgotten.
func (q *queues) flush() {
	kept := q.of[:0]
	for i := range q.of {
		e := &q.of[i]
		if e.port.detached.Load() {
			e.port.drops.add(dropPort, len(e.ps))
			continue
		}
		if len(e.ps) > 0 {
			e.port.write(e)
			e.empty()
		}
		kept = append(kept, *e)
	}
	clear(q.of[len(kept):])
	q.of = kept
}
