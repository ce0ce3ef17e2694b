package forwarder

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
)

// A guest port has no lease and no gate, but it can be blocked: when somebody has cabled the guests' network to a
// segment, or to another peer's guests, frames would go in circles through it. Who finds that out (ALONE,
// docs/protocol/alone.md) hears the frames of neighbours on the port and speaks to them, blocked or not.

// Block stops frames in both directions on a guest port, or lets them pass again. A segment port has its gate for that.
func (a *Attached) Block(on bool) { a.blocked.Store(on) }

// Speak writes a frame to the neighbours on a guest port's wire, whether it is blocked or not, and reports whether the
// port took it. It must be of a kind that no peer carries on.
func (a *Attached) Speak(f drawbridge.Frame) bool {
	if a.cfg.Gate != nil || !linkLocal(f) {
		return false
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	n, err := a.cfg.Port.WriteBatch([]drawbridge.Packet{{Frame: f}})
	return err == nil && n == 1
}

// overhear tells of a frame between neighbours that was read from a guest port.
func (a *Attached) overhear(f drawbridge.Frame) {
	if a.cfg.Overhear != nil {
		a.cfg.Overhear(f)
	}
}

// overhearBlocked looks for them in a batch that goes no further.
func (a *Attached) overhearBlocked(ps []drawbridge.Packet) {
	if a.cfg.Overhear == nil {
		return
	}
	for i := range ps {
		if f := ps[i].Frame; len(f) >= drawbridge.MinFrame && linkLocal(f) {
			a.cfg.Overhear(f)
		}
	}
}

// strayed tells of a frame between neighbours that came out of the overlay, where none is ever sent: somebody else
// bridges its wire to the overlay.
func (s *Switch) strayed(f drawbridge.Frame) {
	if s.cfg.Strayed != nil {
		s.cfg.Strayed(f)
	}
}

// ALONE is the payload of an ALONE frame, behind all VLAN tags; nil when f is something else.
func ALONE(f drawbridge.Frame) []byte {
	if len(f) < drawbridge.MinFrame {
		return nil
	}
	at, etherType := network(f)
	if etherType != etherTypeALONE {
		return nil
	}
	return f[at:]
}
