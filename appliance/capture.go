package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/capture"
	"github.com/drawbridge-net/drawbridge/web"
)

// Capture implements web.Node.
func (n *Node) Capture(ctx context.Context, r web.CaptureRequest, w io.Writer) error {
	filter, err := capture.Compile(r.Filter)
	if err != nil {
		return fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	p, err := n.portNamed(r.Port)
	if err != nil {
		return err
	}
	p.mu.Lock()
	a := p.attached
	p.mu.Unlock()
	if a == nil {
		return fmt.Errorf("port %s does not work, so there is nothing to capture: %w", r.Port, web.ErrUnavailable)
	}
	return n.record(ctx, p, a, r, filter, w)
}

// record runs one capture until ctx ends, the reader hangs up or the port goes away.
func (n *Node) record(ctx context.Context, p *port, a *forwarder.Attached, r web.CaptureRequest, filter *capture.Filter, w io.Writer) error {
	where := "what the gate let through"
	if r.Where == web.BeforeGate {
		where = "everything that the port sees"
	}
	c := capture.New(capture.Config{Comment: fmt.Sprintf("drawbridge %s, peer %s: %s", n.version, n.creds.Name, where), Filter: filter})
	about := capture.Interface{Name: p.name()}
	if p.segment != nil {
		about.Description = "segment " + p.segment.Name
	}
	defer a.Capture(c.Tap(about), r.Where == web.BeforeGate)()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the port that is recorded may be opened anew without us
		select {
		case <-ctx.Done():
		case <-a.Gone():
			cancel()
		}
	}()
	err := c.Run(ctx, w)
	if counts := c.Counts(); counts.Lost > 0 {
		n.log.Warn("a capture could not keep up", "port", p.name(), "lost", counts.Lost, "frames", counts.Frames)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// portNamed finds a port by its name.
func (n *Node) portNamed(name string) (*port, error) {
	var names []string
	for _, p := range n.ports {
		if p.name() == name {
			return p, nil
		}
		names = append(names, p.name())
	}
	return nil, fmt.Errorf("port %q %w; there are %s", name, web.ErrNotFound, strings.Join(names, ", "))
}
