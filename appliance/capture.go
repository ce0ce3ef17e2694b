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
	if r.Segment != "" {
		return n.recordSegment(ctx, r, filter, w)
	}
	p, err := n.portNamed(r.Port)
	if err != nil {
		return err
	}
	a, err := p.works()
	if err != nil {
		return err
	}
	return n.record(ctx, p, a, r, filter, w)
}

// works answers how a port is attached to the forwarder.
func (p *port) works() (*forwarder.Attached, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.attached == nil {
		return nil, fmt.Errorf("port %s does not work, so there is nothing to capture: %w", p.name(), web.ErrUnavailable)
	}
	return p.attached, nil
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
	tap := c.Tap(about)
	defer a.Capture(tap, r.Where == web.BeforeGate)()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unwatch, err := p.watchIfKernel(tap, r.Where == web.BeforeGate)
	if err != nil {
		return err
	}
	defer unwatch()
	go n.noteEvents(ctx, p, tap)
	go func() { // the port that is recorded may be opened anew without us
		select {
		case <-ctx.Done():
		case <-a.Gone():
			cancel()
		}
	}()
	err = c.Run(ctx, w)
	if counts := c.Counts(); counts.Lost > 0 {
		n.log.Warn("a capture could not keep up", "port", p.name(), "lost", counts.Lost, "frames", counts.Frames)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// noteEvents writes beside the frames what happens to the port meanwhile, and to its segment.
func (n *Node) noteEvents(ctx context.Context, p *port, to *capture.Tap) {
	seen := uint64(0)
	if all := n.journal.After(0); len(all) > 0 {
		seen = all[len(all)-1].ID
	}
	for {
		more := n.journal.Watch()
		for _, e := range n.journal.After(seen) {
			seen = e.ID
			if e.Port != "" && e.Port == p.name() || p.segment != nil && e.Segment == p.segment.Name {
				text := e.Text
				if e.Reason != "" && !strings.Contains(text, e.Reason) {
					text += " (" + e.Reason + ")"
				}
				to.Note(e.Time, text)
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
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
	return nil, fmt.Errorf("port %q %w; drawbridge ports shows what there is: %s", name, web.ErrNotFound, strings.Join(names, ", "))
}
