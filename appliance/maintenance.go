package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// Maintain implements web.Node.
func (n *Node) Maintain(ctx context.Context, peer string, r web.MaintenanceRequest) (web.Operation, error) {
	return web.Operation{}, errors.ErrUnsupported
}

// leave moves every segment of this gateway away.
func (n *Node) leave(ctx context.Context, op *operation) error { return errors.ErrUnsupported }

var (
	_ = fmt.Sprint
	_ time.Duration
	_ drawbridge.PeerID
	_ raftgroup.Command
	_ mesh.PeerStatus
)
