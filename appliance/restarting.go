package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// orderUpdate has a peer take new software and start again.
const orderUpdate = "update"

// ErrRestart ends Run when the daemon is to be started again.
var ErrRestart = errors.New("to be started again")

// answerFor is how long a restart waits, so that whoever asked for it hears that it has begun.
const answerFor = 300 * time.Millisecond

// Restart implements web.Node.
func (n *Node) Restart(ctx context.Context, by string) (web.Operation, error) {
	if n.departure.begun.Load() {
		return web.Operation{}, fmt.Errorf("%w: this peer is stopping", web.ErrConflict)
	}
	return n.delegate(ctx, n.creds.ID(), &order{Kind: orderUpdate, To: string(n.creds.Name), By: by, Source: web.SourceRestart})
}

// update takes new software, and starts again.
func (n *Node) update(ctx context.Context, op *operation, o *order) error {
	defer o.close()
	op.change(func(v *web.Operation) { v.Peer, v.To = o.To, "" })
	if o.To != string(n.creds.Name) {
		return fmt.Errorf("an update of %s was asked of %s", o.To, n.creds.Name)
	}
	if o.Source != web.SourceRestart {
		return n.install(ctx, op, o)
	}
	op.step("restart", string(n.creds.Name), "its segments are handed over, and it starts again")
	op.end(web.OperationDone, string(n.creds.Name)+" starts again")
	time.AfterFunc(answerFor, n.again)
	return nil
}
