package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
)

// CaptureType is the media type of captures, as Wireshark registers it with desktops.
const CaptureType = "application/x-pcapng"

// eventsInput are the ways to say where to begin.
type eventsInput struct {
	After  uint64 `query:"after" doc:"Only events with a higher id"`
	LastID string `header:"Last-Event-ID" doc:"The same, as browsers send it when they reconnect"`
	Accept string `header:"Accept" doc:"text/event-stream for a stream, anything else for a list"`
	Watch  bool   `query:"watch" doc:"Answer with a stream of server-sent events that begins with those that are kept"`
	Limit  int    `query:"limit" minimum:"0" maximum:"100000" doc:"The most that a list has, the oldest first; 0: all. The Link header says which page is next (rel=\"next\")"`
	EventFilter
}

// since is the id to begin after.
func (in *eventsInput) since() uint64 {
	if id, err := strconv.ParseUint(in.LastID, 10, 64); err == nil {
		return max(id, in.After)
	}
	return in.After
}

// streams registers what has no end.
func (s *server) streams() {
	schemas := s.api.OpenAPI().Components.Schemas
	events := operation("get-events", http.MethodGet, "/events", "What happened, oldest first")
	events.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{Type: huma.TypeArray, Items: schemas.Schema(reflect.TypeFor[Event](), true, "Event")}},
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "Events whose type is their kind, whose id is theirs and whose data is an Event; " +
			"\"missed\" with {\"missed\": N} first, when N events after Last-Event-ID are no longer kept"}},
	}}}
	huma.Register(s.api, events, func(_ context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			c := humagin.Unwrap(ctx)
			if in.Watch || accepts(c.Request, "text/event-stream") {
				s.follow(c.Writer, c.Request, in)
				return
			}
			s.listEvents(c.Writer, c.Request, in)
		}}, nil
	})

	capture := operation("get-capture", http.MethodGet, "/capture", "Frames of a port, or of a segment at all its gateways, as pcapng, until the client closes", http.StatusNotFound, http.StatusUnprocessableEntity)
	capture.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
		CaptureType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}}
	huma.Register(s.api, capture, func(_ context.Context, in *CaptureRequest) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			c := humagin.Unwrap(ctx)
			s.capture(c.Writer, c.Request, *in)
		}}, nil
	})
}

func (s *server) listEvents(w http.ResponseWriter, r *http.Request, in *eventsInput) {
	all := slices.DeleteFunc(s.node.Events(in.since()), func(e Event) bool { return !in.keeps(e) })
	if in.Limit > 0 && len(all) > in.Limit {
		all = all[:in.Limit]
		p := Page{asked: *r.URL}
		w.Header().Set("Link", p.link(strconv.FormatUint(all[in.Limit-1].ID, 10)))
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, complete(all))
}

// follow replays events after an id and goes on with those to come.
func (s *server) follow(w http.ResponseWriter, r *http.Request, in *eventsInput) {
	out, after := newStream(w, r), in.since()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	if out.ping() != nil { // the header goes out before the first event
		return
	}
	for {
		changed := s.node.Watch()
		news := s.node.Events(after)
		if out.events(after, news, in.keeps) != nil {
			return
		}
		if n := len(news); n > 0 {
			after = news[n-1].ID
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-ping.C:
			if out.ping() != nil {
				return
			}
		}
	}
}

// events sends those of the news that are to be kept, and says how many behind an id are lost.
func (s *stream) events(after uint64, news []Event, keep func(Event) bool) error {
	for _, e := range news {
		if after != 0 && e.ID > after+1 {
			if err := s.send("missed", "", []byte(`{"missed":`+strconv.FormatUint(e.ID-after-1, 10)+`}`)); err != nil {
				return err
			}
		}
		after = e.ID
		if !keep(e) {
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := s.send(e.Kind, strconv.FormatUint(e.ID, 10), data); err != nil {
			return err
		}
	}
	return nil
}

// capture streams until the client has enough. A refusal comes before the first byte and is a problem; later
// the connection is cut, so that nobody takes half a capture for a whole one.
func (s *server) capture(w http.ResponseWriter, r *http.Request, in CaptureRequest) {
	if (in.Port == "") == (in.Segment == "") {
		problem(w, http.StatusUnprocessableEntity, "name a port or a segment, one of them")
		return
	}
	out := &flushed{w: w, to: http.NewResponseController(w)}
	err := s.node.Capture(r.Context(), in, out)
	switch {
	case err == nil || r.Context().Err() != nil:
	case out.begun:
		s.log.Warn("capture ended early", "port", in.Port+in.Segment, "err", err)
		panic(http.ErrAbortHandler)
	default:
		problem(w, status(err), err.Error())
	}
}

// flushed sends every packet on its way at once.
type flushed struct {
	w     http.ResponseWriter
	to    *http.ResponseController
	begun bool
}

var _ io.Writer = (*flushed)(nil)

// Write implements io.Writer.
func (f *flushed) Write(b []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.w.Header().Set("Content-Type", CaptureType)
		f.w.WriteHeader(http.StatusOK)
	}
	_ = f.to.SetWriteDeadline(time.Now().Add(slowest)) // as for events
	n, err := f.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, f.to.Flush()
}
