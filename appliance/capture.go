package appliance

import (
	"context"
	"fmt"
	"io"

	"github.com/drawbridge-net/drawbridge/web"
)

// Capture implements web.Node.
func (n *Node) Capture(ctx context.Context, r web.CaptureRequest, w io.Writer) error {
	return fmt.Errorf("%w: capture", web.ErrUnavailable)
}
