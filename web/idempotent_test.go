package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// inviting is a node that counts what it was asked to do, and can be held up.
type inviting struct {
	Node
	mu      sync.Mutex
	made    int
	failure error
	enter   chan struct{} // nil: nobody waits
	leave   chan struct{}
}

func (n *inviting) Version() Version { return Version{Version: "1"} }

func (n *inviting) CreateToken(_ context.Context, r TokenRequest) (NewToken, error) {
	if n.enter != nil {
		n.enter <- struct{}{}
		<-n.leave
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.failure != nil {
		return NewToken{}, n.failure
	}
	n.made++
	return NewToken{Token: fmt.Sprintf("%s-%d", r.By, n.made)}, nil
}

func (n *inviting) Drill(_ context.Context, _ string, _ DrillRequest) (Operation, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made++
	return Operation{ID: fmt.Sprintf("%016x", n.made)}, nil
}

func (n *inviting) RevokeToken(context.Context, string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made++
	if n.made > 1 {
		return fmt.Errorf("token %w", ErrNotFound)
	}
	return nil
}

func (n *inviting) Backup(_ context.Context, _ string, w io.Writer) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made++
	_, err := w.Write([]byte("secret"))
	return "x", err
}

func post(h http.Handler, method, path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, base+path, strings.NewReader(body))
	if key != "" {
		r.Header.Set(keyHeader, key)
	}
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestTheSameKeyIsDoneOnce(t *testing.T) {
	n := &inviting{}
	h := New(n, slog.New(slog.DiscardHandler))
	first := post(h, "POST", "/tokens", "k1", `{"by":"ann"}`)
	again := post(h, "POST", "/tokens", "k1", `{"by":"ann"}`)
	if n.made != 1 || first.Code != 201 || again.Code != 201 || first.Body.String() != again.Body.String() || again.Header().Get("Content-Type") != "application/json" {
		t.Errorf("made %d: %d %s, then %d %s", n.made, first.Code, first.Body, again.Code, again.Body)
	}
	if first.Header().Get(replayedHeader) != "" || again.Header().Get(replayedHeader) != "true" {
		t.Errorf("replayed: %q, then %q", first.Header().Get(replayedHeader), again.Header().Get(replayedHeader))
	}
	for _, other := range []*httptest.ResponseRecorder{
		post(h, "POST", "/tokens", "k1", `{"by":"bob"}`), post(h, "POST", "/tokens", "k1", `{"by":"ann"} `), post(h, "POST", "/tokens?x=1", "k1", `{"by":"ann"}`),
		post(h, "POST", "/segments/office/drill", "k1", `{"by":"ann"}`), post(h, "POST", "/tokens", "k1", strings.Repeat("x", 100)),
		post(h, "POST", "/tokens", "has space", `{}`), post(h, "POST", "/tokens", strings.Repeat("x", 129), `{}`), post(h, "POST", "/tokens", "é", `{}`),
	} {
		if other.Code != http.StatusUnprocessableEntity || other.Header().Get("Content-Type") != "application/problem+json" || !strings.Contains(other.Body.String(), "choose") {
			t.Errorf("%d %s", other.Code, other.Body)
		}
	}
	if post(h, "POST", "/tokens", "k2", `{"by":"ann"}`); n.made != 2 {
		t.Errorf("another key: made %d", n.made)
	}
	if post(h, "POST", "/tokens", "", `{"by":"ann"}`); n.made != 3 {
		t.Errorf("no key: made %d", n.made)
	}
}

func TestTheSameKeyIsTheSameOperation(t *testing.T) {
	n := &inviting{}
	h := New(n, slog.New(slog.DiscardHandler))
	first, again := post(h, "POST", "/segments/office/drill", "k", `{}`), post(h, "POST", "/segments/office/drill", "k", `{}`)
	if n.made != 1 || again.Code != http.StatusAccepted || first.Body.String() != again.Body.String() {
		t.Errorf("%d drills: %s, then %s", n.made, first.Body, again.Body)
	}
}

func TestWhatTakesNoBody(t *testing.T) {
	n := &inviting{}
	h := New(n, slog.New(slog.DiscardHandler))
	first, again := post(h, "DELETE", "/tokens/0102030405", "k", ""), post(h, "DELETE", "/tokens/0102030405", "k", "")
	if n.made != 1 || first.Code != http.StatusNoContent || again.Code != http.StatusNoContent {
		t.Errorf("%d times: %d, then %d", n.made, first.Code, again.Code)
	}
}

