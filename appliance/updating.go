package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// updating is this peer's part in updates of appliances.
type updating struct {
	installer installer.Client
	machine   func() (slot.Machine, error) // that this is
	orders    errand.Box
	busy      atomic.Bool // a bundle is being received or installed here, or this system copied to another disk
}

// claim begins the one update that there is at a time.
func (u *updating) claim() (release func(), err error) {
	if !u.busy.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("%w: another update, or a copy to another disk, is under way on this peer: wait until it has ended", web.ErrConflict)
	}
	return func() { u.busy.Store(false) }, nil
}

// Update implements web.Node.
func (n *Node) Update(ctx context.Context) (web.Update, error) {
	s, err := n.updating.installer.Slots(ctx)
	if errors.Is(err, slot.ErrNoAppliance) {
		return web.Update{Reason: err.Error()}, nil
	}
	if err != nil {
		return web.Update{}, fmt.Errorf("%w: %w", web.ErrUnavailable, err)
	}
	return shownSlots(s), nil
}

func shownSlots(s installer.Slots) web.Update {
	u := web.Update{Appliance: true, Running: string(s.Running), Next: string(s.Next), Failure: s.Failure}
	for _, one := range s.Slots {
		v := web.UpdateSlot{Name: string(one.Name), Standing: one.Standing}
		if !one.Release.IsZero() {
			v.Release = &one.Release
		}
		u.Slots = append(u.Slots, v)
	}
	return u
}

// RollbackUpdate implements web.Node.
func (n *Node) RollbackUpdate(ctx context.Context, by string) (web.Update, error) {
	s, err := n.updating.installer.Rollback(ctx)
	if err != nil {
		return web.Update{}, fmt.Errorf("%w: %w", web.ErrConflict, err)
	}
	n.event(web.Event{Level: web.LevelInfo, Kind: "update", Text: fmt.Sprintf("slot %s starts next, as %s wanted", s.Next, by)})
	n.changed.tell()
	return shownSlots(s), nil
}

// RestartMachine implements web.Node. That the daemon ends in order is the service manager's doing.
func (n *Node) RestartMachine(_ context.Context, by string) error {
	if n.updating.busy.Load() {
		return fmt.Errorf("%w: an update, or a copy to another disk, is under way on this peer: wait until it has ended", web.ErrConflict)
	}
	if err := n.updating.orders.Leave(errand.Reboot); err != nil {
		return fmt.Errorf("%w: this machine is restarted by its own means, as it is no appliance: %w", web.ErrConflict, err)
	}
	n.event(web.Event{Level: web.LevelWarn, Kind: "update", Text: "the machine starts again, as " + by + " wanted"})
	return nil
}

// FetchUpdate implements web.Node.
func (n *Node) FetchUpdate(ctx context.Context, r web.FetchRequest) (web.Operation, error) {
	if err := checkBundleURL(r.URL); err != nil {
		return web.Operation{}, err
	}
	return n.orderUpdate(ctx, r.UpdateRequest, &order{Source: r.URL})
}

func checkBundleURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%w: %q is no address of a bundle: want https://HOST/PATH", web.ErrInvalid, text)
	}
	return nil
}

// UploadUpdate implements web.Node. The bundle is on the disk here before anything is asked of anybody: a browser on a slow
// line keeps nobody waiting.
func (n *Node) UploadUpdate(ctx context.Context, r web.UpdateRequest, bundle io.Reader, size int64) (web.Operation, error) {
	at, err := n.updatedPeer(r.Peer)
	if err != nil {
		return web.Operation{}, err
	}
	if at == n.creds.ID() {
		if _, err := n.updating.installer.Slots(ctx); err != nil { // before a hundred megabytes are sent in vain
			return web.Operation{}, fmt.Errorf("%w: %w", web.ErrConflict, err)
		}
	}
	release, err := n.updating.claim()
	if err != nil {
		return web.Operation{}, err
	}
	file, err := spool(ctx, n.creds.Dir(), bundle, size, nil)
	release()
	if err != nil {
		return web.Operation{}, err
	}
	return n.orderUpdate(ctx, r, &order{Source: web.SourceUpload, file: file})
}

