// Package client speaks to the API of a running peer over its unix socket.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// base is where the API begins. The host is never looked up: there is only the socket.
const base = "http://drawbridge/api/v1/"

// maxAnswer bounds what is read of a document: the MAC table of the largest network that is supported is a
// tenth of it.
const maxAnswer = 256 << 20

// idle is how long a connection is kept for the next call. Who makes a client for each call would else leave the daemon with all of their
// connections, some 50 kB each, until it gives them up itself after two minutes.
const idle = 5 * time.Second

// Client calls the API of one peer. Any goroutine may use it.
type Client struct {
	socket string
	http   *http.Client
}

// New returns a client of the daemon that listens on socket. It does not connect yet.
func New(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{socket, &http.Client{Transport: &http.Transport{DialContext: dial, IdleConnTimeout: idle}}}
}

// UnreachableError says that nobody answers on the socket, and what to do about it.
type UnreachableError struct {
	Socket string
	Err    error
}

func (e *UnreachableError) Error() string {
	remedy := "is the daemon running? (systemctl status drawbridge); --socket or DRAWBRIDGE_SOCKET names another socket"
	switch {
	case errors.Is(e.Err, os.ErrPermission):
		remedy = "run as root, or as a member of the group " + web.Group
	case errors.Is(e.Err, os.ErrNotExist):
		remedy = "there is no such socket: start the daemon (systemctl start drawbridge), or name its socket with --socket or DRAWBRIDGE_SOCKET"
	}
	return fmt.Sprintf("cannot reach the daemon at %s: %v; %s", e.Socket, cause(e.Err), remedy)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// cause leaves out that the unix socket was dialled for a request to an URL that does not exist.
func cause(err error) error {
	for _, layer := range []func(error) error{inURL, inOp, inSyscall} {
		err = layer(err)
	}
	return err
}

func inURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func inOp(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Err
	}
	return err
}

func inSyscall(err error) error {
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	return err
}

// Refusal is a request that the daemon understood and did not carry out (RFC 9457).
type Refusal struct {
	Status int      `json:"status"`
	Title  string   `json:"title"`
	Detail string   `json:"detail"`
	Errors []Detail `json:"errors"`
}

// Detail says which part of a request was refused.
type Detail struct {
	Message  string `json:"message"`
	Location string `json:"location"`
	Value    any    `json:"value"`
}

func (r *Refusal) Error() string {
	if len(r.Errors) == 0 {
		if r.Detail == "" {
			return strings.ToLower(r.Title)
		}
		return r.Detail
	}
	var parts []string
	for _, d := range r.Errors {
		part := d.Message
		if d.Location != "" {
			part = fmt.Sprintf("%s (at %s)", part, d.Location)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// call sends a request and returns an answer that is not a refusal.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, accept string, body any) (*http.Response, error) {
	if body == nil {
		return c.exchange(ctx, method, path, q, accept, "", nil)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, method, path, q, accept, "application/json", bytes.NewReader(text))
}

// exchange is call with a body of any kind, or none.
func (c *Client) exchange(ctx context.Context, method, path string, q url.Values, accept, kind string, body io.Reader) (*http.Response, error) {
	target := base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		defer answer.Body.Close()
		return nil, refusal(answer)
	}
	return answer, nil
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &UnreachableError{c.socket, err}
}

func refusal(answer *http.Response) error {
	r := &Refusal{Status: answer.StatusCode, Title: answer.Status}
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil || json.Unmarshal(text, r) != nil {
		return fmt.Errorf("the daemon answered %s", answer.Status)
	}
	return r
}

// Raw reads a document as the daemon wrote it: what --json shows.
func (c *Client) Raw(ctx context.Context, path string, q url.Values) (json.RawMessage, error) {
	answer, err := c.call(ctx, http.MethodGet, path, q, "application/json", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return text, nil
}

// get reads a document of type T.
func get[T any](ctx context.Context, c *Client, path string, q url.Values) (v T, err error) {
	text, err := c.Raw(ctx, path, q)
	if err == nil {
		err = parse(path, text, &v)
	}
	return v, err
}

// parse reads an answer; new fields of a newer daemon are no error.
func parse(path string, text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("answer to %s: %w", path, err)
	}
	return nil
}

// send makes a change and reads what came of it into v, unless that is nil.
func (c *Client) send(ctx context.Context, method, path string, body, v any) error {
	answer, err := c.call(ctx, method, path, nil, "application/json", body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if v == nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	return parse(path, text, v)
}
