package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
)

// operationInstall is a copy of this appliance's system to another disk.
const operationInstall = "install"

// Disks implements web.Node.
func (n *Node) Disks(ctx context.Context) (web.Disks, error) {
	all, err := n.updating.installer.Disks(ctx)
	if errors.Is(err, slot.ErrNoAppliance) {
		return web.Disks{Reason: err.Error()}, nil
	}
	if err != nil {
		return web.Disks{}, fmt.Errorf("%w: %w", web.ErrUnavailable, err)
	}
	shown := web.Disks{Appliance: true}
	for _, d := range all {
		shown.Disks = append(shown.Disks, web.Disk(d))
	}
	return shown, nil
}

// InstallToDisk implements web.Node. The update service writes: the daemon has no right to.
func (n *Node) InstallToDisk(ctx context.Context, r web.InstallRequest) (web.Operation, error) {
	if r.Confirm != r.Disk {
		return web.Operation{}, fmt.Errorf("%w: this erases disk %s: confirm it by that name, not by %q", web.ErrInvalid, r.Disk, r.Confirm)
	}
	all, err := n.updating.installer.Disks(ctx)
	switch {
	case errors.Is(err, slot.ErrNoAppliance):
		return web.Operation{}, fmt.Errorf("%w: %w", web.ErrConflict, err)
	case err != nil:
		return web.Operation{}, fmt.Errorf("%w: %w", web.ErrUnavailable, err)
	}
	i := slices.IndexFunc(all, func(d disks.Disk) bool { return d.Name == r.Disk })
	switch {
	case i < 0:
		return web.Operation{}, fmt.Errorf("disk %s %w: a whole disk is wanted, not a partition", r.Disk, web.ErrNotFound)
	case all[i].Refused != "":
		return web.Operation{}, fmt.Errorf("%w: %s %s", web.ErrConflict, r.Disk, all[i].Refused)
	}
	release, err := n.updating.claim()
	if err != nil {
		return web.Operation{}, err
	}
	op := n.begin(web.Operation{Kind: operationInstall, To: string(n.creds.Name), By: r.By})
	go func() {
		defer release()
		op.finish(n.copyTo(op, all[i], r.By))
	}()
	return n.begun(ctx, op), nil
}

// copyTo has the running system written to a disk. The service goes on with it when this daemon ends.
func (n *Node) copyTo(op *operation, d disks.Disk, by string) error {
	here, began := string(n.creds.Name), false
	progress := op.progress()
	err := n.updating.installer.Copy(n.life, d.Name, func(step string, done, total int64) {
		if !began {
			began = true
			op.step("copy", here, fmt.Sprintf("everything on %s (%s) is erased, and this system is written to it", d.Name, d.Holds))
		}
		progress(step, done, total)
	})
	switch {
	case err != nil && !began:
		return op.refuse(err)
	case err != nil:
		return fmt.Errorf("%w; what was on %s is lost, and it does not start: begin again", err, d.Name)
	}
	n.event(web.Event{Level: web.LevelInfo, Kind: "update", Text: fmt.Sprintf("this system was written to disk %s, as %s wanted", d.Name, by)})
	op.end(web.OperationDone, fmt.Sprintf("%s is written: take out the medium that %s was started from, and restart the machine; it starts without identity and keys, as one that has not been set up", d.Name, here))
	return nil
}
