package appliance

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// ordersService is the name under which peers ask each other to do what an operator asked for.
const ordersService = "orders"

// Kinds of orders.
const (
	orderSwitchover = "switchover"
	orderDrill      = "drill"
	orderMaintain   = "maintenance"
	orderChecks     = "checks" // only look, at the gateway that would take over
)

// maxOrder bounds a line of the service: an operation with all its checks and steps.
const maxOrder = 256 << 10

// order is what one peer asks of another. The answers are operations, one JSON document a line, until it has ended.
type order struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Segment string `json:"segment,omitempty"`
	To      string `json:"to,omitempty"`
	By      string `json:"by,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Anyway  bool   `json:"anyway,omitempty"` // to a damped gateway, too: it is that or nobody
	On      bool   `json:"on,omitempty"`
	Why     string `json:"why,omitempty"`    // of a preemption: nobody asked
	Source  string `json:"source,omitempty"` // of an update: where from
	Want    string `json:"want,omitempty"`   // of an update: which version
	At      string `json:"at,omitempty"`     // of an update: who coordinates it
	Older   bool   `json:"older,omitempty"`
	Restart bool   `json:"restart,omitempty"` // the machine, after an update
	Size    int64  `json:"size,omitempty"`    // bytes of the bundle that follows an order to update with web.SourceUpload

	file *os.File  // the bundle, where it is on the disk
	body io.Reader // the same, where it has yet to come
}

// close lets go of the bundle.
func (o *order) close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// operation is what is shown of it.
func (o *order) operation() web.Operation {
	return web.Operation{ID: o.ID, Kind: o.Kind, Segment: o.Segment, To: o.To, By: o.By, Why: o.Why, DryRun: o.DryRun}
}

// handleMoves registers everything by which peers move segments together.
func (n *Node) handleMoves() {
	n.router.Handle(handoverService, n.serveHandover)
	n.router.Handle(ordersService, n.serveOrder)
	n.router.Handle(probesService, n.serveProbes)
	n.router.Handle(captureService, n.serveCapture)
	n.loadDrills()
	n.readiness.news, n.rolling.news, n.loopNews = n.openReadinessNews(), n.openRolloutNews(), n.openLoopNews()
	n.router.Register(readinessChannel, n.readiness.news)
	n.router.Register(stationsChannel, stationNews{n})
	n.router.Register(strayChannel, strayNews{n})
	n.router.Register(comparisonChannel, wireReports{n})
	n.router.Register(flushedChannel, flushAnswers{n})
	n.router.Register(rolloutsChannel, n.rolling.news)
	n.router.Register(loopsChannel, n.loopNews)
}

// serveOrder carries out what another peer asks for, and tells it how that stands.
func (n *Node) serveOrder(from drawbridge.PeerID, conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 4096)
	_ = conn.SetReadDeadline(time.Now().Add(orderPatience))
	line, err := in.ReadSlice('\n')
	var o order
	if err != nil || json.Unmarshal(line, &o) != nil {
		n.log.Warn("order not understood", "peer", from, "err", err)
		return
	}
	if o.Kind == orderChecks {
		n.answerOrder(conn, n.checksOperation(&o))
		return
	}
	if o.Kind == orderQuit {
		n.serveQuit(from, conn, in, &o)
		return
	}
	if o.Kind == orderUpdate && o.Source == web.SourceUpload {
		o.body = io.LimitReader(unhurried{conn, in}, o.Size)
	}
	op := n.begin(o.operation())
	go n.carryOut(op, &o)
	for {
		watch := n.changed.watch()
		v := op.read()
		if !n.answerOrder(conn, v) || v.State != web.OperationRunning {
			return
		}
		select {
		case <-n.life.Done():
			return
		case <-op.done:
		case <-watch:
		}
	}
}

// unhurried reads as long as something comes.
type unhurried struct {
	conn net.Conn
	in   io.Reader
}

func (u unhurried) Read(b []byte) (int, error) {
	_ = u.conn.SetReadDeadline(time.Now().Add(bundlePause))
	return u.in.Read(b)
}

// orderPatience is how long either side waits for a line.
const orderPatience = 5 * time.Second

func (n *Node) answerOrder(conn net.Conn, v web.Operation) bool {
	b, err := json.Marshal(v)
	if err != nil {
		return false
	}
	_ = conn.SetWriteDeadline(time.Now().Add(orderPatience))
	_, err = conn.Write(append(b, '\n'))
	return err == nil
}

// ask sends an order to another peer and hears how it stands until it has ended.
func (n *Node) ask(ctx context.Context, to drawbridge.PeerID, o *order, each func(web.Operation)) error {
	conn, err := n.router.Open(to, ordersService)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if o.file != nil {
		about, err := o.file.Stat()
		if err != nil {
			return err
		}
		o.Size = about.Size()
	}
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return err
	}
	if o.file != nil { // whoever refuses it says so, and reads no further
		go func() { _, _ = io.Copy(conn, io.NewSectionReader(o.file, 0, o.Size)) }()
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxOrder)
	for lines.Scan() {
		var v web.Operation
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("answer of the other peer: %w", err)
		}
		each(v)
		if v.State != web.OperationRunning {
			return nil
		}
	}
	return fmt.Errorf("%w: the connection to the peer that does it ended; what it did goes on there", web.ErrUnavailable)
}

// carryOut does what an order says, here.
func (n *Node) carryOut(op *operation, o *order) {
	var err error
	switch o.Kind {
	case orderSwitchover:
		err = n.switchover(n.life, op, o)
	case orderDrill:
		err = n.drill(n.life, op, o)
	case orderMaintain:
		err = n.maintain(n.life, op, o)
	case orderUpdate:
		err = n.update(n.life, op, o)
	case orderResumeRollout:
		_, err = n.resumeRollout(o.By)
	case orderAbortRollout:
		_, err = n.abortRollout(o.By)
	default:
		err = fmt.Errorf("order %q is not known here: this peer runs other software", o.Kind)
	}
	op.finish(err)
}

// finish ends an operation that has not ended itself.
func (op *operation) finish(err error) {
	select {
	case <-op.done:
		return
	default:
	}
	if err == nil {
		op.end(web.OperationDone, "done")
		return
	}
	op.end(web.OperationFailed, err.Error())
}

// delegate has an operation carried out where it must be, and shows it here. It returns when that has begun, or was
// refused.
func (n *Node) delegate(ctx context.Context, at drawbridge.PeerID, o *order) (web.Operation, error) {
	o.ID = newID()
	op := n.begin(o.operation())
	if at == n.creds.ID() {
		go n.carryOut(op, o)
	} else {
		go n.entrust(op, at, o)
	}
	return n.begun(ctx, op), nil
}

// entrust has another peer carry an operation out, and returns when that has ended.
func (n *Node) entrust(op *operation, at drawbridge.PeerID, o *order) {
	defer o.close()
	var last web.Operation
	err := n.ask(n.life, at, o, func(v web.Operation) { last = v; op.mirror(v) })
	if err != nil || last.State == web.OperationRunning {
		op.end(web.OperationFailed, fmt.Sprint(err))
		return
	}
	op.end(last.State, last.Outcome)
}

// begun waits until the checks of an operation are done: when its first step is told, or it has ended.
func (n *Node) begun(ctx context.Context, op *operation) web.Operation {
	for {
		watch := n.changed.watch()
		v := op.read()
		if v.State != web.OperationRunning || len(v.Steps) > 0 {
			return v
		}
		select {
		case <-ctx.Done():
			return v
		case <-op.done:
		case <-watch:
		}
	}
}

// Switchover implements web.Node.
func (n *Node) Switchover(ctx context.Context, segment string, r web.SwitchoverRequest) (web.Operation, error) {
	at, err := n.giverOf(segment, r.To)
	if err != nil {
		return web.Operation{}, err
	}
	return n.delegate(ctx, at, &order{Kind: orderSwitchover, Segment: segment, To: r.To, By: r.By, DryRun: r.DryRun})
}

// giverOf is the gateway that would have to give a segment up.
func (n *Node) giverOf(segment, to string) (drawbridge.PeerID, error) {
	for _, v := range n.segmentViews() {
		if v.name != segment {
			continue
		}
		known := slices.ContainsFunc(v.gateways, func(g web.Gateway) bool { return g.Peer == to })
		switch {
		case v.activeID == 0:
			return 0, fmt.Errorf("%w: segment %s has no active gateway, so there is nothing to move", web.ErrConflict, segment)
		case to != "" && !known:
			return 0, fmt.Errorf("gateway %s of segment %s %w: drawbridge segments shows which it has", to, segment, web.ErrNotFound)
		case to == string(v.active):
			return 0, fmt.Errorf("%w: %s is the active gateway of segment %s already", web.ErrConflict, to, segment)
		}
		return v.activeID, nil
	}
	return 0, web.Missing(web.KindSegment, segment)
}

// switchover moves a segment of ours to another gateway.
func (n *Node) switchover(ctx context.Context, op *operation, o *order) error {
	p, to, ok, err := n.preflight(ctx, op, o.Segment, o.To)
	if err != nil {
		return err
	}
	if o.Anyway {
		ok = !slices.ContainsFunc(op.read().Checks, func(c web.Check) bool { return !c.OK && c.Name != checkDamped })
	}
	if !ok {
		op.end(web.OperationRefused, "not ready: "+firstBad(op.read().Checks))
		return nil
	}
	if o.DryRun {
		op.end(web.OperationDone, fmt.Sprintf("%s could be moved to %s now", o.Segment, to.Name))
		return nil
	}
	if o.Why != "" {
		if refusal := n.mayBePreempted(p, op, o.To); refusal != "" {
			op.end(web.OperationRefused, refusal)
			return nil
		}
	}
	op.step("checked", string(n.creds.Name), "every check passes")
	return n.give(ctx, op, p, to.Name, to.ID)
}

func firstBad(all []web.Check) string {
	for _, c := range all {
		if !c.OK {
			return fmt.Sprintf("%s at %s: %s; needed: %s", c.Name, c.Peer, c.Value, c.Need)
		}
	}
	return ""
}

// preflight looks whether a segment of ours can be moved, and where to.
func (n *Node) preflight(ctx context.Context, op *operation, segment, to string) (*port, mesh.PeerStatus, bool, error) {
	i := slices.IndexFunc(n.ports, func(p *port) bool { return p.segment != nil && p.segment.Name == segment })
	if i < 0 || n.voter == nil {
		return nil, mesh.PeerStatus{}, false, fmt.Errorf("segment %s: this peer is no gateway of it", segment)
	}
	p := n.ports[i]
	c := checklist{peer: string(n.creds.Name)}
	state := p.gate.State()
	c.check("holds-lease", state.Open && p.mode() != modeManual,
		fmt.Sprintf("gate open: %v, tenure %s, %.0f ms left", state.Open, state.Epoch, state.Left.Seconds()*1000), "an open gate under a lease")
	n.checkLease(&c)
	target, err := n.target(segment, to)
	if err != nil {
		c.bad("target", err.Error(), "a gateway that is ready")
	} else {
		c.all = append(c.all, n.askChecks(ctx, target, segment)...)
	}
	op.change(func(v *web.Operation) { v.Checks, v.From, v.To = c.all, string(n.creds.Name), string(target.Name) })
	return p, target, !slices.ContainsFunc(c.all, func(c web.Check) bool { return !c.OK }), nil
}

// target chooses the gateway that is to take a segment: the named one, or the one that is ready soonest.
func (n *Node) target(segment, to string) (mesh.PeerStatus, error) {
	all := n.gatewaysOf(segment)
	ready := map[string]web.Takeover{}
	for _, t := range n.Takeovers() {
		if t.Segment == segment && t.Ready {
			ready[t.Peer] = t
		}
	}
	if to != "" {
		all = slices.DeleteFunc(all, func(p mesh.PeerStatus) bool { return string(p.Name) != to })
		if len(all) == 0 {
			return mesh.PeerStatus{}, fmt.Errorf("%s is not reached, or has no port on the segment", to)
		}
		return all[0], nil
	}
	slices.SortFunc(all, func(a, b mesh.PeerStatus) int {
		x, xok := ready[string(a.Name)]
		y, yok := ready[string(b.Name)]
		if xok != yok {
			if xok {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.Predicted, y.Predicted), cmp.Compare(a.Name, b.Name))
	})
	if len(all) == 0 {
		return mesh.PeerStatus{}, fmt.Errorf("no other gateway of segment %s is reached", segment)
	}
	return all[0], nil
}

// askChecks has the gateway that would take over look at itself, now.
func (n *Node) askChecks(ctx context.Context, at mesh.PeerStatus, segment string) []web.Check {
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	var checks []web.Check
	began := time.Now()
	err := n.ask(ctx, at.ID, &order{Kind: orderChecks, Segment: segment}, func(v web.Operation) { checks = v.Checks })
	c := checklist{peer: string(at.Name)}
	if err != nil {
		c.bad("reached", err.Error(), "an answer over the mesh")
		return c.all
	}
	c.good("reached", fmt.Sprintf("answered in %.1f ms", time.Since(began).Seconds()*1000))
	return append(c.all, checks...)
}

// checksOperation answers an order to look.
func (n *Node) checksOperation(o *order) web.Operation {
	v := web.Operation{ID: o.ID, Kind: orderSwitchover, Segment: o.Segment, State: web.OperationDone, Checks: []web.Check{}}
	for _, p := range n.ports {
		if p.segment != nil && p.segment.Name == o.Segment {
			v.Checks = n.checks(p, 0)
			return v
		}
	}
	c := checklist{peer: string(n.creds.Name)}
	c.bad("port", "none", "a [[segment]] of this name in the node file")
	v.Checks = c.all
	return v
}
