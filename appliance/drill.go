package appliance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// Rhythm of a drill: probes go for a while before the move and after it.
const (
	drillBefore = 300 * time.Millisecond
	drillAfter  = 700 * time.Millisecond
	drillLeg    = 15 * time.Second // at most
)

// maxDrills bounds the reports that are kept.
const maxDrills = 64

// drillsDir in the state directory holds the reports, one file each.
const drillsDir = "drills"

// drills are the reports of this peer.
type drills struct {
	mu  sync.Mutex // guards what follows
	all []web.DrillReport
}

// Drill implements web.Node.
func (n *Node) Drill(ctx context.Context, segment string, r web.DrillRequest) (web.Operation, error) {
	at, err := n.giverOf(segment, r.To)
	if err != nil {
		return web.Operation{}, err
	}
	return n.delegate(ctx, at, &order{Kind: orderDrill, Segment: segment, To: r.To, By: r.By})
}

// Drills implements web.Node.
func (n *Node) Drills() []web.DrillReport {
	n.drills.mu.Lock()
	defer n.drills.mu.Unlock()
	all := slices.Clone(n.drills.all)
	slices.Reverse(all)
	return all
}

// drill moves a segment of ours to another gateway and back, and measures both.
func (n *Node) drill(ctx context.Context, op *operation, o *order) error {
	p, to, ok, err := n.preflight(ctx, op, o.Segment, o.To)
	if err != nil {
		return err
	}
	if !ok {
		op.end(web.OperationRefused, "not ready: "+firstBad(op.read().Checks))
		return nil
	}
	op.step("checked", string(n.creds.Name), "every check passes")
	v := op.read()
	d := &web.DrillReport{ID: v.ID, Segment: o.Segment, Time: v.Started, By: o.By, Legs: []web.DrillLeg{}}
	there := func() (*web.HandoverResult, error) {
		leg := n.begin(web.Operation{Kind: orderSwitchover, Segment: o.Segment, To: string(to.Name), By: "drill"})
		go func() { leg.finish(n.give(n.life, leg, p, to.Name, to.ID)) }() // its trail goes on when the leg is over
		select {
		case <-leg.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if v := leg.read(); v.State != web.OperationDone {
			return v.Handover, errors.New(v.Outcome)
		}
		return leg.read().Handover, nil
	}
	back := func() (r *web.HandoverResult, err error) {
		var last web.Operation
		err = n.ask(ctx, to.ID, &order{ID: newID(), Kind: orderSwitchover, Segment: o.Segment, To: string(n.creds.Name), By: "drill"},
			func(v web.Operation) { last = v })
		if err == nil && last.State != web.OperationDone {
			err = errors.New(last.Outcome)
		}
		return last.Handover, err
	}
	err = n.leg(ctx, op, d, p, to, string(n.creds.Name), string(to.Name), there)
	if err == nil {
		err = n.leg(ctx, op, d, p, to, string(to.Name), string(n.creds.Name), back)
	}
	n.report(op, d, err)
	return nil
}

// leg measures one way.
func (n *Node) leg(ctx context.Context, op *operation, d *web.DrillReport, p *port, other mesh.PeerStatus, from, to string, move func() (*web.HandoverResult, error)) error {
	ctx, cancel := context.WithTimeout(ctx, drillLeg)
	defer cancel()
	pr, err := n.startProbing(ctx, p, other)
	if err != nil {
		return fmt.Errorf("probes to %s: %w", to, err)
	}
	pause(ctx, drillBefore)
	result, err := move()
	pause(ctx, drillAfter)
	probes := pr.stop(ctx, result == nil || result.Buffered)
	d.Legs = append(d.Legs, web.DrillLeg{From: from, To: to, Handover: result, Probes: probes})
	if err != nil {
		return fmt.Errorf("from %s to %s: %w", from, to, err)
	}
	op.step("moved", to, fmt.Sprintf("%s is active; %s", to, probesText(probes)))
	return nil
}

func probesText(all []web.DrillProbe) string {
	var parts []string
	for _, b := range all {
		parts = append(parts, fmt.Sprintf("%s: %d of %d lost, %d doubled, %d out of order, longest silence %.1f ms",
			b.Direction, b.Lost, b.Sent, b.Duplicated, b.Reordered, float64(b.Silence)))
	}
	return strings.Join(parts, "; ")
}

// report ends a drill: the report is judged, kept and told.
func (n *Node) report(op *operation, d *web.DrillReport, err error) {
	d.OK, d.Outcome = judgeDrill(d.Legs, int(n.term()/probeEvery))
	d.OK = d.OK && err == nil
	if err != nil {
		d.Outcome = err.Error() + "; " + d.Outcome
	}
	n.keepDrill(*d)
	op.change(func(v *web.Operation) { v.Drill = d })
	if err != nil {
		op.end(web.OperationFailed, d.Outcome)
		return
	}
	op.end(web.OperationDone, d.Outcome)
}

// judgeDrill adds up what the probes of both ways found. Nothing may be lost, doubled or out of order, but for a gap in each
// direction of a leg whose gateways kept no frames, as the kernel carried them: of that many probes at most, and no others.
func judgeDrill(legs []web.DrillLeg, gap int) (ok bool, outcome string) {
	lost, doubled, reordered, bare := 0, 0, 0, false
	var silence web.Milliseconds
	ok = true
	for _, l := range legs {
		unkept := l.Handover != nil && !l.Handover.Buffered
		bare = bare || unkept
		for _, b := range l.Probes {
			lost, doubled, reordered = lost+b.Lost, doubled+b.Duplicated, reordered+b.Reordered
			silence = max(silence, b.Silence)
			ok = ok && (b.Lost == 0 || unkept && b.Lost == b.Gap && b.Gap <= gap)
		}
	}
	ok = ok && doubled+reordered == 0
	outcome = fmt.Sprintf("%d lost, %d doubled, %d out of order; longest silence %.1f ms", lost, doubled, reordered, float64(silence))
	switch {
	case lost == 0 || !bare:
	case ok:
		outcome += "; the kernel carries the overlay, so a move may lose what comes while no gate is open"
	default:
		outcome += fmt.Sprintf("; the kernel carries the overlay, so a move may lose what comes while no gate is open: %d probes on end each way, and no others", gap)
	}
	return ok, outcome
}

// keepDrill remembers a report, also on disk.
func (n *Node) keepDrill(d web.DrillReport) {
	n.drills.mu.Lock()
	defer n.drills.mu.Unlock()
	n.drills.all = append(n.drills.all, d)
	dir := filepath.Join(n.creds.Dir(), drillsDir)
	for len(n.drills.all) > maxDrills {
		_ = os.Remove(filepath.Join(dir, n.drills.all[0].ID+".json"))
		n.drills.all = slices.Clone(n.drills.all[1:])
	}
	b, err := json.Marshal(d)
	if err == nil {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = os.WriteFile(filepath.Join(dir, d.ID+".json"), b, 0o600)
		}
	}
	if err != nil {
		n.log.Warn("report of a drill was not kept", "err", err)
	}
}

