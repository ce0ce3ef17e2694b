package web

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// goodFor is how long an answer may be shown to others who watch the same, when nothing was reported to have changed meanwhile.
// Streams look again once a second each, at moments of their own: with a quarter of that no counter is older than 1.25 s.
const goodFor = rereadEvery / 4

// renderings are answers that several streams show: a change wakes all of them at once, and fifty consoles would otherwise have the
// same text made fifty times in the moment in which the operator acts. Any goroutine may use it.
type renderings struct {
	mu  sync.Mutex // guards what follows
	all map[string]*rendering
}

// rendering is the last answer of one kind.
type rendering struct {
	users int // streams; guarded by renderings.mu

	mu      sync.Mutex // guards what follows, and is held while the answer is made: others want the same one
	answer  *recorder
	at      time.Time
	changed <-chan struct{} // closed when something changed after the answer was begun
}

func newRenderings() *renderings { return &renderings{all: map[string]*rendering{}} }

// nameOf tells answers apart: what is asked for, and by whom, as not everybody is told the same.
func nameOf(r *http.Request) string {
	c := access.CallerOf(r.Context())
	return strings.Join([]string{r.URL.RequestURI(), c.By, c.Name, c.Token, string(c.Role)}, "\x00")
}

// enter joins those who watch what has this name.
func (r *renderings) enter(name string) *rendering {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all[name]
	if e == nil {
		e = &rendering{}
		r.all[name] = e
	}
	e.users++
	return e
}

// leave forgets what nobody watches any more.
func (r *renderings) leave(name string, e *rendering) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.users--; e.users == 0 {
		delete(r.all, name)
	}
}

// get is an answer that is good at now, made unless there is one, with the channel by which it ends.
func (e *rendering) get(now time.Time, render func() (*recorder, <-chan struct{})) (*recorder, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.answer == nil || now.Sub(e.at) >= goodFor || closed(e.changed) {
		e.at = now
		e.answer, e.changed = render()
	}
	return e.answer, e.changed
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