// orderUpdate has the peer that is meant take a bundle.
func (n *Node) orderUpdate(ctx context.Context, r web.UpdateRequest, o *order) (web.Operation, error) {
	at, err := n.updatedPeer(r.Peer)
	if err != nil {
		return web.Operation{}, errors.Join(err, o.close())
	}
	o.Kind, o.To, o.By, o.Older, o.Restart = orderUpdate, r.Peer, r.By, r.Older, r.Restart
	if o.To == "" {
		o.To = string(n.creds.Name)
	}
	return n.delegate(ctx, at, o)
}

// updatedPeer is the one of a name, or this one.
func (n *Node) updatedPeer(name string) (drawbridge.PeerID, error) {
	if name == "" || name == string(n.creds.Name) {
		return n.creds.ID(), nil
	}
	for _, p := range n.router.Peers() {
		switch {
		case string(p.Name) != name:
		case p.State == mesh.StateUnreachable || p.State == mesh.StateLeft:
			return 0, fmt.Errorf("%w: peer %s is not reached", web.ErrUnavailable, name)
		default:
			return p.ID, nil
		}
	}
	return 0, web.Missing(web.KindPeer, name)
}

// install takes a bundle from wherever an order says into the idle slot.
func (n *Node) install(ctx context.Context, op *operation, o *order) error {
	release, err := n.updating.claim()
	if err != nil {
		return op.refuse(err)
	}
	defer release()
	before, err := n.updating.installer.Slots(ctx)
	if err != nil {
		return op.refuse(err)
	}
	file, err := n.receive(ctx, op, o)
	if err != nil {
		return op.refuse(err)
	}
	defer file.Close()
	op.step("verify", o.To, "the bundle is here: every byte of it is looked at")
	wrote := false
	progress := op.progress()
	after, err := n.updating.installer.Install(ctx, file, o.Older, func(step string, done, total int64) {
		if step == "write" && !wrote {
			wrote = true
			op.step("write", o.To, fmt.Sprintf("every byte of it is right; it is written to slot %s", before.Running.Other()))
		}
		progress(step, done, total)
	})
	if err != nil && !wrote {
		return op.refuse(err)
	}
	if err != nil {
		return err
	}
	return n.installed(op, o, after)
}

func (n *Node) installed(op *operation, o *order, after installer.Slots) error {
	text := fmt.Sprintf("the update is in slot %s of %s and starts next", after.Next, o.To)
	n.event(web.Event{Level: web.LevelInfo, Kind: "update", Text: text + ", as " + o.By + " wanted"})
	if !o.Restart {
		op.end(web.OperationDone, text+": restart the machine to try it")
		return nil
	}
	if err := n.updating.orders.Leave(errand.Reboot); err != nil {
		return fmt.Errorf("%s, but the machine could not be restarted: %w", text, err)
	}
	op.step("restart", o.To, "segments are handed over, and the machine starts again")
	op.end(web.OperationDone, text+": the machine starts again")
	return nil
}

// refuse ends an operation of which nothing was done.
func (op *operation) refuse(err error) error {
	op.end(web.OperationRefused, err.Error())
	return nil
}

// progress tells of every whole hundredth of a step: who watches reads the whole operation each time.
func (op *operation) progress() slot.Progress {
	var last web.Progress
	return func(step string, done, total int64) {
		now := web.Progress{Step: step, Done: done, Total: total}
		whole := max(total, 100<<20) / 100
		if last.Step != step || done-last.Done >= whole || done == total {
			last = now
			op.change(func(v *web.Operation) { v.Progress = &now })
		}
	}
}

// receive has the bundle of an order on the disk.
func (n *Node) receive(ctx context.Context, op *operation, o *order) (*os.File, error) {
	switch {
	case o.file != nil: // update closes it
		return o.file, nil
	case o.body != nil:
		op.step("receive", o.To, fmt.Sprintf("the bundle comes from %s", o.By))
		return spool(ctx, n.creds.Dir(), o.body, o.Size, op.progress())
	}
	if err := checkBundleURL(o.Source); err != nil {
		return nil, err
	}
	op.step("fetch", o.To, "the bundle is fetched from "+o.Source)
	body, size, err := fetchBundle(ctx, o.Source)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return spool(ctx, n.creds.Dir(), body, size, op.progress())
}

// leftBundles takes away what an earlier run left in the state directory, between making a file and taking its name away, or
// before the roll-out that it was for had begun; and what was there before a backup was restored, as the peer has started on
// that.
func leftBundles(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, bundleNames))
	err = errors.Join(err, os.RemoveAll(filepath.Join(dir, backup.Before)))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
