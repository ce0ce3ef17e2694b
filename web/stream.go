package web

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// slowest is how long a client may take to accept one event before it is dropped; it can come back with
// Last-Event-ID. Without a limit a client that never reads would keep a goroutine for ever.
const slowest = 10 * time.Second

// stream writes server-sent events (WHATWG HTML §9.2).
type stream struct {
	w     http.ResponseWriter
	to    *http.ResponseController
	begun bool
}

func newStream(w http.ResponseWriter, _ *http.Request) *stream {
	return &stream{w: w, to: http.NewResponseController(w)}
}

// begin writes the header, once.
func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx holds events back otherwise
	s.w.WriteHeader(http.StatusOK)
}

// send writes one event. data is JSON on one line; id may be empty.
func (s *stream) send(kind, id string, data []byte) error {
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", kind, bytes.TrimSpace(data))
	return s.write(b.Bytes())
}

// ping keeps proxies from closing a quiet stream.
func (s *stream) ping() error { return s.write([]byte(": still here\n\n")) }

func (s *stream) write(b []byte) error {
	s.begin()
	_ = s.to.SetWriteDeadline(time.Now().Add(slowest)) // not every writer can; it is then up to the connection
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.to.Flush()
}
