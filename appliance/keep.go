package appliance

import (
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/announce"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// keepBytes and keepFrames bound what one gateway keeps in one direction (docs/protocol/handover.md, "Timers").
const (
	keepBytes  = 4 << 20
	keepFrames = 8192
)

// Phases of a keeper, in their order. The giver lists, holds and narrows; the taker holds, opens and is done.
const (
	phaseIdle = iota
	phaseListing
	phaseHolding
	phaseOpen // taker: the gate is open, own frames are still kept
	phaseNarrow
)

// keeper keeps the frames of a segment port during a planned move. It is the forwarder's Holder.
type keeper struct {
	// Set at construction, then constant.
	port     *port
	attached *forwarder.Attached // nil: the port does not work
	talk     *talk               // giver: where what is kept goes; nil: taker
	marker   uint32
	marked   chan struct{}  // giver: closed when the marker was heard
	again    chan struct{}  // taker: to look whether frames can be released
	self     drawbridge.MAC // of the port

	mu      sync.Mutex // guards what follows; never held while the port is called
	phase   int
	lists   [2]handover.List                  // by direction: what the giver had
	own     [2]shelf                          // taker: its own, by direction
	given   [2]shelf                          // taker: the giver's, until the gate is open
	open    bool                              // taker: the giver's frames pass
	passes  [2]bool                           // taker: so do its own, by direction
	settled bool                              // taker: the giver has sent its list
	begun   map[handover.Turned]time.Duration // taker: sources that have turned, and when
	ended   map[handover.Turned]bool          // taker: whose last frame the old way came before the first here
	echoes  handover.List                     // taker: what the giver injected, which the segment may bring back
	counts  handover.Counts
	dropped uint64 // giver: for want of room
	heard   bool   // giver: the marker

	// Owned by whoever forwards the giver's frames: open, then the stream's goroutine.
	theirsOut *forwarder.Releaser
}

// shelf holds copies of frames in order.
type shelf struct {
	frames []held
	bytes  int
}

type held struct {
	p     drawbridge.Packet
	flood bool // both gateways may have it
}

// put copies a frame; false: there is no room.
func (s *shelf) put(p *drawbridge.Packet, flood bool) bool {
	if len(s.frames) >= keepFrames || s.bytes+len(p.Frame) > keepBytes {
		return false
	}
	s.frames = append(s.frames, held{drawbridge.Packet{Frame: copyFrame(p.Frame), Offload: p.Offload}, flood})
	s.bytes += len(p.Frame)
	return true
}

// copyFrame leaves the room behind the frame that sealing wants.
func copyFrame(f drawbridge.Frame) drawbridge.Frame {
	const room = 256
	return append(make(drawbridge.Frame, 0, len(f)+room), f...)
}

// take empties the shelf.
func (s *shelf) take() []held {
	all := s.frames
	s.frames, s.bytes = nil, 0
	return all
}

// index of a direction.
func index(direction uint8) int { return int(direction - handover.Captured) }

func newKeeper(p *port) *keeper {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &keeper{port: p, attached: p.attached, marked: make(chan struct{}), self: p.stationAddress()}
}

func newGiverKeeper(p *port, t *talk, marker uint32) *keeper {
	k := newKeeper(p)
	k.talk, k.marker = t, marker
	return k
}

func newTakerKeeper(p *port) *keeper {
	k := newKeeper(p)
	k.again = make(chan struct{}, 1)
	k.begun, k.ended = map[handover.Turned]time.Duration{}, map[handover.Turned]bool{}
	if k.attached != nil {
		k.theirsOut = k.attached.Releaser()
	}
	return k
}

// list begins the giver's list.
func (k *keeper) list() { k.enter(phaseListing) }

func (k *keeper) enter(phase int) {
	k.mu.Lock()
	k.phase = phase
	k.mu.Unlock()
	if k.attached != nil {
		k.attached.SetHolder(k)
	}
}

// hold keeps every frame from now on. The giver sends its list at that moment, and returns when nothing is on its way
// past the hold any more.
func (k *keeper) hold() {
	if k.attached == nil {
		return
	}
	k.port.gate.Hold(gate.Now().Add(handover.HoldFor + handover.SettleFor))
	k.mu.Lock()
	k.phase = phaseHolding
	if k.talk != nil {
		for d := range k.lists {
			k.sendList(uint8(d)+handover.Captured, k.lists[d].All())
		}
	}
	k.mu.Unlock()
	k.attached.SetHolder(k)
	k.attached.Quiesce()
}

func (k *keeper) sendList(direction uint8, all []uint64) {
	for len(all) > 0 {
		n := min(len(all), handover.MaxHashes)
		k.talk.post(&handover.Message{Kind: handover.Seen, Direction: direction, Hashes: all[:n]})
		all = all[n:]
	}
}

// Captured implements forwarder.Holder.
func (k *keeper) Captured(ps []drawbridge.Packet) []drawbridge.Packet {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.phase == phaseListing:
		for i := range ps {
			k.lists[0].Add(handover.Hash(ps[i].Frame))
		}
	case k.talk != nil && k.phase == phaseHolding:
		for i := range ps {
			k.giveCaptured(&ps[i])
		}
		return nil
	case k.talk == nil && (k.phase == phaseHolding || k.phase == phaseOpen):
		ps = k.fresh(0, ps, func(i int) bool { return k.flooded(ps[i].Frame) })
	}
	return ps
}

