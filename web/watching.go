package web

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Rhythm of a watched answer. Counters and measurements move without a change being reported, so it is read
// again once a second; a burst of changes is told as one.
const (
	rereadEvery = time.Second
	settleFor   = 50 * time.Millisecond
	pingEvery   = 15 * time.Second // below the idle limits of common proxies
)

// watching answers requests for events about a list by asking for the list itself again and again, so that a
// watched answer can never differ from the plain one.
type watching struct {
	s      *server
	next   http.Handler
	shared *renderings
}

func (w watching) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	path, ours := strings.CutPrefix(r.URL.Path, base+"/")
	asked := accepts(r, "text/event-stream")
	if q, err := strconv.ParseBool(r.URL.Query().Get("watch")); err == nil {
		asked = q
	}
	if !ours || r.Method != http.MethodGet || !asked || path == "events" || path == "capture" {
		w.next.ServeHTTP(out, r)
		return
	}
	w.watch(out, r)
}

func (w watching) watch(out http.ResponseWriter, r *http.Request) {
	plain := r.Clone(r.Context())
	plain.Header.Set("Accept", "application/json")
	stream := newStream(out, r)
	ping, reread := time.NewTicker(pingEvery), time.NewTicker(rereadEvery)
	defer ping.Stop()
	defer reread.Stop()
	var last []byte
	name := nameOf(plain)
	shared := w.shared.enter(name)
	defer w.shared.leave(name, shared)
	for {
		now, changed := shared.get(time.Now(), func() (*recorder, <-chan struct{}) {
			changed, now := w.s.node.Watch(), newRecorder()
			w.next.ServeHTTP(now, plain)
			return now, changed
		})
		if now.code != http.StatusOK {
			now.copyTo(out, stream.begun)
			return
		}
		if !bytes.Equal(last, now.Bytes()) {
			last = now.Bytes()
			if stream.send("change", "", last) != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-reread.C:
		case <-ping.C:
			if stream.ping() != nil {
				return
			}
		case <-changed:
			pause(r, settleFor)
		}
	}
}

// pause waits, or less when the request ends.
func pause(r *http.Request, d time.Duration) {
	select {
	case <-r.Context().Done():
	case <-time.After(d):
	}
}

// recorder keeps an answer in memory.
type recorder struct {
	bytes.Buffer
	header http.Header
	code   int
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, code: http.StatusOK} }

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) { r.code = code }

// copyTo passes a refusal on, as long as the stream has not begun.
func (r *recorder) copyTo(w http.ResponseWriter, begun bool) {
	if begun {
		return
	}
	for k, v := range r.header {
		w.Header()[k] = v
	}
	w.WriteHeader(r.code)
	_, _ = w.Write(r.Bytes())
}
