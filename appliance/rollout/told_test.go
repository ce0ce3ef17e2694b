package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func big(t testing.TB, peers, lines int) Rollout {
	t.Helper()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	var names []string
	for i := range peers {
		names = append(names, fmt.Sprintf("peer-%04d", i))
	}
	r, err := New("00112233445566aa", "ann", "restart", "", names, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		r.note(now, names[0], fmt.Sprint("line ", i, strings.Repeat(".", 40)))
	}
	return r
}

// TestTellFits: whatever is told is short enough, can be read, and has the peer that is being updated and the newest lines.
func TestTellFits(t *testing.T) {
	const limit = 8 << 10
	for _, size := range [][2]int{{1, 0}, {2, 30}, {60, 256}, {200, 256}, {3000, 10}} {
		r := big(t, size[0], size[1])
		present := &r.Peers[len(r.Peers)/2]
		present.Step = Verify
		lines := len(r.Log)
		b := r.Tell(limit)
		told, err := ParseTold(b)
		if err != nil || len(b) == 0 || len(b) > limit {
			t.Fatalf("%v: %d bytes: %v", size, len(b), err)
		}
		if p := told.Present(); p == nil || p.Name != present.Name {
			t.Errorf("%v: %v is told to be updated, want %s", size, p, present.Name)
		}
		if len(told.Peers)+told.LeftOut != size[0] || len(r.Peers) != size[0] || len(r.Log) != lines {
			t.Errorf("%v: %d peers and %d left out; the roll-out itself has %d and %d lines", size, len(told.Peers), told.LeftOut, len(r.Peers), len(r.Log))
		}
		if n := len(told.Log); n > 0 && told.Log[n-1].Text != r.Log[lines-1].Text {
			t.Errorf("%v: the last line is %q", size, told.Log[n-1].Text)
		}
	}
	if r := big(t, 2, 0); r.Tell(20) != nil {
		t.Error("told in 20 bytes")
	}
}

func TestToldIsRefused(t *testing.T) {
	r := big(t, 2, 1)
	good := string(r.Tell(8 << 10))
	if _, err := ParseTold([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"nothing": "", "no JSON": "{", "another format": strings.Replace(good, `"format":1`, `"format":9`, 1),
		"no name": strings.Replace(good, "00112233445566aa", "1", 1), "an unknown state": strings.Replace(good, `"running"`, `"flying"`, 1),
		"an unknown step": strings.Replace(good, `"waiting"`, `"dancing"`, 1), "a negative count": `{"left_out":-1,` + good[1:],
	} {
		if _, err := ParseTold([]byte(bad)); err == nil {
			t.Errorf("%s was taken: %s", name, bad)
		}
	}
}

func TestOfTwoTheYoungerGoesOn(t *testing.T) {
	a, b := big(t, 2, 0), big(t, 2, 0)
	b.ID, b.Started = "00112233445566bb", a.Started.Add(time.Minute)
	if !a.Yields(&b) || b.Yields(&a) {
		t.Error("the older one does not yield to the younger")
	}
	b.Started = a.Started
	if a.Yields(&b) == b.Yields(&a) {
		t.Error("begun at the same instant, both go on or none")
	}
	b.State = Paused
	if a.Yields(&b) || a.Yields(&a) {
		t.Error("it yields to one that does not run")
	}
}

func FuzzParseTold(f *testing.F) {
	r := big(f, 3, 2)
	f.Add(r.Tell(8 << 10))
	f.Add([]byte(`{"format":1,"id":"00112233445566aa","state":"done","peers":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		told, err := ParseTold(b)
		if err != nil {
			return
		}
		if again, err := ParseTold(told.Tell(1 << 20)); err != nil && len(b) < 1<<18 {
			t.Fatalf("%v is told as %v: %v", told, again, err)
		}
	})
}