// flooded reports whether a frame that the taker reads from the segment after it has announced the overlay's stations
// there may have reached the giver, too.
func (k *keeper) flooded(f drawbridge.Frame) bool {
	if len(f) < drawbridge.MinFrame || f.Dst().Group() {
		return true
	}
	known, behind := k.port.node.sw.Where(k.port.vni(), f.Dst())
	return !known || behind
}

// giveCaptured hands a frame of the segment to the taker, unless the taker itself has just sent it there.
func (k *keeper) giveCaptured(p *drawbridge.Packet) {
	if id, ok := announce.MarkerID(p.Frame); ok {
		if id == k.marker && !k.heard {
			k.heard = true
			close(k.marked)
		}
		return
	}
	if len(p.Frame) >= drawbridge.MinFrame && k.port.node.elsewhere(k.port.vni(), p.Frame.Src()) {
		return
	}
	k.hand(handover.Captured, p, false)
}

// hand sends a frame to the taker.
func (k *keeper) hand(direction uint8, p *drawbridge.Packet, flood bool) {
	if !k.talk.post(&handover.Message{Kind: handover.Frame, Direction: direction, Flood: flood, Packet: *p}) {
		k.dropped++
	}
}

// elsewhere reports whether an address is known to be somewhere in the overlay, not behind the segment.
func (n *Node) elsewhere(vni drawbridge.VNI, m drawbridge.MAC) bool {
	known, behind := n.sw.Where(vni, m)
	return known && !behind
}

// Injected implements forwarder.Holder.
func (k *keeper) Injected(ps []drawbridge.Packet, floods []bool) []drawbridge.Packet {
	k.mu.Lock()
	defer k.mu.Unlock()
	flood := func(i int) bool { return i < len(floods) && floods[i] }
	switch {
	case k.phase == phaseListing:
		for i := range ps {
			k.lists[1].Add(handover.Hash(ps[i].Frame))
		}
	case k.talk != nil && k.phase == phaseNarrow && k.cameBack():
	case k.talk != nil && (k.phase == phaseHolding || k.phase == phaseNarrow):
		for i := range ps {
			if k.phase == phaseHolding || !flood(i) {
				k.hand(handover.Injected, &ps[i], flood(i))
			}
		}
		return nil
	case k.talk == nil && (k.phase == phaseHolding || k.phase == phaseOpen):
		ps = k.fresh(1, ps, flood)
	}
	return ps
}

