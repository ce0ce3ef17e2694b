package access

import (
	"crypto/subtle"
	"sync"
	"time"
)

// Life of a one-time code. A day is enough to rack a machine and go to the office; then another one is shown.
const (
	codeLife  = 24 * time.Hour
	codeTries = 10
)

// firstRun holds the one-time code by which the first admin is made. It lives in memory: a restart draws
// another one.
type firstRun struct {
	announce func(code string) // shows a new code to whoever is at the machine

	mu    sync.Mutex // guards what follows
	code  string     // empty: there are users already
	drawn time.Time
	wrong int
}

// current is the code that is valid, drawn when there is none or it has had its time.
func (f *firstRun) current(now time.Time) string {
	f.mu.Lock()
	code, fresh := f.code, false
	if code == "" || f.wrong >= codeTries || now.Sub(f.drawn) >= codeLife {
		f.code, f.drawn, f.wrong, fresh = newCode(), now, 0, true
		code = f.code
	}
	f.mu.Unlock()
	if fresh && f.announce != nil {
		f.announce(code)
	}
	return code
}

// matches spends a try. The tenth wrong one ends the code.
func (f *firstRun) matches(typed string, now time.Time) bool {
	f.current(now)
	f.mu.Lock()
	ok := f.code != "" && subtle.ConstantTimeCompare([]byte(f.code), []byte(spellCode(typed))) == 1
	if !ok {
		f.wrong++
	}
	f.mu.Unlock()
	if !ok {
		f.current(now)
	}
	return ok
}

// done ends the code for good.
func (f *firstRun) done() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.code = ""
}
