// Package browser drives a real browser through the console: against a node of values, which is fast, or against any
// console that runs. Its tests need Chromium; without it they are skipped and say so.
package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/console"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// Network is a node of values behind a real HTTP server, with its console.
type Network struct {
	values
	*versions
	URL string

	server *httptest.Server
	files  io.Closer // of access control, if there is any
	began  time.Time
	cut    atomic.Bool
	lost   atomic.Bool                   // what changes are answered never arrives
	frozen atomic.Pointer[time.Duration] // by the node's clock
	bare   atomic.Bool                   // no subnet is configured
	slow   atomic.Bool                   // a bundle that is sent never arrives

	session atomic.Pointer[Session]

	mu      sync.Mutex // guards what follows
	resumed []string   // Last-Event-IDs that streams went on behind
}

// values are deeper than versions, which answer about the configuration instead.
type values struct{ *webtest.Node }

// NewNetwork starts a node to look at. Close ends it.
func NewNetwork() *Network {
	n := newNetwork()
	n.server = httptest.NewServer(n.answers())
	n.URL = n.server.URL
	n.Know(alice)
	return n
}

// NewNetworkTLS is the same over TLS and HTTP/2, which carries all streams of a page in one connection.
func NewNetworkTLS() *Network {
	n := newNetwork()
	n.server = httptest.NewUnstartedServer(n.answers())
	n.server.EnableHTTP2 = true
	n.server.StartTLS()
	n.URL = n.server.URL
	n.Know(alice)
	return n
}

var alice = Session{Peer: "a", LoggedIn: true, Name: "alice", Role: "admin", By: "session"}

func (n *Network) answers(options ...web.Option) http.Handler {
	answer := web.New(n, slog.New(slog.DiscardHandler), append(options, web.WithConsole(console.Handler()))...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.cut.Load() {
			panic(http.ErrAbortHandler)
		}
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			n.mu.Lock()
			n.resumed = append(n.resumed, id)
			n.mu.Unlock()
		}
		if n.lost.Load() && r.Method != http.MethodGet {
			answer.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		if n.slow.Load() && r.URL.Path == "/api/v1/update/bundle" {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			return
		}
		if who := n.session.Load(); who != nil && (!who.LoggedIn && strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/api/v1/session") {
			n.door(w, r, *who)
			return
		}
		answer.ServeHTTP(w, r)
	})
}

// Session is who asks, as the API tells it.
type Session struct {
	Peer        string `json:"peer"`
	LoggedIn    bool   `json:"logged_in"`
	FirstRun    bool   `json:"first_run"`
	Name        string `json:"name,omitempty"`
	Role        string `json:"role,omitempty"`
	By          string `json:"by,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Know says who asks from now on.
func (n *Network) Know(s Session) { n.session.Store(&s) }

// Password is what lets alice in.
const Password = "correct horse battery"

// door answers in place of the access control, which has tests of its own.
func (n *Network) door(w http.ResponseWriter, r *http.Request, who Session) {
	w.Header().Set("Content-Type", "application/json")
	in := map[string]string{}
	_ = json.NewDecoder(r.Body).Decode(&in) // what is not there is empty
	switch {
	case r.URL.Path == "/api/v1/session":
		_ = json.NewEncoder(w).Encode(who) // to a browser
	case r.Method == http.MethodPost && in["password"] == Password:
		n.Know(Session{Peer: "a", LoggedIn: true, Name: in["name"], Role: "admin", By: "session"})
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"title":"Unauthorized","status":401,"detail":"name or password is wrong"}`)
	}
}

// Close ends the node and everything that asks it.
func (n *Network) Close() {
	n.server.CloseClientConnections()
	n.server.Close()
	if n.files != nil {
		_ = n.files.Close() // nobody reads it any more
	}
}

// Status is that of the values, by a clock that goes.
func (n *Network) Status() web.Status {
	s := n.Node.Status()
	at := time.Since(n.began)
	if stopped := n.frozen.Load(); stopped != nil {
		at = *stopped
	}
	s.UptimeS += at.Seconds()
	return s
}

// Freeze keeps the node from telling anything new, while its connections stay.
func (n *Network) Freeze(frozen bool) {
	if !frozen {
		n.frozen.Store(nil)
		return
	}
	at := time.Since(n.began)
	n.frozen.Store(&at)
}

