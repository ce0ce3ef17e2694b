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
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"update/bundle?"+q.Encode(), bundle)
	if err != nil {
		return o, err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", web.UpdateType)
	answer, err := c.http.Do(request)
	if err != nil {
		return o, c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusMultipleChoices {
		return o, refusal(answer)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return o, c.unreachable(ctx, err)
	}
	return o, parse("update/bundle", text, &o)
}

// FetchUpdate has a peer fetch a bundle, and answers when that has begun.
func (c *Client) FetchUpdate(ctx context.Context, r web.FetchRequest) (o web.Operation, err error) {
	return o, c.send(ctx, http.MethodPost, "update/fetch", r, &o)
}

// RollbackUpdate has the other slot start next.
func (c *Client) RollbackUpdate(ctx context.Context, by string) (u web.Update, err error) {
	return u, c.send(ctx, http.MethodPost, "update/rollback", web.ByRequest{By: by}, &u)
}