// fresh keeps frames of the taker's own, and lets pass what may go on: nothing until those that were kept have gone.
// After that floods may still come that the giver has forwarded, because the way here was longer.
func (k *keeper) fresh(d int, ps []drawbridge.Packet, flood func(int) bool) []drawbridge.Packet {
	rest := ps[:0]
	for i := range ps {
		mayBeTwo := k.phase == phaseHolding || flood(i)
		switch {
		case !k.passes[d]:
			if !k.own[d].put(&ps[i], mayBeTwo) {
				k.counts.Dropped++
			}
		case mayBeTwo && k.lists[d].Take(handover.Hash(ps[i].Frame)):
			k.counts.Twice++
		default:
			rest = append(rest, ps[i])
		}
	}
	return rest
}

// theirs hears a frame that the giver kept.
func (k *keeper) theirs(m *handover.Message) {
	if k.attached == nil {
		return
	}
	d := index(m.Direction)
	if d == 0 && k.port.node.elsewhere(k.port.vni(), m.Packet.Frame.Src()) {
		return
	}
	k.mu.Lock()
	h := handover.Hash(m.Packet.Frame)
	k.lists[d].Add(h)
	if !k.open {
		if !k.given[d].put(&m.Packet, false) {
			k.counts.Dropped++
		}
		k.mu.Unlock()
		return
	}
	k.counts.Handed++
	k.mu.Unlock()
	k.pass(d, []drawbridge.Packet{{Frame: copyFrame(m.Packet.Frame), Offload: m.Packet.Offload}})
}

func (k *keeper) pass(d int, ps []drawbridge.Packet) {
	if d == 0 {
		k.theirsOut.Capture(ps)
	} else {
		k.attached.InjectHeld(ps)
	}
}

// listed hears what the giver has forwarded itself.
func (k *keeper) listed(m *handover.Message) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range m.Hashes {
		k.lists[index(m.Direction)].Add(h)
		if m.Direction == handover.Injected {
			k.echoes.Add(h)
		}
	}
}

// openUp forwards what the giver has sent, and from then on lets it pass as it comes. The first frame turns the
// peers to this gateway: each believes the frame of a newer tenure, before any news.
func (k *keeper) openUp(id uint32) {
	if k.attached == nil {
		return
	}
	k.pass(0, []drawbridge.Packet{{Frame: announce.Marker(k.self, id)}})
	k.mu.Lock()
	k.phase = phaseOpen
	for {
		captured, injected := k.given[0].take(), k.given[1].take()
		if len(captured)+len(injected) == 0 {
			break
		}
		k.counts.Handed += uint64(len(captured) + len(injected))
		k.mu.Unlock()
		k.pass(1, packets(injected))
		k.pass(0, packets(captured))
		k.mu.Lock()
	}
	k.open = true
	k.mu.Unlock()
}

func packets(all []held) []drawbridge.Packet {
	ps := make([]drawbridge.Packet, len(all))
	for i := range all {
		ps[i] = all[i].p
	}
	return ps
}

// release forwards what the taker kept itself, less what the giver had, and lets the rest pass from then on. Frames to
// the segment wait for as long as a source that has turned here has frames on the old way; it answers false then.
func (k *keeper) release() bool {
	if k.attached == nil {
		return true
	}
	k.port.gate.Hold(0)
	k.mu.Lock()
	k.settled = true
	first := !k.passes[0]
	k.mu.Unlock()
	if first {
		out := k.attached.Releaser()
		k.drain(0, out.Capture)
		out.Close()
	}
	return k.drain(1, k.attached.InjectHeld)
}

// drain forwards the frames of one direction until none is left, and lets later ones pass. It answers false when that
// must wait.
func (k *keeper) drain(d int, forward func([]drawbridge.Packet)) bool {
	for {
		k.mu.Lock()
		if d == 1 && k.turning() {
			k.mu.Unlock()
			return false
		}
		all := k.own[d].take()
		if len(all) == 0 {
			k.passes[d] = true
			k.mu.Unlock()
			return true
		}
		ps := k.once(d, all)
		k.mu.Unlock()
		forward(ps)
	}
}

