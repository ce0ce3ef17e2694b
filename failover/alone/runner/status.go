package runner

import (
	"maps"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/alone"
)

// PortStatus is what an operator sees of a port.
type PortStatus struct {
	alone.PortState
	Interface string
	VLAN      uint16
	Clear     bool   // under the lease that is held; of a guest port, at all
	Open      bool   // the packet socket is open
	Problem   string // why it is not, or why the last hello was not sent
	Heard     uint64 // frames of our EtherType, whoever sent them
	Sent      uint64
	Refused   uint64 // frames that the kernel did not take
	Losses    uint64 // how often the socket failed
}

// status is one look at the machine. Nobody changes it.
type status struct {
	ports []PortStatus
	drops map[string]uint64
}

// Ports lists the ports by id. It waits for nobody: carriers, tenures, verdicts and alarms are shown at once, the rest is
// at most 0.1 s or one hello interval old, whichever is longer.
func (r *Runner) Ports() []PortStatus { return slices.Clone(r.shown.Load().ports) }

// Spoke is how a port has spoken so far, by the runner's clock, which reads now; all 0 if there is no such port.
func (r *Runner) Spoke(id alone.PortID) (s alone.Spoke, now time.Duration) {
	if p := (*r.table.Load())[id]; p != nil {
		s.Due = time.Duration(p.due.Load())
		s.Last, s.Late = time.Duration(p.spoke.Load()), time.Duration(p.late.Load())
	}
	return s, r.cfg.Now()
}

// Drops counts, by reason, what was heard and not obeyed. It is as old as Ports.
func (r *Runner) Drops() map[string]uint64 { return maps.Clone(r.shown.Load().drops) }

// show renews what Ports and Drops answer, when it is due.
func (r *Runner) show() {
	now := r.cfg.Now()
	if !r.own.changed && now-r.own.shownAt < showEvery {
		return
	}
	r.own.changed, r.own.shownAt = false, now
	s := &status{drops: maps.Clone(r.own.machine.Drops())}
	for _, state := range r.own.machine.Ports(now) {
		p := r.known(state.ID)
		r.own.machine.Counted(p.ID, p.injected.Load(), p.captured.Load())
		s.ports = append(s.ports, p.status(state))
	}
	r.shown.Store(s)
	for _, id := range r.own.heard {
		r.cfg.Hooks.Heard(id)
	}
	for _, id := range r.own.listen {
		r.cfg.Hooks.Listen(id)
	}
	r.own.heard, r.own.listen = r.own.heard[:0], r.own.listen[:0]
}

func (p *port) status(state alone.PortState) PortStatus {
	s := PortStatus{
		PortState: state, Interface: p.Interface, VLAN: p.VLAN, Clear: p.clear.Load() != 0, Open: p.wire != nil,
		Heard: p.heard, Sent: p.sent, Refused: p.refused, Losses: p.losses,
	}
	if p.problem != nil {
		s.Problem = p.problem.Error()
	}
	return s
}
