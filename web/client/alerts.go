package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/drawbridge-net/drawbridge/web"
)

// Alerts are what is wrong just now.
func (c *Client) Alerts(ctx context.Context) ([]web.Alert, error) {
	return get[[]web.Alert](ctx, c, "alerts", nil)
}

// AlertSinks are those who are told of events.
func (c *Client) AlertSinks(ctx context.Context) ([]web.AlertSink, error) {
	return get[[]web.AlertSink](ctx, c, "alerts/sinks", nil)
}

// TestSink tells a sink something at once.
func (c *Client) TestSink(ctx context.Context, name string, r web.SinkTestRequest) (t web.SinkTest, err error) {
	return t, c.send(ctx, http.MethodPost, "alerts/sinks/"+url.PathEscape(name)+"/test", r, &t)
}

// Acknowledge notes that somebody knows of an alert.
func (c *Client) Acknowledge(ctx context.Context, id string, r web.AcknowledgeRequest) (a web.Alert, err error) {
	return a, c.send(ctx, http.MethodPost, "alerts/"+url.PathEscape(id)+"/acknowledge", r, &a)
}

// Unacknowledge notes that nobody does after all.
func (c *Client) Unacknowledge(ctx context.Context, id string) (a web.Alert, err error) {
	return a, c.send(ctx, http.MethodDelete, "alerts/"+url.PathEscape(id)+"/acknowledge", nil, &a)
}
