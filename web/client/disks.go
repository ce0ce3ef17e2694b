package client

import (
	"context"
	"net/http"

	"github.com/drawbridge-net/drawbridge/web"
)

// Disks asks which ones the peer's machine has.
func (c *Client) Disks(ctx context.Context) (web.Disks, error) {
	return get[web.Disks](ctx, c, "disks", nil)
}

// InstallToDisk has the peer's system written to another disk, and answers when that has begun.
func (c *Client) InstallToDisk(ctx context.Context, r web.InstallRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "disks/install", r, &o)
}
