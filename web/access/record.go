package access

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Bounds of what is kept of one value, in bytes, and of the time that looking it up may take.
const (
	maxValue    = 64 << 10
	lookUpTakes = 2 * time.Second
)

func (a *Access) entry(r *http.Request, c Caller, status int, reason string) Record {
	return Record{
		Time: a.cfg.Now().UTC(), Who: c.Name, By: c.By, Token: c.Token, From: c.Address(),
		Method: r.Method, Path: r.URL.Path, Request: c.Request, Status: status, Reason: reason,
	}
}

// record keeps a record. A log that cannot be written does not stop the gateway's operator.
func (a *Access) record(r Record) {
	if a.cfg.Audit == nil {
		return
	}
	if err := a.cfg.Audit.Add(r); err != nil && a.cfg.Log != nil {
		a.cfg.Log.Error("a change is not in the audit log", "method", r.Method, "path", r.Path, "who", r.Who, "err", err)
	}
}

// audited answers a change and records it. What was before and what is after it are what the handler notes;
// otherwise what a GET of the same path says; otherwise, after a POST, what was asked for.
func (a *Access) audited(w http.ResponseWriter, r *http.Request, c Caller, next http.Handler) {
	n := new(note)
	c.note = n
	r = r.WithContext(withCaller(r.Context(), c))
	asked := &keeper{ReadCloser: r.Body}
	r.Body = asked
	var before json.RawMessage
	if r.Method != http.MethodPost {
		before = lookUp(r, next)
	}
	out := &outcome{ResponseWriter: w}
	defer func() {
		e := a.entry(r, c, out.code(), out.reason())
		if e.Who == "" {
			e.Who = n.who
		}
		switch {
		case n.before != nil || n.after != nil:
			e.Before, e.After = plainJSON(n.before), plainJSON(n.after)
		case r.Method == http.MethodPost:
			e.After = redacted(asked.kept.Bytes())
		case out.code() < 300:
			e.Before, e.After = before, lookUp(r, next)
		default:
			e.After = redacted(asked.kept.Bytes())
		}
		if out.code() != http.StatusTooManyRequests { // or guessing would push everything else out of the log
			a.record(e)
		}
	}()
	next.ServeHTTP(out, r)
}

// lookUp is what a GET of the path of r answers the same caller; nil when that is not a JSON document.
func lookUp(r *http.Request, next http.Handler) json.RawMessage {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookUpTakes)
	defer cancel()
	get := r.Clone(ctx)
	get.Method, get.Body, get.ContentLength = http.MethodGet, http.NoBody, 0
	get.Header = http.Header{"Accept": {"application/json"}}
	get.URL.RawQuery = ""
	answer := &page{header: http.Header{}}
	next.ServeHTTP(answer, get)
	if answer.status != http.StatusOK && answer.status != 0 || answer.cut {
		return nil
	}
	return redacted(answer.text.Bytes())
}

func plainJSON(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return redacted(text)
}

// secrets are the names of members that a log must not hold, wherever they stand.
var secrets = []string{"password", "current", "secret", "client_secret", "token", "code", "codes", "key", "private_key", "hash", "digest", "totp", "recovery", "uri"}

// redacted is a JSON document with its secrets taken out; nil when it is none.
func redacted(text []byte) json.RawMessage {
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	var v any
	if in.Decode(&v) != nil || v == nil {
		return nil
	}
	clean, err := json.Marshal(redact(v))
	if err != nil {
		return nil
	}
	return clean
}

func redact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			_, isText := value.(string)
			_, isList := value.([]any)
			if (isText || isList) && slices.Contains(secrets, strings.ToLower(name)) {
				v[name] = "(left out)"
				continue
			}
			v[name] = redact(value)
		}
	case []any:
		for i := range v {
			v[i] = redact(v[i])
		}
	}
	return v
}

// keeper keeps the start of a body while it is read.
type keeper struct {
	io.ReadCloser
	kept bytes.Buffer
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	k.kept.Write(p[:min(n, maxValue-k.kept.Len())])
	return n, err
}

// outcome notes how a request was answered. It keeps the start of a refusal, which says why.
type outcome struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

func (o *outcome) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *outcome) Write(p []byte) (int, error) {
	if o.status >= 400 {
		o.text.Write(p[:min(len(p), 4096-o.text.Len())])
	}
	return o.ResponseWriter.Write(p)
}

// Flush is for handlers that ask for http.Flusher.
func (o *outcome) Flush() { _ = http.NewResponseController(o.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (o *outcome) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *outcome) code() int {
	if o.status == 0 {
		return http.StatusOK
	}
	return o.status
}

func (o *outcome) reason() string {
	var p struct{ Detail string }
	_ = json.Unmarshal(o.text.Bytes(), &p) // no detail: no reason
	return p.Detail
}

// page holds an answer that nobody is sent.
type page struct {
	header http.Header
	status int
	text   bytes.Buffer
	cut    bool
}

func (p *page) Header() http.Header { return p.header }

func (p *page) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}

func (p *page) Write(b []byte) (int, error) {
	if p.text.Len()+len(b) > maxValue {
		p.cut = true
		return len(b), nil
	}
	return p.text.Write(b)
}

func (p *page) Flush() {}