// loadDrills reads the reports of earlier runs.
func (n *Node) loadDrills() {
	dir := filepath.Join(n.creds.Dir(), drillsDir)
	files, err := os.ReadDir(dir)
	if err != nil {
		return // none yet
	}
	n.drills.mu.Lock()
	defer n.drills.mu.Unlock()
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		var d web.DrillReport
		if err == nil && json.Unmarshal(b, &d) == nil {
			n.drills.all = append(n.drills.all, d)
		}
	}
	slices.SortFunc(n.drills.all, func(a, b web.DrillReport) int { return a.Time.Compare(b.Time) })
	n.drills.all = n.drills.all[max(0, len(n.drills.all)-maxDrills):]
}

// judge counts what became of numbered probes that crossed at two places whose clocks differ. Each clock is set right
// by its fastest probe: the way there takes no time, as far as a pause is concerned. Apart means that one number at two places is two frames.
func judge(direction string, sent int, apart bool, places ...[]handover.Crossing) web.DrillProbe {
	type crossing struct {
		handover.Crossing
		place int
	}
	v := web.DrillProbe{Direction: direction, Sent: sent}
	var all []crossing
	for place, p := range places {
		fastest := handover.Never
		for _, c := range p {
			fastest = min(fastest, c.At-time.Duration(c.Number)*probeEvery)
		}
		for _, c := range p {
			all = append(all, crossing{handover.Crossing{Number: c.Number, At: c.At - fastest}, place})
		}
	}
	slices.SortStableFunc(all, func(a, b crossing) int { return cmp.Compare(a.At, b.At) })
	first, newest := map[uint32]int{}, make([]uint32, len(places))
	for i, c := range all {
		place, seen := first[c.Number]
		line := 0
		if apart {
			line = c.place
		}
		switch {
		case seen && apart && place != c.place: // another frame
		case seen:
			v.Duplicated++
		case c.Number < newest[line]:
			v.Reordered++
		}
		if !seen {
			first[c.Number] = c.place
		}
		newest[line] = max(newest[line], c.Number)
		if i > 0 {
			v.Silence = max(v.Silence, web.MillisecondsOf(c.At-all[i-1].At))
		}
	}
	v.Lost = sent - len(first)
	for i, missing := uint32(1), 0; int(i) <= sent; i++ {
		missing++
		if _, came := first[i]; came {
			missing = 0
		}
		v.Gap = max(v.Gap, missing)
	}
	return v
}
