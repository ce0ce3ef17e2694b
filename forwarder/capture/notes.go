package capture

import (
	"slices"
	"sync"
	"time"
)

// maxNotes bounds what waits for a frame to be written beside.
const maxNotes = 256

// note is something that happened at a port while it was recorded.
type note struct {
	at   time.Time
	text string
}

// notes wait for the next frame: pcapng has comments of frames, not of moments (§4.3).
type notes struct {
	mu  sync.Mutex // guards what follows
	all []note
}

// Note writes down what happened at the port, as a comment of its first frame from then on, so that it is seen in the
// middle of the traffic. Any goroutine may; it never waits.
func (t *Tap) Note(at time.Time, text string) {
	t.notes.mu.Lock()
	defer t.notes.mu.Unlock()
	if len(t.notes.all) < maxNotes {
		t.notes.all = append(t.notes.all, note{at, text})
	}
}

// until takes out what had happened by then.
func (n *notes) until(at time.Time) []string {
	return n.take(func(e note) bool { return !e.at.After(at) })
}

// rest takes out what no frame came after.
func (n *notes) rest() []string { return n.take(func(note) bool { return true }) }

func (n *notes) take(which func(note) bool) (texts []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = slices.DeleteFunc(n.all, func(e note) bool {
		if which(e) {
			texts = append(texts, e.at.UTC().Format("15:04:05.000000")+" "+e.text)
			return true
		}
		return false
	})
	return texts
}
