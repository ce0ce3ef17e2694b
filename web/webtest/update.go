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

// FactoryReset implements web.Node.
func (n *Node) FactoryReset(_ context.Context, r web.ResetRequest) (web.Reset, error) {
	return web.Reset{Peer: r.Confirm, WithinS: 90, Steps: []string{"its segments are handed over"}}, n.note("factory reset of %q by %s", r.Confirm, r.By)
}

// RestartMachine implements web.Node.
func (n *Node) RestartMachine(_ context.Context, by string) error {
	return n.note("restart the machine by %s", by)
}
