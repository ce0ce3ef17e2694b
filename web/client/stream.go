package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/drawbridge-net/drawbridge/web"
)

// maxLine bounds one line of an event stream, and so one watched document.
const maxLine = maxAnswer

// ErrEnded says that the daemon ended a stream, as it does when it stops.
var ErrEnded = errors.New("the daemon ended the stream; is it stopping?")

// message is one server-sent event.
type message struct {
	kind, id string
	data     []byte
}

// Watch calls each with the document at path now, and again whenever it has changed, until ctx ends or each
// fails. Without an error from each, it returns why the stream ended.
func (c *Client) Watch(ctx context.Context, path string, q url.Values, each func(json.RawMessage) error) error {
	return c.stream(ctx, path, q, func(m message) error {
		if m.kind != "change" {
			return nil
		}
		return each(m.data)
	})
}

// Follow calls each with every event after an id that is kept and every one to come, as far as filter selects them (nil:
// all), until ctx ends or each fails. missed is called with how many events were lost in between; it may be nil.
func (c *Client) Follow(ctx context.Context, after uint64, filter url.Values, missed func(n uint64), each func(web.Event) error) error {
	return c.stream(ctx, "events", since(after, filter), func(m message) error {
		if m.kind == "missed" {
			var lost struct{ Missed uint64 }
			if err := parse("events", m.data, &lost); err != nil || missed == nil {
				return err
			}
			missed(lost.Missed)
			return nil
		}
		var e web.Event
		if err := parse("events", m.data, &e); err != nil {
			return err
		}
		return each(e)
	})
}

func (c *Client) stream(ctx context.Context, path string, q url.Values, each func(message) error) error {
	answer, err := c.call(ctx, http.MethodGet, path, q, "text/event-stream", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	err = messages(answer.Body, each)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// messages reads server-sent events (WHATWG HTML §9.2.6). Our server writes data on one line.
func messages(r io.Reader, each func(message) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	var m message
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "" && m.data != nil:
			if err := each(m); err != nil {
				return err
			}
			m = message{}
		case field == "event":
			m.kind = value
		case field == "id":
			m.id = value
		case field == "data":
			m.data = append(m.data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w (%w)", ErrEnded, err)
	}
	return ErrEnded
}
