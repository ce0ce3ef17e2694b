package appliance

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/web"
)

// drillSchedule is who asks for a drill that nobody asked for.
const drillSchedule = "schedule"

// lookAtSchedule is how often it is looked whether the time for a drill has come; minutes are its measure.
const lookAtSchedule = 5 * time.Second

// lately is when something was last done, by a clock that does not step.
type lately struct {
	mu    sync.Mutex // guards what follows
	at    time.Duration
	known bool
}

// note keeps the newest.
func (l *lately) note(at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known || at > l.at {
		l.at, l.known = at, true
	}
}

// ago is how long ago it was; negative: never, as far as is known.
func (l *lately) ago(now time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.known {
		return -1
	}
	return now - l.at
}

// followDrills makes the drills of the network configuration, where this gateway is active when their time comes.
func (n *Node) followDrills(ctx context.Context) error {
	tick := time.NewTicker(lookAtSchedule)
	defer tick.Stop()
	for {
		for _, p := range n.ports {
			if p.segment != nil && n.drillDue(p) {
				p.drilled.note(n.elapsed())
				go n.drillOnSchedule(p)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *Node) drillDue(p *port) bool {
	table, err := netconfig.ParseTimetable(n.network.inForce().Segment(p.segment.Name).Drill)
	if err != nil {
		return false // none is wanted
	}
	_, open := p.gate.Permit()
	return open && table.Due(time.Now(), n.elapsed(), p.drilled.ago(n.elapsed()))
}

// drillOnSchedule makes one drill, or says why it does not.
func (n *Node) drillOnSchedule(p *port) {
	o := &order{ID: newID(), Kind: orderDrill, Segment: p.segment.Name, By: drillSchedule}
	op := n.begin(o.operation())
	if why := n.busy(p, op); why != "" {
		op.end(web.OperationRefused, why)
	} else {
		op.finish(n.drill(n.life, op, o))
	}
	v := op.read()
	if v.Drill == nil { // it was not begun, so nothing was measured
		v.Drill = &web.DrillReport{
			ID: v.ID, Segment: v.Segment, Time: v.Started, By: v.By, Skipped: v.State == web.OperationRefused, Outcome: v.Outcome, Legs: []web.DrillLeg{},
		}
		n.keepDrill(*v.Drill)
	}
	n.tellDrill(p, v.Drill)
}

func (n *Node) tellDrill(p *port, d *web.DrillReport) {
	e := web.Event{
		Level: web.LevelInfo, Kind: notify.KindDrilled, Segment: d.Segment, Port: p.name(), Reason: d.Outcome,
		Text: fmt.Sprintf("the drill of segment %s on schedule: %s", d.Segment, d.Outcome),
	}
	switch {
	case d.Skipped:
		e.Level, e.Kind = web.LevelWarn, notify.KindNoDrill
		e.Text = fmt.Sprintf("the drill of segment %s on schedule was skipped: %s", d.Segment, d.Outcome)
	case !d.OK:
		e.Level, e.Kind = web.LevelError, notify.KindBadDrill
		e.Text = fmt.Sprintf("the drill of segment %s on schedule failed: %s", d.Segment, d.Outcome)
	}
	n.log.Info("drill on schedule", "port", p.name(), "reason", d.Outcome)
	n.event(e)
	n.changed.tell()
}

// lastDrill is the newest report of a segment on this peer.
func (n *Node) lastDrill(segment string) (d web.DrillReport, known bool) {
	for _, r := range n.Drills() {
		if r.Segment == segment {
			return r, true
		}
	}
	return d, false
}
