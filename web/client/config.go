package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// Config asks for a version of the network configuration; 0: the newest.
func (c *Client) Config(ctx context.Context, version uint64) (web.ConfigVersion, error) {
	if version == 0 {
		return get[web.ConfigVersion](ctx, c, "config", nil)
	}
	return get[web.ConfigVersion](ctx, c, fmt.Sprintf("config/versions/%d", version), nil)
}

// ConfigVersions asks for the history, the newest first.
func (c *Client) ConfigVersions(ctx context.Context, limit int) (web.ConfigHistory, error) {
	return get[web.ConfigHistory](ctx, c, "config/versions", url.Values{"limit": {strconv.Itoa(limit)}})
}

// DiffConfig asks how two versions differ; 0: the newest, and its parent.
func (c *Client) DiffConfig(ctx context.Context, from, to uint64) (web.ConfigDiff, error) {
	return get[web.ConfigDiff](ctx, c, "config/diff", url.Values{"from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(to, 10)}})
}

// CheckConfig asks what is wrong with a text and what it would change.
func (c *Client) CheckConfig(ctx context.Context, text string) (k web.ConfigCheck, err error) {
	return k, c.send(ctx, http.MethodPost, "config/check", web.ConfigChange{Text: text}, &k)
}

// PutConfig changes the configuration. base is the version that the change is based on; "*": whatever is the newest.
func (c *Client) PutConfig(ctx context.Context, base, key string, r web.ConfigChange) (v web.ConfigVersion, err error) {
	return v, c.change(ctx, http.MethodPut, "config", base, key, r, &v)
}

// RollbackConfig goes back to an earlier version.
func (c *Client) RollbackConfig(ctx context.Context, base, key string, r web.ConfigRollback) (v web.ConfigVersion, err error) {
	return v, c.change(ctx, http.MethodPost, "config/rollback", base, key, r, &v)
}

// ConfirmConfig keeps a version.
func (c *Client) ConfirmConfig(ctx context.Context, version uint64, by string) (v web.ConfigVersion, err error) {
	return v, c.send(ctx, http.MethodPost, fmt.Sprintf("config/versions/%d/confirm", version), web.ConfigConfirm{By: by}, &v)
}

// ExportConfig asks for a version as text, in the form toml or json.
func (c *Client) ExportConfig(ctx context.Context, version uint64, form string) (string, error) {
	q := url.Values{"form": {form}, "version": {strconv.FormatUint(version, 10)}}
	answer, err := c.call(ctx, http.MethodGet, "config/export", q, "*/*", nil)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return string(text), err
}

// ConfigApplied asks which peers go by a version, and waits for them at most so long.
func (c *Client) ConfigApplied(ctx context.Context, version uint64, wait time.Duration) (web.ConfigApplied, error) {
	return get[web.ConfigApplied](ctx, c, fmt.Sprintf("config/versions/%d/applied", version), url.Values{"wait_s": {strconv.FormatFloat(wait.Seconds(), 'f', -1, 64)}})
}

// change is send for what is based on a version.
func (c *Client) change(ctx context.Context, method, path, ifMatch, key string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("If-Match", ifMatch)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusMultipleChoices {
		return refusal(answer)
	}
	if text, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err != nil {
		return c.unreachable(ctx, err)
	}
	return parse(path, text, v)
}
