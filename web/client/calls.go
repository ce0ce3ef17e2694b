package client

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/drawbridge-net/drawbridge/web"
)

// Version asks what runs.
func (c *Client) Version(ctx context.Context) (web.Version, error) {
	return get[web.Version](ctx, c, "version", nil)
}

// Status asks for the peer at a glance.
func (c *Client) Status(ctx context.Context) (web.Status, error) {
	return get[web.Status](ctx, c, "status", nil)
}

// Peers asks for all peers.
func (c *Client) Peers(ctx context.Context) ([]web.Peer, error) {
	return get[[]web.Peer](ctx, c, "peers", nil)
}

// Links asks for the connections to adjacent peers.
func (c *Client) Links(ctx context.Context) ([]web.Link, error) {
	return get[[]web.Link](ctx, c, "links", nil)
}

// Voters asks who decides, and who of them answers.
func (c *Client) Voters(ctx context.Context) (web.Voters, error) {
	return get[web.Voters](ctx, c, "voters", nil)
}

// Loops asks which frames come round.
func (c *Client) Loops(ctx context.Context) (web.Loops, error) {
	return get[web.Loops](ctx, c, "loops", nil)
}

// Routes asks how frames leave the peer.
func (c *Client) Routes(ctx context.Context) (web.Routes, error) {
	return get[web.Routes](ctx, c, "routes", nil)
}

// MACs asks where stations are.
func (c *Client) MACs(ctx context.Context, f web.MACFilter) ([]web.MAC, error) {
	return get[[]web.MAC](ctx, c, "macs", Query(f))
}

// Ports asks for the peer's attachments.
func (c *Client) Ports(ctx context.Context) ([]web.Port, error) {
	return get[[]web.Port](ctx, c, "ports", nil)
}

// Segments asks who bridges what.
func (c *Client) Segments(ctx context.Context) ([]web.Segment, error) {
	return get[[]web.Segment](ctx, c, "segments", nil)
}

// Events asks for the events that are kept with an id above after and that filter selects; nil: all.
func (c *Client) Events(ctx context.Context, after uint64, filter url.Values) ([]web.Event, error) {
	return get[[]web.Event](ctx, c, "events", since(after, filter))
}

// since is a filter of events with a place to begin.
func since(after uint64, filter url.Values) url.Values {
	q := url.Values{"after": {strconv.FormatUint(after, 10)}}
	maps.Copy(q, filter)
	return q
}

// Tokens asks for the invitations.
func (c *Client) Tokens(ctx context.Context) ([]web.Token, error) {
	return get[[]web.Token](ctx, c, "tokens", nil)
}

// CreateToken makes an invitation.
func (c *Client) CreateToken(ctx context.Context, r web.TokenRequest) (t web.NewToken, err error) {
	return t, c.send(ctx, http.MethodPost, "tokens", r, &t)
}

// RevokeToken makes an invitation useless.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.send(ctx, http.MethodDelete, "tokens/"+url.PathEscape(id), nil, nil)
}

// Forget removes a peer from the network for good.
func (c *Client) Forget(ctx context.Context, peer string) error {
	return c.send(ctx, http.MethodDelete, "peers/"+url.PathEscape(peer), nil, nil)
}

// FlushMACs forgets where stations are.
func (c *Client) FlushMACs(ctx context.Context, f web.Flush) (done web.Flushed, err error) {
	return done, c.send(ctx, http.MethodPost, "macs/flush", f, &done)
}

// ClearPort lets a port listen again that ALONE blocked.
func (c *Client) ClearPort(ctx context.Context, port string, r web.ClearRequest) error {
	return c.send(ctx, http.MethodPost, "ports/"+url.PathEscape(port)+"/clear", r, nil)
}

// Switchover moves a segment to another gateway, and answers when that has begun.
func (c *Client) Switchover(ctx context.Context, segment string, r web.SwitchoverRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "segments/"+url.PathEscape(segment)+"/switchover", r, &o)
}

// SegmentMode is the peer's part in a segment.
func (c *Client) SegmentMode(ctx context.Context, segment string) (web.SegmentMode, error) {
	return get[web.SegmentMode](ctx, c, "segments/"+url.PathEscape(segment)+"/mode", nil)
}

