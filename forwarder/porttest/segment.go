package porttest

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/drawbridge-net/drawbridge"
)

// Faults is what a segment does to frames on their way, drawn for each receiver by itself from the segment's seed.
type Faults struct {
	Loss      float64 // probability that a copy is lost
	Duplicate float64 // probability that it arrives twice
	Held      bool    // frames wait until Step
}

// Segment is a layer-2 segment in memory: what one port gives, every other port takes. It starts no goroutine and
// reads no clock, so tests may use it in a testing/synctest bubble.
type Segment struct {
	mu     sync.Mutex // guards what follows and the queues of the ports
	ports  []*Port
	faults Faults
	random *rand.Rand
	held   []sent
	seed   maphash.Seed
	copies map[uint64]int // by the hash of a frame: how often it was given
	worst  int
}

// sent is a packet that was given and not yet delivered.
type sent struct {
	from   *Port
	packet drawbridge.Packet
}

// LoopLimit is how often a segment carries the same frame before it takes the rest for a loop and drops it, so that a
// storm fails a test instead of eating the machine.
const LoopLimit = 1000

// NewSegment makes a segment without faults. The same seed draws the same faults.
func NewSegment(seed uint64) *Segment {
	return &Segment{random: rand.New(rand.NewPCG(seed, 0)), seed: maphash.MakeSeed(), copies: map[uint64]int{}}
}

// SetFaults replaces the faults; no longer holding delivers what waits.
func (s *Segment) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	if !f.Held {
		s.step(len(s.held))
	}
}

// Step delivers the first n frames that are held, or as many as there are, and tells how many.
func (s *Segment) Step(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.step(n)
}

func (s *Segment) step(n int) int {
	n = min(n, len(s.held))
	for _, w := range s.held[:n] {
		s.deliver(w)
	}
	s.held = slices.Delete(s.held, 0, n)
	return n
}

// Worst is how often the segment was given the frame that it was given most often. Where every station gives each
// frame once, more than one means a loop.
func (s *Segment) Worst() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.worst
}

// Copies is how often the segment was given that frame.
func (s *Segment) Copies(f drawbridge.Frame) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copies[maphash.Bytes(s.seed, f)]
}

// give takes one packet from a port; false when it is lost at once. The caller holds mu.
func (s *Segment) give(from *Port, p drawbridge.Packet) bool {
	key := maphash.Bytes(s.seed, p.Frame)
	s.copies[key]++
	s.worst = max(s.worst, s.copies[key])
	if s.copies[key] > LoopLimit {
		from.drops["loop"]++
		return false
	}
	w := sent{from, drawbridge.Packet{Frame: bytes.Clone(p.Frame), Offload: p.Offload}}
	if s.faults.Held {
		s.held = append(s.held, w)
		return true
	}
	s.deliver(w)
	return true
}

func (s *Segment) deliver(w sent) {
	for _, p := range s.ports {
		if p == w.from || p.cut || w.from.cut || s.random.Float64() < s.faults.Loss {
			continue
		}
		p.put(w.packet)
		if s.random.Float64() < s.faults.Duplicate {
			p.put(w.packet)
		}
	}
}

// queueLen bounds what waits for a reader, as a socket's queue does.
const queueLen = 256

// Port is an attachment to a segment, with the contract of a real port: the frames of a batch are overwritten by the
// next ReadBatch, so that who keeps them notices.
type Port struct {
	segment *Segment
	name    string
	ready   *sync.Cond // of segment.mu

	// Guarded by segment.mu.
	queue  []drawbridge.Packet
	lent   []drawbridge.Frame // of the latest batch
	drops  map[string]uint64
	cut    bool
	down   bool
	closed bool
}

// Attach adds a port.
func (s *Segment) Attach(name string) *Port {
	p := &Port{segment: s, name: name, ready: sync.NewCond(&s.mu), drops: map[string]uint64{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ports = append(s.ports, p)
	return p
}

// Name is what the port was attached as.
func (p *Port) Name() string { return p.name }

// MTU is Ethernet's.
func (p *Port) MTU() int { return 1500 }

// put queues a packet. The caller holds segment.mu.
func (p *Port) put(pk drawbridge.Packet) {
	switch {
	case p.closed || p.down:
		p.drops["down"]++
	case len(p.queue) == queueLen:
		p.drops["queue-full"]++
	default:
		p.queue = append(p.queue, pk)
		p.ready.Broadcast()
	}
}

// poison fills the bytes of frames that are no longer valid.
const poison = 0xdd

// room is the capacity behind every frame that a reader may overwrite.
const room = 256

// ReadBatch is that of a port. It returns os.ErrClosed after Close and wraps ENETDOWN while the port is down.
func (p *Port) ReadBatch(ps []drawbridge.Packet) (int, error) {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	for _, f := range p.lent {
		for i := range f {
			f[i] = poison
		}
	}
	p.lent = p.lent[:0]
	for len(p.queue) == 0 && !p.closed && !p.down {
		p.ready.Wait()
	}
	switch {
	case p.closed:
		return 0, os.ErrClosed
	case p.down:
		return 0, syscall.ENETDOWN
	}
	n := min(len(ps), len(p.queue))
	for i, pk := range p.queue[:n] {
		own := make(drawbridge.Frame, len(pk.Frame), len(pk.Frame)+room)
		copy(own, pk.Frame)
		ps[i] = drawbridge.Packet{Frame: own, Offload: pk.Offload}
		p.lent = append(p.lent, own)
	}
	p.queue = slices.Delete(p.queue, 0, n)
	return n, nil
}

// Drain takes what waits now, for good: the frames stay.
func (p *Port) Drain() []drawbridge.Packet {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	all := p.queue
	p.queue = nil
	return all
}

// WriteBatch is that of a port.
func (p *Port) WriteBatch(ps []drawbridge.Packet) (taken int, err error) {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	switch {
	case p.closed:
		return 0, os.ErrClosed
	case p.down:
		p.drops["down"] += uint64(len(ps))
		return 0, syscall.ENETDOWN
	}
	for _, pk := range ps {
		switch {
		case len(pk.Frame) < drawbridge.MinFrame:
			p.drops["malformed"]++
		case pk.Offload.GSO == drawbridge.GSONone && len(pk.Frame) > p.MTU()+drawbridge.MinFrame+4:
			p.drops["too-big"]++
		case p.segment.give(p, pk):
			taken++
		}
	}
	return taken, nil
}

// Drops counts what the port lost, by reason. Faults are not counted: they are the test's own.
func (p *Port) Drops() map[string]uint64 {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	counts := make(map[string]uint64, len(p.drops))
	for reason, n := range p.drops {
		counts[reason] = n
	}
	return counts
}

// Cut separates the port from the segment without its noticing, as a pulled cable behind a switch does, or joins it
// again.
func (p *Port) Cut(cut bool) {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	p.cut = cut
}

// Down sets the port's interface down, which reading and writing report, or up again.
func (p *Port) Down(down bool) {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	p.down = down
	p.ready.Broadcast()
}

// Close ends the port.
func (p *Port) Close() error {
	p.segment.mu.Lock()
	defer p.segment.mu.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	p.closed = true
	p.queue = nil
	p.segment.ports = slices.DeleteFunc(p.segment.ports, func(q *Port) bool { return q == p })
	p.ready.Broadcast()
	return nil
}