// Cut lets all connections break, and new ones too until it is undone.
func (n *Network) Cut(cut bool) {
	n.cut.Store(cut)
	if cut {
		n.server.CloseClientConnections()
	}
}

// LoseAnswers lets changes be made while nobody hears what came of them, as when the connection breaks in between.
func (n *Network) LoseAnswers(lost bool) { n.lost.Store(lost) }

// Resumed are the ids behind which streams went on.
func (n *Network) Resumed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.resumed)
}

// Carry lets peer carry the segment office from now on.
func (n *Network) Carry(peer, cause string) {
	now := webtest.Now.Add(time.Since(n.began))
	n.Change(func(v *webtest.Values) {
		for i := range v.Segments {
			s := &v.Segments[i]
			if s.Name != "office" {
				continue
			}
			s.Active, s.Since, s.Cause, s.Epoch = &peer, now, cause, "3.8"
			for k := range s.Gateways {
				s.Gateways[k].Gate = web.GateShut
				if s.Gateways[k].Peer == peer {
					s.Gateways[k].Gate = web.GateOpen
				}
			}
		}
	})
	n.Happen(web.Event{Time: now, Level: web.LevelInfo, Kind: "segment_active", Segment: "office", Peer: peer, Epoch: "3.8", Reason: cause, Text: peer + " carries office"})
}

// stations are n addresses behind the segment office.
func stations(n int) (macs []web.MAC) {
	for i := range n {
		macs = append(macs, web.MAC{
			MAC: fmt.Sprintf("52:54:00:%02x:%02x:%02x", i>>16&255, i>>8&255, i&255), VNI: 1, At: web.AtSegment, Segment: "office", Peer: "a",
			Port: "eth1.42", Learned: webtest.Now.Add(-time.Duration(i) * time.Second), Seen: webtest.Now.Add(-time.Duration(i%60) * time.Second),
		})
	}
	return macs
}

// history is a start, a loss and a move of two hours ago.
func history() []web.Event {
	at := func(ago, ms time.Duration) time.Time { return webtest.Now.Add(-ago + ms*time.Millisecond) }
	return []web.Event{
		{Time: at(76*time.Hour, 0), Level: web.LevelInfo, Kind: "started", Text: "peer a of network home started"},
		{Time: at(75*time.Hour, 0), Level: web.LevelInfo, Kind: "peer_up", Peer: "b", Text: "b: link is up over UDP"},
		{Time: at(75*time.Hour, 900), Level: web.LevelInfo, Kind: "segment_active", Segment: "office", Peer: "b", Epoch: "3.6", Reason: "first of the list", Text: "b carries office"},
		{Time: at(2*time.Hour, 0), Level: web.LevelWarn, Kind: "segment_inactive", Segment: "office", Peer: "b", Epoch: "3.6", Reason: "switchover to a", Text: "b no longer carries office"},
		{Time: at(2*time.Hour, 41), Level: web.LevelInfo, Kind: "segment_active", Segment: "office", Peer: "a", Epoch: "3.7", Reason: "switchover from b", Text: "a carries office"},
		{Time: at(2*time.Hour, 47), Level: web.LevelInfo, Kind: "gate_open", Segment: "office", Port: "eth1.42", Epoch: "3.7", Reason: "switchover from b", Text: "the gate of eth1.42 is open"},
		{Time: at(3*time.Minute, 0), Level: web.LevelWarn, Kind: "peer_down", Peer: "z", Reason: "no heartbeat for 3 s", Text: "z: unreachable, no heartbeat for 3 s"},
		{Time: at(40*time.Second, 0), Level: web.LevelWarn, Kind: "path_changed", Peer: "x", Reason: "UDP is blocked", Text: "x: frames take the control connection, because UDP is blocked"},
	}
}

func newNetwork() *Network {
	n := &Network{values: values{webtest.New()}, began: time.Now()}
	now := func() time.Time { return webtest.Now.Add(time.Since(n.began)) }
	n.versions = newVersions(now, func() { n.Change(func(*webtest.Values) {}) })
	n.Node.Change(func(v *webtest.Values) { v.MACs = append(v.MACs, stations(6)...) })
	for _, e := range history() {
		n.Add(e)
	}
	return n
}
