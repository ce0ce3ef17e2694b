package appliance

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/capture"
	"github.com/drawbridge-net/drawbridge/web"
)

// captureService is the name under which gateways of one segment show each other what their ports see.
const captureService = "capture"

const (
	// captureAgain is how soon a gateway that could not be reached is asked again.
	captureAgain = time.Second
	// captureEnd is how long the end of another gateway's recording, with its counts, is waited for.
	captureEnd = time.Second
	// captureRate bounds what a recording takes of the mesh, in bytes a second: the links carry what keeps it together, too.
	captureRate = 20e6
	// captureOrder bounds a request, with its filter expression.
	captureOrder = 16 << 10
)

// segmentCapture is one gateway's request to another.
type segmentCapture struct {
	Segment string `json:"segment"`
	Filter  string `json:"filter,omitempty"`
	Where   string `json:"where,omitempty"`
}

// recordSegment records what all gateways of a segment see there, as one file.
func (n *Node) recordSegment(ctx context.Context, r web.CaptureRequest, filter *capture.Filter, w io.Writer) error {
	own, err := n.portOn(r.Segment)
	if err != nil {
		return err
	}
	if _, err := own.works(); err != nil {
		return err
	}
	parts := parts{sources: make(chan capture.Source), unheard: make(chan struct{})}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts.Go(func() { n.recordOwn(ctx, own, r, filter, &parts) })
	for _, g := range n.gatewaysOf(r.Segment) {
		parts.Go(func() { n.recordFrom(ctx, g.ID, string(g.Name), r, &parts) })
	}
	go func() {
		parts.Wait()
		close(parts.sources)
	}()
	about := fmt.Sprintf("drawbridge %s, segment %s at all its gateways, each by its own clock", n.version, r.Segment)
	err = capture.Merge(context.WithoutCancel(ctx), w, about, parts.sources) // the parts end when ctx does
	stop()
	close(parts.unheard)
	parts.Wait()
	return err
}

// parts are the recordings of several gateways.
type parts struct {
	sync.WaitGroup
	sources chan capture.Source
	unheard chan struct{} // closed when nobody reads them any more
}

// keep offers what record writes as a source, and again when it breaks, until ctx ends.
func (p *parts) keep(ctx context.Context, name string, record func(io.Writer) error) {
	for ctx.Err() == nil {
		in, out := io.Pipe()
		select {
		case p.sources <- capture.Source{Name: name, R: in}:
		case <-p.unheard:
			return
		case <-ctx.Done():
			return
		}
		ended := make(chan struct{})
		go func() {
			select {
			case <-p.unheard:
				_ = in.Close() // whatever is written fails now
			case <-ended:
			}
		}()
		_ = out.CloseWithError(record(out)) // never fails, by its contract
		close(ended)
		pause(ctx, captureAgain)
	}
}

// recordOwn offers the recording of the port here, for as long as it works.
func (n *Node) recordOwn(ctx context.Context, p *port, r web.CaptureRequest, filter *capture.Filter, to *parts) {
	to.keep(ctx, string(n.creds.Name), func(out io.Writer) error {
		a, err := p.works()
		if err != nil {
			return err
		}
		return n.record(ctx, p, a, r, filter, out)
	})
}

// recordFrom offers the recording of another gateway, again and again while it comes and goes.
func (n *Node) recordFrom(ctx context.Context, id drawbridge.PeerID, name string, r web.CaptureRequest, to *parts) {
	order, err := json.Marshal(segmentCapture{r.Segment, r.Filter, r.Where})
	if err != nil {
		return
	}
	to.keep(ctx, name, func(out io.Writer) error {
		conn, err := n.router.Open(id, captureService)
		if err != nil {
			return err
		}
		defer conn.Close()
		// What is written after the request ends the recording in order.
		defer context.AfterFunc(ctx, func() {
			_ = conn.SetDeadline(time.Now().Add(captureEnd))
			_, _ = conn.Write([]byte("\n"))
		})()
		if _, err := conn.Write(append(order, '\n')); err != nil {
			return err
		}
		_, err = io.Copy(out, conn)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

// serveCapture shows another gateway of a segment what the port here sees.
func (n *Node) serveCapture(from drawbridge.PeerID, conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, captureOrder)
	_ = conn.SetReadDeadline(time.Now().Add(orderPatience))
	line, err := in.ReadSlice('\n')
	var o segmentCapture
	if err != nil || json.Unmarshal(line, &o) != nil {
		n.log.Warn("capture not understood", "peer", from, "err", err)
		return
	}
	p, err := n.portOn(o.Segment)
	if err == nil && !n.isGatewayOf(from, o.Segment) {
		err = fmt.Errorf("peer %s is no gateway of it", from)
	}
	var filter *capture.Filter
	if err == nil {
		filter, err = capture.Compile(o.Filter)
	}
	if err != nil {
		n.log.Warn("capture refused", "peer", from, "segment", o.Segment, "reason", err)
		return
	}
	ctx, stop := context.WithCancel(n.life)
	defer stop()
	_ = conn.SetReadDeadline(time.Time{})
	go func() { // anything that comes now, and the end of the stream, is the end of the recording
		_, _ = in.ReadByte()
		stop()
	}()
	a, err := p.works()
	if err == nil {
		err = n.record(ctx, p, a, web.CaptureRequest{Port: p.name(), Where: o.Where}, filter, &paced{w: conn, ctx: ctx})
	}
	if err != nil {
		n.log.Debug("capture for another gateway ended", "peer", from, "port", p.name(), "err", err)
	}
}

// isGatewayOf reports whether a peer is one whose port on a segment is known.
func (n *Node) isGatewayOf(peer drawbridge.PeerID, segment string) bool {
	for _, g := range n.gatewaysOf(segment) {
		if g.ID == peer {
			return n.mayBridge(peer, drawbridge.SegmentIDOf(segment), 0)
		}
	}
	return false
}

// portOn finds the port here that is on a segment.
func (n *Node) portOn(segment string) (*port, error) {
	for _, p := range n.ports {
		if p.segment != nil && p.segment.Name == segment {
			return p, nil
		}
	}
	var names []string
	for _, g := range n.gatewaysOf(segment) {
		names = append(names, string(g.Name))
	}
	if len(names) == 0 {
		return nil, web.Missing(web.KindSegment, segment)
	}
	return nil, fmt.Errorf("segment %q has no port here: %w; ask %s", segment, web.ErrNotFound, strings.Join(names, " or "))
}

// paced writes no faster than captureRate. What does not fit meanwhile is counted as lost by the recording.
type paced struct {
	w   io.Writer
	ctx context.Context
}

var _ io.Writer = (*paced)(nil)

// Write implements io.Writer.
func (p *paced) Write(b []byte) (n int, err error) {
	n, err = p.w.Write(b)
	pause(p.ctx, time.Duration(float64(n)/captureRate*float64(time.Second)))
	return n, err
}
