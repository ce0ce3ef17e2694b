package web

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestARenderingIsSharedWhileItIsGood(t *testing.T) {
	r := newRenderings()
	made, changed := 0, make(chan struct{})
	render := func() (*recorder, <-chan struct{}) {
		made++
		out := newRecorder()
		fmt.Fprint(out, made)
		return out, changed
	}
	at := time.Unix(0, 0)
	e := r.enter("status")
	for _, step := range []struct {
		name  string
		after time.Duration
		until func()
		want  string
	}{
		{"the first", 0, nil, "1"},
		{"another stream", time.Millisecond, nil, "1"},
		{"something changed", 2 * time.Millisecond, func() { close(changed); changed = make(chan struct{}) }, "2"},
		{"the others that were woken", 3 * time.Millisecond, nil, "2"},
		{"a counter may have moved", 2*time.Millisecond + goodFor, nil, "3"},
	} {
		if step.until != nil {
			step.until()
		}
		if got, _ := e.get(at.Add(step.after), render); got.String() != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	again := r.enter("status")
	if again != e || r.enter("peers") == e {
		t.Error("watchers of the same do not meet")
	}
	r.leave("status", e)
	r.leave("status", again)
	if len(r.all) != 1 {
		t.Errorf("%d kept", len(r.all))
	}
}

// Nobody is shown an answer from before a change that was reported before they asked.
func TestNobodyIsShownWhatIsOver(t *testing.T) {
	r := newRenderings()
	var mu sync.Mutex // guards what follows
	value, changed := int64(0), make(chan struct{})
	var made atomic.Int64
	render := func() (*recorder, <-chan struct{}) {
		mu.Lock()
		defer mu.Unlock()
		made.Add(1)
		return &recorder{Buffer: *bytes.NewBufferString(fmt.Sprint(value))}, changed
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			e := r.enter("x")
			defer r.leave("x", e)
			for range 200 {
				mu.Lock()
				value++
				want := value
				close(changed)
				changed = make(chan struct{})
				mu.Unlock()
				got, _ := e.get(time.Unix(0, 0), render)
				var n int64
				if _, err := fmt.Sscan(got.String(), &n); err != nil || n < want {
					t.Errorf("%s is shown after %d, %v", got, want, err)
				}
			}
		})
	}
	all.Wait()
	if len(r.all) != 0 || made.Load() > 4000 {
		t.Errorf("%d kept, %d made", len(r.all), made.Load())
	}
}
