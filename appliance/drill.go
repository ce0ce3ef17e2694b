package appliance

import (
	"context"
	"errors"

	"github.com/drawbridge-net/drawbridge/web"
)

// Drill implements web.Node.
func (n *Node) Drill(ctx context.Context, segment string, r web.DrillRequest) (web.Operation, error) {
	return web.Operation{}, errors.ErrUnsupported
}

// Drills implements web.Node.
func (n *Node) Drills() []web.DrillReport { return nil }

func (n *Node) drill(ctx context.Context, op *operation, o *order) error {
	return errors.ErrUnsupported
}
