package arp

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Prober runs probes on one wire for callers that wait. It is safe for concurrent use.
type Prober struct {
	own    drawbridge.MAC
	timing Timing
	send   func(drawbridge.Frame)
	asked  atomic.Int32 // questions that are open: Hear looks at nothing while there are none

	mu   sync.Mutex
	open []*question
}

type question struct {
	probe   *Probe
	verdict Verdict
	settled chan struct{} // closed once the verdict is there
}

// NewProber sends probes from own. Every frame of the wire has to be shown to Hear.
func NewProber(own drawbridge.MAC, timing Timing, send func(drawbridge.Frame)) *Prober {
	return &Prober{own: own, timing: timing, send: send}
}

// Ask probes for an address and waits for the verdict, which is Free or Taken when there is no error. Messages from the
// stations in ignore are no conflict.
func (p *Prober) Ask(ctx context.Context, addr netip.Addr, ignore ...drawbridge.MAC) (Verdict, error) {
	draw := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	q := &question{probe: NewProbe(addr, p.own, ignore, p.timing, draw), settled: make(chan struct{})}
	p.begin(q)
	defer p.end(q)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return Verdict{}, ctx.Err()
		case <-q.settled:
			return q.verdict, nil
		case <-timer.C:
		}
		send, next := p.step(q)
		if send != nil {
			p.send(send)
		}
		timer.Reset(time.Until(next))
	}
}

func (p *Prober) begin(q *question) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, q)
	p.asked.Add(1)
}

func (p *Prober) end(q *question) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = slices.DeleteFunc(p.open, func(o *question) bool { return o == q })
	p.asked.Add(-1)
}

func (p *Prober) step(q *question) (send drawbridge.Frame, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	send = q.tell(time.Now(), nil)
	return send, q.probe.Next()
}

// tell passes on what was heard. The caller holds the lock of the prober.
func (q *question) tell(now time.Time, heard []byte) drawbridge.Frame {
	if q.verdict.State != Asking {
		return nil
	}
	send, v := q.probe.Step(now, heard)
	if q.verdict = v; v.State != Asking {
		close(q.settled)
	}
	return send
}

// Hear is told a frame of the wire. It costs a load while nobody asks.
func (p *Prober) Hear(frame []byte) {
	if p.asked.Load() == 0 {
		return
	}
	s, ok := Parse(frame)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.open {
		if q.probe.addr == s.Addr {
			q.hear(s)
		}
	}
}

func (q *question) hear(s Sighting) {
	if q.verdict.State == Asking && q.probe.conflicts(s) {
		q.verdict = Verdict{Taken, s.MAC, s.Kind == Want}
		close(q.settled)
	}
}
