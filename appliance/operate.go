package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// levelOf says how much an event of the mesh matters.
func levelOf(kind string) string {
	switch kind {
	case "clone":
		return web.LevelError
	case "link_down", "peer_unreachable", "member_suspect", "member_dead", "forget":
		return web.LevelWarn
	}
	return web.LevelInfo
}

// errNoTokens says that this peer cannot invite anybody.
func (n *Node) errNoTokens() error {
	return fmt.Errorf("%w: this peer does not hold the key of the network's authority; ask a voter", web.ErrConflict)
}

// CreateToken implements web.Node.
func (n *Node) CreateToken(_ context.Context, r web.TokenRequest) (web.NewToken, error) {
	if n.tokens == nil {
		return web.NewToken{}, n.errNoTokens()
	}
	self, _ := n.peers()
	if len(self.Endpoints) == 0 {
		return web.NewToken{}, fmt.Errorf("%w: nobody can call this peer, so a token of it would lead nowhere: set advertise in %s", web.ErrConflict, n.cfg.Path)
	}
	roles, err := secure.ParseRoles(r.Roles)
	if err != nil {
		return web.NewToken{}, fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	spec := secure.TokenSpec{Addrs: texts(self.Endpoints), Life: time.Duration(r.TTLS) * time.Second, Uses: r.Uses, Roles: roles, CreatedBy: r.By}
	t, err := n.tokens.Create(spec, time.Now())
	if err != nil {
		return web.NewToken{}, fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	n.event(web.Event{Level: web.LevelInfo, Kind: "token_created", Text: fmt.Sprintf("token %s was made, for roles %s", t.ID, roles)})
	for _, info := range n.tokens.List() {
		if info.ID == t.ID {
			return web.NewToken{Token: t.String(), Info: tokenOf(info)}, nil
		}
	}
	return web.NewToken{}, errors.New("the token that was just made is not in the ledger")
}

func tokenOf(i secure.TokenInfo) web.Token {
	t := web.Token{
		ID: i.ID.String(), Roles: i.Roles.Words(), Created: i.Created.UTC(), CreatedBy: i.CreatedBy, Expires: i.Expires.UTC(),
		Uses: i.Uses, Left: i.Left, State: "valid",
	}
	switch {
	case i.Revoked:
		t.State = "revoked"
	case i.Left == 0:
		t.State = "used"
	case time.Now().After(i.Expires):
		t.State = "expired"
	}
	return t
}

// Tokens implements web.Node.
func (n *Node) Tokens() ([]web.Token, error) {
	if n.tokens == nil {
		return nil, n.errNoTokens()
	}
	all := []web.Token{}
	for _, i := range n.tokens.List() {
		all = append(all, tokenOf(i))
	}
	return all, nil
}

// RevokeToken implements web.Node.
func (n *Node) RevokeToken(_ context.Context, id string) error {
	if n.tokens == nil {
		return n.errNoTokens()
	}
	t, err := secure.ParseTokenID(id)
	if err != nil {
		return fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	err = n.tokens.Revoke(t)
	if errors.Is(err, secure.ErrTokenGone) {
		return web.Missing(web.KindToken, id)
	}
	return err
}
