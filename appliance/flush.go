package appliance

import (
	"context"
	"errors"

	"github.com/drawbridge-net/drawbridge/web"
)

// FlushEverywhere implements web.Node.
func (n *Node) FlushEverywhere(ctx context.Context, f web.MACFilter, by string) (web.Operation, error) {
	return web.Operation{}, errors.ErrUnsupported
}
