package forwarder

import (
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// Holder sees the frames of a segment port while its segment is being moved from one gateway to another, and may
// keep them instead of letting the shut gate drop them (docs/protocol/handover.md). It copies what it keeps. It is
// called from several goroutines at once, must not wait, and must not call the port back.
type Holder interface {
	// Captured is shown what the port read before the gate is asked, and answers what it does not keep, in the
	// same memory.
	Captured(ps []drawbridge.Packet) (rest []drawbridge.Packet)
	// Injected is shown what is to be written before the gate is asked, and answers what it does not keep, in the
	// same memory. floods says of each frame whether other gateways have been sent it as well; nil: none.
	Injected(ps []drawbridge.Packet, floods []bool) (rest []drawbridge.Packet)
	// Turned is told of a turn between the frames before and after it.
	Turned(Turn)
}

// holding is a holder that was set.
type holding struct {
	Holder
	since  failover.Boottime // floods that came before that are not shown to it
	tenure atomic.Int64      // failover.Boottime at which the gate was opened under which it keeps them; 0: it was not yet
}

// takes is since when it is shown floods by a gate that was opened last at a moment. A gate that was opened once more since the move has
// been shut in between, and then another gateway had the segment.
func (h *holding) takes(opened failover.Boottime) failover.Boottime {
	if under := failover.Boottime(h.tenure.Load()); under != 0 && under != opened {
		return opened
	}
	return h.since
}

// SetHolder has h see the port's frames from now on; nil: nobody. It is not shown floods that have waited in a socket since before the
// gate was opened or, if it is shut, since before now.
func (a *Attached) SetHolder(h Holder) {
	if h == nil {
		a.holder.Store(nil)
		return
	}
	of := &holding{Holder: h}
	if g := a.cfg.Gate; g != nil {
		of.since = g.Now()
		if _, open := g.Permit(); open {
			of.since = g.Since()
			of.tenure.Store(int64(of.since))
		}
	}
	a.holder.Store(of)
}

// HolderOpens is told when the gate was opened by the move that the holder is for.
func (a *Attached) HolderOpens() {
	if h, g := a.holder.Load(), a.cfg.Gate; h != nil && g != nil {
		h.tenure.Store(int64(g.Since()))
	}
}

// Quiesce returns when everything has been written and forwarded that was taken in before.
func (a *Attached) Quiesce() {
	a.taking.Lock()
	defer a.taking.Unlock()
	a.writing.Lock() // pumps take it while they hold taking for reading, so in this order
	defer a.writing.Unlock()
}

// InjectHeld writes frames that a holder kept, past the holder but through the gate.
func (a *Attached) InjectHeld(ps []drawbridge.Packet) {
	if len(ps) == 0 {
		return
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	a.inject(queueOf(ps))
}

// Releaser forwards captured frames that were kept. It belongs to one goroutine.
type Releaser struct{ pump *pump }

// Releaser makes one.
func (a *Attached) Releaser() *Releaser { return &Releaser{newPump(a, a.cfg.Port)} }

// Capture forwards frames as if the port had just read them, past the holder but through the gate.
func (r *Releaser) Capture(ps []drawbridge.Packet) {
	if len(ps) == 0 {
		return
	}
	r.pump.now = r.pump.sw.now()
	r.pump.forward(ps)
}

// Hail sends a frame into the overlay as if the port had read it. The epoch rides in every frame and the first one that a
// peer hears suffices, so a gateway whose gate has just opened need not wait for a host to say something, nor for the
// news of its tenure to be signed and believed. During a planned move it does nothing: that has an order of its own.
func (a *Attached) Hail(f drawbridge.Frame) {
	a.taking.RLock()
	defer a.taking.RUnlock()
	if a.detached.Load() || a.holder.Load() != nil {
		return
	}
	r := a.Releaser()
	r.Capture([]drawbridge.Packet{{Frame: f}})
	r.Close()
}

// Close is the last call.
func (r *Releaser) Close() { r.pump.out.Close() }

// Station says where an address of an overlay is: at a peer, or behind a segment.
type Station struct {
	MAC     drawbridge.MAC
	Peer    drawbridge.PeerID    // 0: behind Segment
	Segment drawbridge.SegmentID // 0: at Peer
	Age     time.Duration        // since it was heard
}

// Teach notes stations that another gateway of the overlay has heard. What is known by hearing is not changed, as it
// may be newer; an address that was only taught is kept from ageing. It answers how many were new.
func (s *Switch) Teach(vni drawbridge.VNI, stations []Station) (learned int) {
	now := s.now()
	for _, st := range stations {
		if st.MAC.Group() || st.MAC == (drawbridge.MAC{}) || st.Age >= maxAge {
			continue
		}
		at := s.place(vni, &st)
		if at == nil {
			continue
		}
		k, seen := keyOf(vni, st.MAC[:], 0), now-st.Age
		if e := s.table.find(k); e != nil {
			if e.at.Load().same(at) && seen > time.Duration(e.seen.Load()) {
				e.seen.Store(int64(seen))
			}
			continue
		}
		if e, fresh := s.table.insert(k, at, now); fresh {
			e.seen.Store(int64(seen))
			learned++
		}
	}
	return learned
}

// place is where a station is said to be; nil when that is nowhere: our own ports are known better here.
func (s *Switch) place(vni drawbridge.VNI, st *Station) *place {
	switch {
	case st.Segment != 0:
		return &s.segment(st.Segment, vni).at
	case st.Peer != 0 && st.Peer != s.cfg.Self:
		return &place{peer: st.Peer}
	}
	return nil
}

// Where answers whether an address is known, and whether it is behind a segment.
func (s *Switch) Where(vni drawbridge.VNI, m drawbridge.MAC) (known, behind bool) {
	e := s.table.find(keyOf(vni, m[:], 0))
	if e == nil {
		return false, false
	}
	return true, e.at.Load().segment != nil
}
