package web

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawbridge-net/drawbridge/web/access"
)

const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotent-Replayed"
	maxKey         = 128
)

// idempotent carries a change out once, however often it is asked for with the same key, so that who never heard the answer
// can ask again. Refusals are not kept: they changed nothing, and the next try may succeed. Neither is what is no
// JSON, as a backup, nor what sets a cookie.
type idempotent struct {
	s       *server
	replays *replays
	next    http.Handler
}

func (d idempotent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	keys := r.Header.Values(keyHeader)
	caller := access.CallerOf(r.Context())
	unknown := d.s.access != nil && caller.Name == "" // all of them would share their keys
	if len(keys) == 0 || !changes(r.Method) || unknown {
		d.next.ServeHTTP(w, r)
		return
	}
	if len(keys) > 1 || !fit(keys[0]) {
		problem(w, http.StatusUnprocessableEntity, keyHeader+": want one of 1 to 128 visible characters, such as a UUID; choose it anew for every change")
		return
	}
	mine, before := d.replays.begin(replayKey{strings.Join([]string{caller.By, caller.Name, caller.Token}, "\x00"), keys[0]})
	switch {
	case mine != nil:
		d.carryOut(w, r, mine)
	case !before.done:
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusConflict, "the change with this "+keyHeader+" is still being carried out: ask again in a second for its answer")
	default:
		again(w, r, before)
	}
}

// fit reports whether a key is one that a log and a header can hold.
func fit(key string) bool {
	return key != "" && len(key) <= maxKey && strings.IndexFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

func changes(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}

// carryOut passes a change on and keeps what came of it, if it was made.
func (d idempotent) carryOut(w http.ResponseWriter, r *http.Request, mine *replay) {
	kept := false
	defer func() {
		if !kept { // also when next panics
			d.replays.forget(mine)
		}
	}()
	body := &hashing{ReadCloser: r.Body, sum: sha256.New()}
	r.Body = body
	out := &copying{ResponseWriter: w, status: http.StatusOK}
	d.next.ServeHTTP(out, r)
	if !out.keepable() {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxReplay)) // what the handler had no use for
	header := http.Header{}
	for _, name := range []string{"Content-Type", "ETag", "Link", "Location"} {
		if v := w.Header().Get(name); v != "" {
			header.Set(name, v)
		}
	}
	kept = true
	d.replays.end(mine, fingerprint{line(r), [sha256.Size]byte(body.sum.Sum(nil)), body.length}, out.status, header, out.text.Bytes())
}

// again answers as before, if the same is asked.
func again(w http.ResponseWriter, r *http.Request, before *replay) {
	body := &hashing{ReadCloser: r.Body, sum: sha256.New()}
	_, err := io.Copy(io.Discard, io.LimitReader(body, before.print.length+1))
	if (fingerprint{line(r), [sha256.Size]byte(body.sum.Sum(nil)), body.length}) != before.print || err != nil {
		problem(w, http.StatusUnprocessableEntity, "this "+keyHeader+" was used for another change, which was made: choose a new key")
		return
	}
	access.Note(r.Context(), nil, map[string]bool{"replayed": true})
	for name, values := range before.header {
		w.Header()[name] = values
	}
	w.Header().Set(replayedHeader, "true")
	w.WriteHeader(before.status)
	_, _ = w.Write(before.body) // a client that is gone is not our business
}

// line is what a request says before its body.
func line(r *http.Request) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("If-Match")}, "\x00")))
}

// hashing hashes a body while it is read: a bundle is too large to be kept.
type hashing struct {
	io.ReadCloser
	sum    hash.Hash
	length int64
}

func (h *hashing) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	h.sum.Write(p[:n])
	h.length += int64(n)
	return n, err
}

// copying passes an answer on and keeps a copy.
type copying struct {
	http.ResponseWriter
	status int
	begun  bool
	text   bytes.Buffer
	cut    bool
}

func (c *copying) WriteHeader(status int) {
	if !c.begun && status >= http.StatusOK {
		c.begun, c.status = true, status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *copying) Write(p []byte) (int, error) {
	c.begun = true
	c.cut = c.cut || c.text.Len()+len(p) > maxReplay
	if !c.cut {
		c.text.Write(p)
	}
	return c.ResponseWriter.Write(p)
}

// Flush is for handlers that ask for http.Flusher.
func (c *copying) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (c *copying) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *copying) keepable() bool {
	kind, _, _ := mime.ParseMediaType(c.Header().Get("Content-Type"))
	return c.status < http.StatusMultipleChoices && !c.cut && (kind == "application/json" || c.text.Len() == 0) && c.Header().Get("Set-Cookie") == ""
}

// describeKeys writes into the document that every change takes a key, but those by which somebody becomes known.
func (s *server) describeKeys() {
	doors := map[string]bool{"log-in": true, "log-out": true, "first-run": true, "create-backup": true}
	for _, item := range s.api.OpenAPI().Paths {
		for _, o := range []*huma.Operation{item.Post, item.Put, item.Patch, item.Delete} {
			if o == nil || doors[o.OperationID] {
				continue
			}
			o.Parameters = append(o.Parameters, keyParameter(o)...)
			for code, answer := range o.Responses {
				if code < "300" {
					describeReplay(answer)
				}
			}
		}
	}
}

func keyParameter(o *huma.Operation) []*huma.Param {
	for _, p := range o.Parameters {
		if p.Name == keyHeader {
			return nil
		}
	}
	length := maxKey
	return []*huma.Param{{
		Name: keyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: &length},
		Description: "Asked again with the same key, it is done once, and answered as the first time",
	}}
}

func describeReplay(answer *huma.Response) {
	if answer.Headers == nil {
		answer.Headers = map[string]*huma.Param{}
	}
	answer.Headers[replayedHeader] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeBoolean}, Description: "This is the answer of before; nothing was done"}
}
