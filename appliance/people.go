package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
)

// people keeps who has access in the network configuration (docs/adr/0020).
type people struct{ n *Node }

var _ access.Network = people{}

// Newest implements access.Network.
func (p people) Newest() (uint64, json.RawMessage) {
	u := p.n.network.newestUsers()
	return u.version, u.text
}

// agreeTries is how often a change is made again that somebody else's came before.
const agreeTries = 5

// Agree implements access.Network.
func (p people) Agree(ctx context.Context, why string, edit func(json.RawMessage) (json.RawMessage, error)) (err error) {
	for range agreeTries {
		if err = p.change(ctx, why, edit); !errors.Is(err, web.ErrStale) {
			break
		}
	}
	switch {
	case errors.Is(err, web.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", access.ErrApart, err)
	case errors.Is(err, web.ErrStale):
		return access.ErrStale
	case errors.Is(err, web.ErrConflict), errors.Is(err, web.ErrInvalid):
		return fmt.Errorf("%w: %w", access.ErrConflict, err)
	}
	return err
}

// change replaces the users in the newest version.
func (p people) change(ctx context.Context, why string, edit func(json.RawMessage) (json.RawMessage, error)) error {
	r, err := p.n.askConfig(ctx, configQuestion{Op: opGet})
	if err != nil {
		return err
	}
	d, base := netconfig.Default(), uint64(0)
	if r.Version != nil {
		base = r.Version.Number
		if d, err = netconfig.Read(r.Version.Document); err != nil {
			return fmt.Errorf("%w: version %d of the network configuration: %w", web.ErrConflict, base, err)
		}
	}
	if d.Users, err = edit(d.Users); err != nil {
		return err
	}
	text, err := d.JSON()
	if err != nil {
		return err
	}
	_, err = p.n.changeConfig(ctx, opPut, web.ConfigProposal{By: "users", Base: base, Comment: why, Text: string(text)})
	return err
}

// told puts into the journal what people should know about users.
func (p people) told(text string) {
	p.n.log.Warn("users of the network", "reason", text)
	p.n.event(web.Event{Level: web.LevelWarn, Kind: "users_shared", Text: text})
}
