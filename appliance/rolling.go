package appliance

import (
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

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/lastword"
	"github.com/drawbridge-net/drawbridge/appliance/rollout"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// rolloutFile in the state directory is the present roll-out that this peer coordinates, or its last one.
const rolloutFile = "rollout.json"

// rollEvery is the time between two looks at the network.
const rollEvery = time.Second

// rolling is this peer's part in coordinating a roll-out.
type rolling struct {
	wake chan struct{}
	news *lastword.Channel[rollout.Told] // of roll-outs that others coordinate

	mu      sync.Mutex // guards what follows
	present *rollout.Rollout
}

// loadRollout reads the roll-out that this peer was at when it ended.
func (n *Node) loadRollout() error {
	n.rolling.wake = make(chan struct{}, 1)
	r, err := n.readRollout()
	if err != nil {
		return err
	}
	if r == nil {
		n.dropBundle()
		return nil
	}
	r.Interrupted(string(n.creds.Name), time.Now())
	n.rolling.present = r
	return n.saveRollout()
}

// readRollout is the one on the disk; nil: none that this program knows.
func (n *Node) readRollout() (*rollout.Rollout, error) {
	b, err := os.ReadFile(filepath.Join(n.creds.Dir(), rolloutFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r rollout.Rollout
	if err := json.Unmarshal(b, &r); err != nil || r.Format != rollout.Format {
		n.log.Warn("the roll-out of an earlier run is of other software and is forgotten", "err", err)
		return nil, nil
	}
	return &r, nil
}

// saveRollout is called with rolling.mu held, or before anything runs. What is over needs its bundle no longer.
func (n *Node) saveRollout() error {
	b, err := json.MarshalIndent(n.rolling.present, "", "\t")
	if err != nil {
		return err
	}
	if err := secure.WriteFile(n.creds.Dir(), rolloutFile, b); err != nil {
		return err
	}
	if !n.rolling.present.Keeps() {
		n.dropBundle()
	}
	return nil
}

// roll carries out the roll-out that this peer coordinates, whenever there is one.
func (n *Node) roll(ctx context.Context) error {
	look := time.NewTicker(rollEvery)
	defer look.Stop()
	for {
		if names := n.rolledPeers(); len(names) > 0 {
			n.rollOn(ctx, n.see(ctx, names))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case <-n.rolling.wake:
		}
	}
}

// rolledPeers are those of the present roll-out; none: it is over or paused.
func (n *Node) rolledPeers() (names []string) {
	n.rolling.mu.Lock()
	defer n.rolling.mu.Unlock()
	if r := n.rolling.present; r != nil && r.State == rollout.Running {
		for _, p := range r.Peers {
			names = append(names, p.Name)
		}
	}
	return names
}

// rollOn does the next deed, if there is one to do. What is to be done is on disk before it is.
func (n *Node) rollOn(ctx context.Context, seen map[string]rollout.Seen) {
	rivals := n.rivals()
	n.rolling.mu.Lock()
	r := n.rolling.present
	do := n.nextDeed(r, seen, rivals)
	now := *r
	n.rolling.mu.Unlock()
	n.changed.tell()
	var err error
	switch do.Do {
	case rollout.DoNothing:
		return
	case rollout.DoMove:
		err = n.rollMove(ctx, do, now.By)
	case rollout.DoUpdate:
		err = n.rollUpdate(ctx, do.Peer, &now)
	}
	n.rolling.mu.Lock()
	r.Result(do, err, time.Now())
	n.saveOrPause(r)
	n.rolling.mu.Unlock()
	n.changed.tell()
}

// nextDeed is called with rolling.mu held.
func (n *Node) nextDeed(r *rollout.Rollout, seen map[string]rollout.Seen, rivals map[string]*rollout.Rollout) rollout.Action {
	logged, state := len(r.Log), r.State
	for coordinator, other := range rivals {
		if r.Yields(other) {
			r.Pause("a roll-out that "+coordinator+" coordinates runs, too: abort one of them", time.Now())
		}
	}
	if err := n.lostBundle(r); err != nil {
		r.Pause(err.Error(), time.Now())
	}
	do := r.Next(seen, time.Now())
	if (do.Do != rollout.DoNothing || len(r.Log) != logged || r.State != state) && !n.saveOrPause(r) {
		return rollout.Action{}
	}
	return do
}

// saveOrPause is called with rolling.mu held.
func (n *Node) saveOrPause(r *rollout.Rollout) (saved bool) {
	err := n.saveRollout()
	if err != nil {
		r.Pause("the roll-out could not be written to disk: "+err.Error(), time.Now())
	}
	return err == nil
}

// rollUpdate has a peer take the software and start again.
func (n *Node) rollUpdate(ctx context.Context, peer string, r *rollout.Rollout) error {
	o := &order{
		Kind: orderUpdate, To: peer, By: r.By, Source: r.Source, Older: r.Older, Want: r.Want, At: string(n.creds.Name), Restart: r.Source != web.SourceRestart,
	}
	if r.Bundle != nil {
		var err error
		if o.file, err = n.openKept(r.Bundle); err != nil {
			return err
		}
	}
	return n.rollOrder(ctx, o, peer)
}

// rollMove has a peer give a segment to whoever is ready, and waits until everybody is told.
func (n *Node) rollMove(ctx context.Context, do rollout.Action, by string) error {
	err := n.rollOrder(ctx, &order{Kind: orderSwitchover, Segment: do.Segment, By: "roll-out of " + by}, do.Peer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rollTold)
	defer cancel()
	for {
		watch := n.changed.watch()
		if held, _ := n.heldBy(do.Peer); !slices.Contains(held, do.Segment) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s still says that it has the segment", do.Peer)
		case <-watch:
		}
	}
}

// rollTold is how long a move that is done may take to be heard of here.
const rollTold = 5 * time.Second

// rollOrder has a peer do something, and waits until that is done. That the peer starts again comes after its answer.
func (n *Node) rollOrder(ctx context.Context, o *order, peer string) error {
	for _, p := range n.router.Peers() {
		if string(p.Name) != peer {
			continue
		}
		v, err := n.delegate(ctx, p.ID, o)
		if err != nil {
			return err
		}
		return n.awaitOperation(ctx, v.ID)
	}
	return errors.Join(fmt.Errorf("%s is not reached", peer), o.close())
}

// awaitOperation waits for the end of an operation, and says why it did not do what it should.
func (n *Node) awaitOperation(ctx context.Context, id string) error {
	for {
		watch := n.changed.watch()
		for _, v := range n.Operations() {
			switch {
			case v.ID != id || v.State == web.OperationRunning:
			case v.State == web.OperationDone:
				return nil
			default:
				return errors.New(v.Outcome)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch:
		}
	}
}

// see looks at the peers of a roll-out and at all voters.
func (n *Node) see(ctx context.Context, names []string) map[string]rollout.Seen {
	if voters, err := n.voter.group.Voters(); err == nil {
		for _, v := range voters {
			names = append(names, string(v.Name))
		}
	}
	var mu sync.Mutex // guards seen
	var looks sync.WaitGroup
	seen := map[string]rollout.Seen{}
	for _, name := range names {
		seen[name] = rollout.Seen{}
	}
	for _, p := range n.router.Peers() {
		if _, wanted := seen[string(p.Name)]; wanted {
			looks.Go(func() {
				v := n.seePeer(ctx, p)
				mu.Lock()
				seen[string(p.Name)] = v
				mu.Unlock()
			})
		}
	}
	looks.Wait()
	return seen
}

func (n *Node) seePeer(ctx context.Context, p mesh.PeerStatus) rollout.Seen {
	v := rollout.Seen{Reached: p.State != mesh.StateUnreachable && p.State != mesh.StateLeft, Run: p.UID.String(), Version: p.Software}
	if !v.Reached {
		return v
	}
	for _, s := range n.segmentViews() {
		if s.activeID == p.ID {
			v.Active = append(v.Active, s.name)
		}
		if slices.ContainsFunc(s.gateways, func(g web.Gateway) bool { return g.Peer == string(p.Name) }) {
			v.Unwell = append(v.Unwell, n.unwellAt(ctx, p, s.name)...)
		}
	}
	if p.Roles.Has(secure.Voter) {
		v.Unwell = append(v.Unwell, n.unwellVoter(p.ID)...)
	}
	slices.Sort(v.Unwell)
	v.Unwell = slices.Compact(v.Unwell)
	return v
}

// unwellAt are the checks of a gateway that do not pass.
func (n *Node) unwellAt(ctx context.Context, p mesh.PeerStatus, segment string) (why []string) {
	var checks []web.Check
	if p.ID == n.creds.ID() {
		checks = n.checksOperation(&order{Segment: segment}).Checks
	} else {
		checks = n.askChecks(ctx, p, segment)
	}
	for _, c := range checks {
		if !c.OK {
			why = append(why, c.Name+": "+c.Value)
		}
	}
	return why
}

// unwellVoter says what keeps a voter from being relied on: it must answer, and know all that was decided.
func (n *Node) unwellVoter(id drawbridge.PeerID) []string {
	if id == n.creds.ID() {
		return nil
	}
	state, _ := n.voter.group.State()
	for _, v := range n.voter.agent.Status().Voters {
		switch {
		case v.Peer != id:
		case !answering(&v):
			return []string{"it gives no votes"}
		case v.Generation < state.Generation:
			return []string{fmt.Sprintf("it is behind: generation %d of %d", v.Generation, state.Generation)}
		default:
			return nil
		}
	}
	return []string{"it has no vote yet"}
}

// viewRollout is a roll-out as the API shows it.
func viewRollout(r *rollout.Rollout, coordinator string) web.Rollout {
	v := web.Rollout{
		ID: r.ID, Coordinator: coordinator, By: r.By, Source: r.Source, Older: r.Older, Want: r.Want, State: r.State, Reason: r.Reason,
		Waits: r.Waits, Started: r.Started.UTC(),
	}
	if b := r.Bundle; b != nil {
		v.Bundle = &web.RolloutBundle{Version: b.Version, Release: time.Unix(int64(b.Release), 0).UTC(), Size: b.Size}
	}
	if !r.Ended.IsZero() {
		ended := r.Ended.UTC()
		v.Ended = &ended
	}
	for _, p := range r.Peers {
		v.Peers = append(v.Peers, web.RolloutPeer{Name: p.Name, Step: p.Step, Since: p.Since.UTC(), From: p.From, To: p.To})
	}
	for _, l := range r.Log {
		v.Log = append(v.Log, web.RolloutLine{Time: l.Time.UTC(), Peer: l.Peer, Text: l.Text})
	}
	return v
}

// rolloutView is called with rolling.mu held.
func (n *Node) rolloutView() (web.Rollout, error) {
	if n.rolling.present == nil {
		return web.Rollout{}, fmt.Errorf("a roll-out %w: none was begun here; drawbridge rollout start begins one", web.ErrNotFound)
	}
	v := viewRollout(n.rolling.present, string(n.creds.Name))
	v.Here = true
	return v, nil
}

// StartRollout implements web.Node.
func (n *Node) StartRollout(_ context.Context, q web.RolloutRequest) (web.Rollout, error) {
	if q.Source == "" {
		q.Source = web.SourceRestart
	}
	if err := n.checkSource(&q); err != nil {
		return web.Rollout{}, err
	}
	r, err := n.newRollout(&q)
	if err != nil {
		return web.Rollout{}, err
	}
	return n.beginRollout(r, "")
}

// newRollout is one that could begin now.
func (n *Node) newRollout(q *web.RolloutRequest) (*rollout.Rollout, error) {
	if n.voter == nil {
		return nil, fmt.Errorf("%w: a voter coordinates roll-outs, as it knows of all decisions: ask one", web.ErrConflict)
	}
	names, err := n.choosePeers(q)
	if err != nil {
		return nil, err
	}
	r, err := rollout.New(newID(), q.By, q.Source, q.Want, names, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	r.Older = q.Older
	if o, goesOn := n.otherRollout(); goesOn {
		return nil, fmt.Errorf("%w: a roll-out that %s coordinates is %s: let it end, or abort it first", web.ErrConflict, o.Coordinator, o.State)
	}
	n.rolling.mu.Lock()
	defer n.rolling.mu.Unlock()
	return &r, n.rolling.free()
}

// free is called with mu held. It refuses a roll-out while another one is not over.
func (r *rolling) free() error {
	if p := r.present; p != nil && !p.Over() {
		return fmt.Errorf("%w: roll-out %s is %s: resume or abort it first", web.ErrConflict, p.ID, p.State)
	}
	return nil
}

// beginRollout has a roll-out take the place of the last one. Its bundle, if it came with the request, is in the file of that name.
func (n *Node) beginRollout(r *rollout.Rollout, bundle string) (web.Rollout, error) {
	v, err := n.putRollout(r, bundle)
	if err != nil {
		return web.Rollout{}, err
	}
	var names []string
	for _, p := range v.Peers {
		names = append(names, p.Name)
	}
	n.event(web.Event{Level: web.LevelInfo, Kind: "rollout", Text: fmt.Sprintf("roll-out to %s begun by %s", strings.Join(names, ", "), v.By)})
	n.wakeRolling()
	return v, nil
}

func (n *Node) putRollout(r *rollout.Rollout, bundle string) (web.Rollout, error) {
	n.rolling.mu.Lock()
	defer n.rolling.mu.Unlock()
	if err := n.rolling.free(); err != nil {
		return web.Rollout{}, err
	}
	if bundle != "" {
		if err := os.Rename(bundle, n.keptBundle()); err != nil {
			return web.Rollout{}, fmt.Errorf("keep the bundle: %w", err)
		}
	}
	before := n.rolling.present
	n.rolling.present = r
	if err := n.saveRollout(); err != nil {
		n.rolling.present = before
		n.dropBundle()
		return web.Rollout{}, err
	}
	return n.rolloutView()
}

func (n *Node) wakeRolling() {
	select {
	case n.rolling.wake <- struct{}{}:
	default:
	}
}

// choosePeers are those that were asked for, or all gateways, or everybody.
func (n *Node) choosePeers(q *web.RolloutRequest) (names []string, err error) {
	known := map[string]mesh.PeerStatus{}
	for _, p := range n.router.Peers() {
		known[string(p.Name)] = p
		gateway := slices.ContainsFunc(p.Ports, func(w wire.Port) bool { return w.Kind == wire.PortSegment })
		if p.State != mesh.StateUnreachable && p.State != mesh.StateLeft && (q.All || gateway) {
			names = append(names, string(p.Name))
		}
	}
	if len(q.Peers) > 0 {
		names = q.Peers
	}
	for _, name := range names {
		p, ok := known[name]
		switch {
		case !ok:
			return nil, web.Missing(web.KindPeer, name)
		case n.byHand(&p):
			return nil, fmt.Errorf("%w: %s has a segment by hand (mode = \"active-manual\"), which cannot be moved", web.ErrConflict, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// byHand reports whether a peer bridges a segment without a lease. Only a peer itself knows its mode.
func (n *Node) byHand(p *mesh.PeerStatus) bool {
	return p.ID == n.creds.ID() && slices.ContainsFunc(n.ports, func(p *port) bool {
		return p.segment != nil && p.segment.Mode == config.ModeActiveManual
	})
}

// checkSource refuses a source that no peer could take.
func (n *Node) checkSource(q *web.RolloutRequest) error {
	switch {
	case q.Source == web.SourceRestart && q.Older:
		return fmt.Errorf("%w: older is about bundles: what is on the disks is started, whatever it is", web.ErrInvalid)
	case q.Source == web.SourceRestart:
		return nil
	}
	if err := checkBundleURL(q.Source); err != nil {
		return fmt.Errorf("%w; or restart, for what is on the disks; a file is sent to /rollout/bundle", err)
	}
	return nil
}

// ResumeRollout implements web.Node.
func (n *Node) ResumeRollout(by string) (web.Rollout, error) {
	if r, elsewhere, err := n.askCoordinator(orderResumeRollout, by); elsewhere {
		return r, err
	}
	return n.resumeRollout(by)
}

func (n *Node) resumeRollout(by string) (web.Rollout, error) {
	if o, goesOn := n.otherRollout(); goesOn && o.State == rollout.Running {
		return web.Rollout{}, fmt.Errorf("%w: a roll-out that %s coordinates runs: let it end, or abort it first", web.ErrConflict, o.Coordinator)
	}
	return n.changeRollout(func(r *rollout.Rollout) error { return r.Resume(by, time.Now()) })
}

// AbortRollout implements web.Node.
func (n *Node) AbortRollout(by string) (web.Rollout, error) {
	if r, elsewhere, err := n.askCoordinator(orderAbortRollout, by); elsewhere {
		return r, err
	}
	return n.abortRollout(by)
}

func (n *Node) abortRollout(by string) (web.Rollout, error) {
	return n.changeRollout(func(r *rollout.Rollout) error { return r.Abort(by, time.Now()) })
}

// changeRollout has the present roll-out changed, and tells everybody who waits for it.
func (n *Node) changeRollout(f func(*rollout.Rollout) error) (web.Rollout, error) {
	v, err := n.changePresent(f)
	if err == nil {
		n.wakeRolling()
		n.changed.tell()
	}
	return v, err
}

func (n *Node) changePresent(f func(*rollout.Rollout) error) (web.Rollout, error) {
	n.rolling.mu.Lock()
	defer n.rolling.mu.Unlock()
	if n.rolling.present == nil {
		return n.rolloutView()
	}
	if err := f(n.rolling.present); err != nil {
		return web.Rollout{}, fmt.Errorf("%w: %w", web.ErrConflict, err)
	}
	if err := n.saveRollout(); err != nil {
		return web.Rollout{}, err
	}
	return n.rolloutView()
}