// A refusal changed nothing, so the next try is a new one, with another body if need be.
func TestRefusalsAreNotKept(t *testing.T) {
	n := &inviting{failure: fmt.Errorf("%w: no majority", ErrUnavailable)}
	h := New(n, slog.New(slog.DiscardHandler))
	if w := post(h, "POST", "/tokens", "k", `{}`); w.Code != http.StatusServiceUnavailable {
		t.Fatal(w.Code)
	}
	if w := post(h, "POST", "/tokens", "k", `{"uses":-1}`); w.Code != http.StatusUnprocessableEntity {
		t.Fatal(w.Code)
	}
	n.failure = nil
	if w := post(h, "POST", "/tokens", "k", `{"by":"ann"}`); w.Code != http.StatusCreated || n.made != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSecretFilesAreNotKept(t *testing.T) {
	n := &inviting{}
	h := New(n, slog.New(slog.DiscardHandler))
	for range 2 {
		if w := post(h, "POST", "/backup", "k", `{"passphrase":"a long passphrase"}`); w.Code != http.StatusOK || w.Header().Get(replayedHeader) != "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if n.made != 2 {
		t.Errorf("%d backups", n.made)
	}
}

// While the first is on its way, whoever asks again is told so, and nothing is done twice.
func TestOneAtATime(t *testing.T) {
	n := &inviting{enter: make(chan struct{}), leave: make(chan struct{})}
	h := New(n, slog.New(slog.DiscardHandler))
	first := make(chan *httptest.ResponseRecorder)
	go func() { first <- post(h, "POST", "/tokens", "k", `{}`) }()
	<-n.enter
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if w := post(h, "POST", "/tokens", "k", `{}`); w.Code != http.StatusConflict || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "ask again") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	n.leave <- struct{}{}
	if w := <-first; w.Code != http.StatusCreated {
		t.Error(w.Code)
	}
	n.enter = nil
	if w := post(h, "POST", "/tokens", "k", `{}`); w.Header().Get(replayedHeader) != "true" || n.made != 1 {
		t.Errorf("%d %s, made %d", w.Code, w.Body, n.made)
	}
}

func TestManyAtOnce(t *testing.T) {
	n := &inviting{}
	h := New(n, slog.New(slog.DiscardHandler))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 60 {
				w := post(h, "POST", "/tokens", fmt.Sprint((i+j)%20), `{}`)
				if w.Code != http.StatusCreated && w.Code != http.StatusConflict {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
	if n.made != 20 {
		t.Errorf("%d tokens of 20 keys", n.made)
	}
}

type failing struct{ inviting }

func (*failing) CreateToken(context.Context, TokenRequest) (NewToken, error) { panic("boom") }

func TestAPanicFreesTheKey(t *testing.T) {
	h := New(&failing{}, slog.New(slog.DiscardHandler))
	for range 2 {
		if w := post(h, "POST", "/tokens", "k", `{}`); w.Code != http.StatusInternalServerError {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// Against a model: whatever is remembered is what came of that key of that caller, in bounds of number, size and time.
func TestReplaysAreBounded(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 7))
		now := time.Unix(0, 0)
		r := newReplays(func() time.Time { return now })
		var open []*replay
		for range 4000 {
			now = now.Add(time.Duration(random.IntN(10)) * time.Second)
			key := replayKey{fmt.Sprint(random.IntN(15)), fmt.Sprint(random.IntN(200))}
			mine, before := r.begin(key)
			if before != nil && (before.key != key || before.done && (now.Sub(before.at) >= replayLife || before.status != len(key.key)+len(key.caller))) {
				t.Fatalf("seed %d: %+v is told for %+v", seed, before, key)
			}
			if mine != nil {
				open = append(open, mine)
			}
			if len(open) > 5 {
				i := random.IntN(len(open))
				e := open[i]
				open = append(open[:i], open[i+1:]...)
				if random.IntN(4) == 0 {
					r.forget(e)
				} else {
					r.end(e, fingerprint{}, len(e.key.key)+len(e.key.caller), nil, make([]byte, random.IntN(40<<10)))
				}
			}
			size, of := 0, map[string]int{}
			for _, e := range r.ended {
				size += len(e.body)
				of[e.key.caller]++
				if of[e.key.caller] > maxReplaysOfOne || r.known[e.key] != e {
					t.Fatalf("seed %d: %d of one caller", seed, of[e.key.caller])
				}
			}
			if size != r.bytes || size > maxReplayBytes || len(r.ended) > maxReplays || len(r.known) != len(r.ended)+len(open) {
				t.Fatalf("seed %d: %d answers of %d bytes, %d said, %d known", seed, len(r.ended), size, r.bytes, len(r.known))
			}
		}
	}
}
