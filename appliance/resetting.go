package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/web"
)

// resetWithin is how long a factory reset takes at most until the machine starts anew: each of the two things that it asks of others is
// given up after half a minute (drawbridge factory-reset), and the machine stops within as much.
const resetWithin = 90 * time.Second

// FactoryReset implements web.Node. Another process carries it out, as root, which outlives this one.
func (n *Node) FactoryReset(ctx context.Context, r web.ResetRequest) (web.Reset, error) {
	name := string(n.creds.Name)
	switch {
	case r.Confirm != name:
		return web.Reset{}, fmt.Errorf("%w: this erases peer %s for good: confirm it by that name, not by %q", web.ErrInvalid, name, r.Confirm)
	case n.updating.busy.Load():
		return web.Reset{}, fmt.Errorf("%w: an update, or a copy to another disk, is under way on this peer: wait until it has ended", web.ErrConflict)
	}
	if n.voter != nil {
		_, others := n.peers()
		if err := sparesOthers(ctx, n.creds.Name, len(others), n.voter.group.Survives); err != nil {
			return web.Reset{}, err
		}
	}
	if err := n.updating.orders.Leave(errand.Reset); errors.Is(err, os.ErrNotExist) {
		return web.Reset{}, fmt.Errorf("%w: this host does not run the appliance image, and only that can be reset: drawbridge peers forget %s, and then apt purge drawbridge on the host, do the same", web.ErrConflict, name)
	} else if err != nil {
		return web.Reset{}, fmt.Errorf("%w: the order could not be given: %w: drawbridge factory-reset --yes in a shell, or the boot menu, does the same", web.ErrConflict, err)
	}
	n.log.Warn("a factory reset begins", "reason", r.By+" wanted it")
	n.event(web.Event{Level: web.LevelWarn, Kind: "factory_reset", Peer: name, Text: "peer " + name + " is reset and forgets everything, as " + r.By + " wanted"})
	return web.Reset{Peer: name, WithinS: resetWithin.Seconds(), Steps: []string{
		"its segments are handed over, within 30 s",
		"the other peers remove it, vote and certificate, within 30 s",
		"the machine starts anew, without identity, keys, users and configuration, whether or not the others answered",
	}}, nil
}

// sparesOthers refuses to reset a voter without which the others could decide nothing: none of them could open a gate any more. Who stands
// before the machine may do so nevertheless, as nobody else is left to ask.
func sparesOthers(ctx context.Context, name drawbridge.PeerName, others int, survives func(context.Context, drawbridge.PeerName) error) error {
	if others == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, unseatFor)
	defer cancel()
	if err := survives(ctx, name); err != nil {
		return fmt.Errorf("%w: without this peer the others could decide nothing: %w; start them, or make another peer a voter, first: the status screen and the boot menu reset it nevertheless", web.ErrConflict, err)
	}
	return nil
}
