package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// Wire is an open port. Without PortConfig.Open it is a packet socket.
type Wire interface {
	// Receive waits for a frame of ALONE or of a bridge protocol, without its VLAN tag. The bytes stay until the next call.
	Receive() (drawbridge.Frame, error)
	// Send sends a whole frame, or says at once why not. Only one goroutine sends.
	Send(drawbridge.Frame) error
	// MAC is the port's address at present.
	MAC() (drawbridge.MAC, error)
	// Interrupt makes Receive fail from now on. It never waits, as Close may.
	Interrupt()
	Close() error
}

const (
	// reopenEvery is how often an interface that is down or missing is tried: asking takes three system calls.
	reopenEvery = 100 * time.Millisecond
	// A burst of frames takes at least burstTime, which bounds what a loop or a flood of our EtherType costs: 12,800 tags
	// a second are 2 % of a core. 64 neighbours that are all ACTIVE would send half of that.
	burst     = 128
	burstTime = 10 * time.Millisecond
)

// keep opens the wire of a port, reads it, and does so again whenever it fails. Opening and closing can take long,
// under the kernel's lock of all interfaces, so Run itself never does it.
func (r *Runner) keep(ctx context.Context, p *port) {
	defer p.cancel()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		}
		if w, err := r.wireOf(p.PortConfig); err != nil {
			r.hand(ctx, event{kind: wireLost, port: p, verdict: err})
		} else if err := r.read(ctx, p, w); err != nil {
			r.cfg.Log.Warn("alone: close the port's socket", "port", p.ID, "err", err)
		}
		retry.Reset(reopenEvery)
	}
}

// wireOf opens the wire of a port.
func (r *Runner) wireOf(c PortConfig) (Wire, error) {
	if c.Open != nil {
		return c.Open()
	}
	return r.open(c, r.cfg.EtherType)
}

// read hands over what a wire hears until it fails, and closes it.
func (r *Runner) read(ctx context.Context, p *port, w Wire) error {
	stop := context.AfterFunc(ctx, w.Interrupt)
	defer stop()
	r.hand(ctx, event{kind: wireOpened, port: p, wire: w})
	var pace pacer
	for {
		f, err := w.Receive()
		if err != nil {
			r.hand(ctx, event{kind: wireLost, port: p, wire: w, verdict: err}) // before Close, which may take long
			return w.Close()
		}
		if e, ok := r.parse(p, f); ok {
			r.hand(ctx, e)
		}
		pace.wait(ctx)
	}
}

func (r *Runner) parse(p *port, f drawbridge.Frame) (e event, ok bool) {
	if len(f) < drawbridge.MinFrame {
		return e, false
	}
	if f.EtherType() != r.cfg.EtherType {
		return event{kind: bridgeHeard, port: p, changed: alone.TopologyChange(f)}, alone.BridgeProtocol(f)
	}
	e = event{kind: frameHeard, port: p}
	e.frame, e.verdict = r.codec.Parse(f[drawbridge.MinFrame:])
	return e, true
}

// hand gives an event to Run. When Run is behind, the kernel's queue fills and then loses frames, which ALONE bears.
func (r *Runner) hand(ctx context.Context, e event) {
	select {
	case r.events <- e:
	case <-ctx.Done():
	}
}

// pacer makes bursts last.
type pacer struct {
	began time.Time
	n     int
}

func (p *pacer) wait(ctx context.Context) {
	if p.n == 0 {
		p.began = time.Now()
	}
	if p.n++; p.n < burst {
		return
	}
	p.n = 0
	if rest := burstTime - time.Since(p.began); rest > 0 {
		select {
		case <-time.After(rest):
		case <-ctx.Done():
		}
	}
}

// HearOverlay takes the payload, behind the EtherType, of an ALONE frame that came out of the overlay. It never waits:
// when more come than are read, they say nothing new.
func (r *Runner) HearOverlay(payload []byte) {
	if len(payload) < alone.Size {
		return
	}
	select {
	case r.overlay <- [alone.Size]byte(payload):
	default:
	}
}

// readOverlay checks what HearOverlay took. A forger's frames go no further.
func (r *Runner) readOverlay(ctx context.Context) {
	var pace pacer
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-r.overlay:
			if f, err := r.codec.Parse(b[:]); err == nil {
				r.hand(ctx, event{kind: overlayHeard, frame: f})
			}
		}
		pace.wait(ctx)
	}
}

// opened takes over a wire.
func (r *Runner) opened(p *port, w Wire) {
	p.wire, p.problem = w, nil
	r.own.changed = true
	if p.losses > 0 {
		r.cfg.Log.Info("alone: the port is back", "port", p.ID)
	}
	r.wakeUp()
}

// lost lets go of a wire, or notes why none could be opened.
func (r *Runner) lost(p *port, w Wire, err error) {
	if p.problem == nil || p.problem.Error() != err.Error() {
		r.cfg.Log.Warn("alone: the port cannot be used", "port", p.ID, "err", err)
		r.own.changed = true
	}
	p.problem = err
	if w != nil {
		p.losses++
		p.wire = nil
		r.followCarrier(p)
	}
}

// refreshMAC asks for the address again with every carrier: bonds and operators change it.
func (r *Runner) refreshMAC(p *port) {
	if mac, err := p.wire.MAC(); err == nil {
		p.mac = mac
	}
}

// send writes one frame of the machine to its port.
func (r *Runner) send(s alone.Send) {
	p := r.known(s.Port)
	if p == nil || p.wire == nil {
		return
	}
	s.Frame.Sequence += p.base
	p.last = s.Frame.Sequence
	dst := alone.Group
	if s.Broadcast {
		dst = drawbridge.Broadcast
	}
	r.own.frame = appendHeader(r.own.frame[:0], dst, p.mac, p.VLAN, r.cfg.EtherType)
	r.own.frame = r.codec.Append(r.own.frame, s.Frame)
	switch err := p.wire.Send(r.own.frame); {
	case err == nil:
		p.sent++
		r.own.changed = r.own.changed || p.problem != nil
		p.misses, p.problem = 0, nil // a queue that was full, as at the end of a carrier, is no reason for ever
	case unusable(err):
		// The error is told only once, and we took it from the reader, who finds out by the interruption.
		p.refused++
		p.wire.Interrupt()
		p.wire = nil
		r.wakeUp()
	default:
		p.refused++
		if p.misses++; p.misses >= tooMany {
			r.own.changed = r.own.changed || p.problem == nil
			p.problem = fmt.Errorf("send a hello: %w", err)
		}
	}
}

// tooMany is how many frames in a row the kernel may not take before that is a problem of the port. Neighbours bear three and a half
// intervals of silence. One may be a burst that filled a queue, or a carrier that is going and is about to be told of.
const tooMany = 3

// unusable tells the errors that concern the interface from those that concern one frame.
func unusable(err error) bool {
	return errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}

func appendHeader(b []byte, dst, src drawbridge.MAC, vlan, etherType uint16) []byte {
	b = append(append(b, dst[:]...), src[:]...)
	if vlan != 0 {
		b = binary.BigEndian.AppendUint16(b, unix.ETH_P_8021Q)
		b = binary.BigEndian.AppendUint16(b, vlan)
	}
	return binary.BigEndian.AppendUint16(b, etherType)
}