// SetSegmentMode changes it until the peer stops.
func (c *Client) SetSegmentMode(ctx context.Context, segment string, r web.ModeRequest) (m web.SegmentMode, err error) {
	return m, c.send(ctx, http.MethodPost, "segments/"+url.PathEscape(segment)+"/mode", r, &m)
}

// SegmentGate is how the peer's gate of a segment stands.
func (c *Client) SegmentGate(ctx context.Context, segment string) (web.SegmentGate, error) {
	return get[web.SegmentGate](ctx, c, "segments/"+url.PathEscape(segment)+"/gate", nil)
}

// SetSegmentGate opens or shuts it by hand.
func (c *Client) SetSegmentGate(ctx context.Context, segment string, r web.GateRequest) (g web.SegmentGate, err error) {
	return g, c.send(ctx, http.MethodPost, "segments/"+url.PathEscape(segment)+"/gate", r, &g)
}

// Drill begins a rehearsal.
func (c *Client) Drill(ctx context.Context, segment string, r web.DrillRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "segments/"+url.PathEscape(segment)+"/drill", r, &o)
}

// Maintain sends a gateway into maintenance, or back.
func (c *Client) Maintain(ctx context.Context, peer string, r web.MaintenanceRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "peers/"+url.PathEscape(peer)+"/maintenance", r, &o)
}

// FlushEverywhere makes all peers forget where stations are.
func (c *Client) FlushEverywhere(ctx context.Context, r web.FlushRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "flush", r, &o)
}

// Drills are the reports of rehearsals, the newest first.
func (c *Client) Drills(ctx context.Context) ([]web.DrillReport, error) {
	return get[[]web.DrillReport](ctx, c, "drills", nil)
}

// Operation is how an operation stands.
func (c *Client) Operation(ctx context.Context, id string) (web.Operation, error) {
	return get[web.Operation](ctx, c, "operations/"+url.PathEscape(id), nil)
}

// Query is a filter as the API takes it.
func Query(f web.MACFilter) url.Values {
	q := url.Values{}
	for key, value := range map[string]string{"mac": f.MAC, "port": f.Port, "peer": f.Peer, "segment": f.Segment} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.VNI != 0 {
		q.Set("vni", strconv.FormatUint(uint64(f.VNI), 10))
	}
	return q
}

// Diag is the diagnostics bundle. The caller closes it.
func (c *Client) Diag(ctx context.Context) (bundle io.ReadCloser, err error) {
	answer, err := c.call(ctx, http.MethodGet, "diag", nil, web.BundleType, nil)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// Capture copies frames of a port to w as pcapng until ctx ends.
func (c *Client) Capture(ctx context.Context, r web.CaptureRequest, w io.Writer) error {
	q := url.Values{}
	if r.Port != "" {
		q.Set("port", r.Port)
	}
	if r.Segment != "" {
		q.Set("segment", r.Segment)
	}
	if r.Filter != "" {
		q.Set("filter", r.Filter)
	}
	if r.Where != "" {
		q.Set("where", r.Where)
	}
	answer, err := c.call(ctx, http.MethodGet, "capture", q, web.CaptureType, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Rollout asks for the rolling update that the peer carries out, or its last one.
func (c *Client) Rollout(ctx context.Context) (web.Rollout, error) {
	return get[web.Rollout](ctx, c, "rollout", nil)
}

// StartRollout begins a rolling update.
func (c *Client) StartRollout(ctx context.Context, r web.RolloutRequest) (o web.Rollout, err error) {
	return o, c.send(ctx, http.MethodPost, "rollout", r, &o)
}

// ChangeRollout resumes or aborts it.
func (c *Client) ChangeRollout(ctx context.Context, word string, r web.ByRequest) (o web.Rollout, err error) {
	return o, c.send(ctx, http.MethodPost, "rollout/"+url.PathEscape(word), r, &o)
}

// Restart starts the peer's daemon again.
func (c *Client) Restart(ctx context.Context, r web.ByRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "restart", r, &o)
}

// MACStory asks where a station was before.
func (c *Client) MACStory(ctx context.Context, mac string) ([]web.MACStory, error) {
	return get[[]web.MACStory](ctx, c, "macs/"+url.PathEscape(mac)+"/story", nil)
}