// turning reports whether a source has turned here whose frames on the old way have not all come. The caller holds mu.
func (k *keeper) turning() bool {
	now := k.port.node.elapsed()
	for t, since := range k.begun {
		if now-since < handover.TurnFor {
			return true
		}
		delete(k.begun, t) // its mark was lost
	}
	return false
}

// Turned implements forwarder.Holder.
func (k *keeper) Turned(t forwarder.Turn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := handover.Turned{Origin: t.Origin, Source: t.Source, Number: t.Number}
	if k.talk != nil {
		if k.phase == phaseHolding || k.phase == phaseNarrow {
			k.talk.post(&handover.Message{Kind: handover.Turn, Turned: m})
		}
		return
	}
	if k.phase != phaseHolding && k.phase != phaseOpen {
		return
	}
	if k.ended[m] {
		delete(k.ended, m)
		return
	}
	if len(k.begun) < maxTurning {
		k.begun[m], k.passes[1] = k.port.node.elapsed(), false
		k.look()
	}
}

// maxTurning bounds the sources that turn at once; each peer has as many as it has queues.
const maxTurning = 1024

// turned hears that a source's last frame the old way has come.
func (k *keeper) turned(m handover.Turned) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, begun := k.begun[m]; begun {
		delete(k.begun, m)
		k.look()
		return
	}
	if len(k.ended) < maxTurning {
		k.ended[m] = true
	}
}

// look asks the move's goroutine to see whether frames can be released.
func (k *keeper) look() {
	select {
	case k.again <- struct{}{}:
	default: // it will look anyway
	}
}

// account is what has become of the frames so far.
func (k *keeper) account() handover.Counts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counts
}

// waits reports whether frames wait although the giver has sent all of its own.
func (k *keeper) waits() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.settled && !k.passes[1]
}

// once leaves out what the giver had. The caller holds mu.
func (k *keeper) once(d int, all []held) []drawbridge.Packet {
	ps := make([]drawbridge.Packet, 0, len(all))
	for i := range all {
		h := handover.Hash(all[i].p.Frame)
		if all[i].flood && k.lists[d].Take(h) || d == 0 && k.echoes.Take(h) {
			k.counts.Twice++
			continue
		}
		ps = append(ps, all[i].p)
	}
	k.counts.Kept += uint64(len(ps))
	return ps
}

// cameBack reports whether the giver has the segment again, because the taker lost it at once: then it writes for
// itself, and nothing more is handed over.
func (k *keeper) cameBack() bool {
	_, open := k.port.gate.Permit()
	return open
}

// narrow ends the giver's part in floods and in what the segment sends: from now on they are the taker's. What peers
// still send to this gateway alone goes on being handed over.
func (k *keeper) narrow() {
	k.mu.Lock()
	k.phase = phaseNarrow
	k.mu.Unlock()
	k.port.gate.Hold(0)
	k.talk.post(&handover.Message{Kind: handover.End, Phase: 1})
}

// end ends the hold, and drops what is still kept.
func (k *keeper) end() {
	if k.attached == nil {
		return
	}
	k.attached.SetHolder(nil)
	k.port.gate.Hold(0)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.phase == phaseNarrow {
		k.talk.post(&handover.Message{Kind: handover.End, Phase: 2})
	}
	k.phase = phaseIdle
	for d := range k.own {
		k.counts.Dropped += uint64(len(k.own[d].take()) + len(k.given[d].take()))
	}
}

// lost is how many frames the giver had no room for.
func (k *keeper) lost() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dropped
}

// close gives back what forwards the giver's frames; nothing is forwarded after it.
func (k *keeper) close() {
	if k.theirsOut != nil {
		k.theirsOut.Close()
	}
}

// announce tells the segment's switches where the overlay's stations are now, and the giver that they have been told.
func (k *keeper) announce(id uint32) {
	if k.attached == nil {
		return
	}
	frames := k.port.announcements(announce.Planned)
	frames = append(frames, drawbridge.Packet{Frame: announce.Marker(k.self, id)})
	k.attached.InjectHeld(frames)
}
