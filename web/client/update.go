package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/drawbridge-net/drawbridge/web"
)

// Update asks what is in the peer's slots.
func (c *Client) Update(ctx context.Context) (web.Update, error) {
	return get[web.Update](ctx, c, "update", nil)
}

// UploadUpdate sends a bundle of size bytes, and answers when its installation has begun.
func (c *Client) UploadUpdate(ctx context.Context, r web.UpdateRequest, bundle io.Reader, size int64) (o web.Operation, err error) {
	q := url.Values{"peer": {r.Peer}, "older": {strconv.FormatBool(r.Older)}, "restart": {strconv.FormatBool(r.Restart)}, "by": {r.By}}
	return o, c.upload(ctx, "update/bundle", q, bundle, size, &o)
}

// UploadRollout sends a bundle of size bytes, and answers when the roll-out has begun.
func (c *Client) UploadRollout(ctx context.Context, r web.RolloutRequest, bundle io.Reader, size int64) (o web.Rollout, err error) {
	q := url.Values{"peer": r.Peers, "all": {strconv.FormatBool(r.All)}, "older": {strconv.FormatBool(r.Older)}, "want": {r.Want}, "by": {r.By}}
	return o, c.upload(ctx, "rollout/bundle", q, bundle, size, &o)
}

// upload sends a bundle of size bytes and reads the answer into v.
func (c *Client) upload(ctx context.Context, path string, q url.Values, bundle io.Reader, size int64, v any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path+"?"+q.Encode(), bundle)
	if err != nil {
		return err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", web.UpdateType)
	answer, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusMultipleChoices {
		return refusal(answer)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	return parse(path, text, v)
}

// FetchUpdate has a peer fetch a bundle, and answers when that has begun.
func (c *Client) FetchUpdate(ctx context.Context, r web.FetchRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "update/fetch", r, &o)
}

// RollbackUpdate has the other slot start next.
func (c *Client) RollbackUpdate(ctx context.Context, by string) (u web.Update, err error) {
	return u, c.send(ctx, http.MethodPost, "update/rollback", web.ByRequest{By: by}, &u)
}

// RestartMachine starts the machine of an appliance again.
func (c *Client) RestartMachine(ctx context.Context, r web.ByRequest) error {
	return c.send(ctx, http.MethodPost, "update/restart", r, nil)
}
