package keep

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// maxTurning bounds the sources that turn at once; each peer has as many as it has queues.
const maxTurning = 1024

// Release forwards what the taker kept itself, less what the giver had, and lets the rest pass from then on. Frames to
// the segment wait for as long as a source that has turned here has frames on the old way; it answers false then.
func (t *Taker) Release() bool {
	if !t.port.works() {
		return true
	}
	t.port.Gate.Hold(0)
	t.mu.Lock()
	t.settled = true
	t.mu.Unlock()
	if t.ownOut != nil { // the first time
		t.drain(0, t.ownOut.Capture)
		t.ownOut.Close()
		t.ownOut = nil
	}
	return t.drain(1, t.port.Attached.InjectHeld)
}

// drain forwards the frames of one direction until none is left, and lets later ones pass. It answers false when that
// must wait.
func (t *Taker) drain(d int, forward func([]drawbridge.Packet)) bool {
	for {
		t.mu.Lock()
		if d == 1 && t.turning() {
			t.mu.Unlock()
			return false
		}
		all := t.own[d].take()
		if len(all) == 0 {
			t.passes[d] = true
			t.mu.Unlock()
			return true
		}
		ps := t.once(d, all)
		t.mu.Unlock()
		forward(ps)
	}
}

// once leaves out what the giver had. The caller holds mu.
func (t *Taker) once(d int, all []held) []drawbridge.Packet {
	ps := make([]drawbridge.Packet, 0, len(all))
	for i := range all {
		h := handover.Hash(all[i].p.Frame)
		if all[i].flood && t.lists[d].Take(h) || d == 0 && t.echoes.Take(h) {
			t.counts.Twice++
			continue
		}
		ps = append(ps, all[i].p)
	}
	t.counts.Kept += uint64(len(ps))
	return ps
}

// Waits reports whether frames wait although the giver has sent all of its own.
func (t *Taker) Waits() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled && !t.passes[1]
}

// Turned implements forwarder.Holder.
func (t *Taker) Turned(turn forwarder.Turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := turnedOf(turn)
	switch {
	case !t.holding:
	case t.ended[m]:
		delete(t.ended, m)
	case len(t.begun) < maxTurning:
		t.begun[m], t.passes[1] = t.port.Now(), false
		t.look()
	}
}

// Ended hears from the giver that a source's last frame the old way has come.
func (t *Taker) Ended(m handover.Turned) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, begun := t.begun[m]; begun {
		delete(t.begun, m)
		t.look()
		return
	}
	if len(t.ended) < maxTurning {
		t.ended[m] = true
	}
}

// turning reports whether a source has turned here whose frames on the old way have not all come. The caller holds mu.
func (t *Taker) turning() bool {
	now := t.port.Now()
	for m, since := range t.begun {
		if now-since < handover.TurnFor {
			return true
		}
		delete(t.begun, m) // its mark was lost
	}
	return false
}

// look asks the move's goroutine to see whether frames can be released.
func (t *Taker) look() {
	select {
	case t.again <- struct{}{}:
	default: // it will look anyway
	}
}
