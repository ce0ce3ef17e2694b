package webtest

import (
	"context"
	"io"

	"github.com/drawbridge-net/drawbridge/web"
)

func sampleSlots() web.Update {
	return web.Update{Appliance: true, Running: "a", Next: "a", Slots: []web.UpdateSlot{{Name: "a", Release: &Now, Standing: "good"}, {Name: "b", Standing: "empty"}}}
}

// Update implements web.Node.
func (n *Node) Update(context.Context) (web.Update, error) {
	v := n.read()
	return v.Slots, v.Failure
}

// UploadUpdate implements web.Node.
func (n *Node) UploadUpdate(_ context.Context, r web.UpdateRequest, bundle io.Reader, size int64) (web.Operation, error) {
	text, err := io.ReadAll(bundle)
	if err != nil {
		return web.Operation{}, err
	}
	return n.begin(n.note("upload %q of %d bytes for %q older=%v restart=%v by %s", text, size, r.Peer, r.Older, r.Restart, r.By))
}

// FetchUpdate implements web.Node.
func (n *Node) FetchUpdate(_ context.Context, r web.FetchRequest) (web.Operation, error) {
	return n.begin(n.note("fetch %s for %q older=%v restart=%v by %s", r.URL, r.Peer, r.Older, r.Restart, r.By))
}

// RollbackUpdate implements web.Node.
func (n *Node) RollbackUpdate(_ context.Context, by string) (web.Update, error) {
	return n.read().Slots, n.note("roll the update back by %s", by)
}

// Disks implements web.Node.
func (n *Node) Disks(context.Context) (web.Disks, error) {
	return web.Disks{Appliance: true, Disks: []web.Disk{
		{Name: "sda", Size: 8e9, Model: "USB Stick", Holds: "a Drawbridge appliance", Refused: "is the disk that this appliance runs from: choose another one"},
		{Name: "sdb", Size: 64e9, Model: "ATA SSD", Holds: "nothing"},
	}}, n.read().Failure
}

// InstallToDisk implements web.Node.
func (n *Node) InstallToDisk(_ context.Context, r web.InstallRequest) (web.Operation, error) {
	return n.begin(n.note("install on %s, confirmed by %s, by %s", r.Disk, r.Confirm, r.By))
}

// FactoryReset implements web.Node.
func (n *Node) FactoryReset(_ context.Context, r web.ResetRequest) (web.Reset, error) {
	return web.Reset{Peer: r.Confirm, WithinS: 90, Steps: []string{"its segments are handed over"}}, n.note("factory reset of %q by %s", r.Confirm, r.By)
}

// RestartMachine implements web.Node.
func (n *Node) RestartMachine(_ context.Context, by string) error {
	return n.note("restart the machine by %s", by)
}
