package lastword

import (
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

const (
	a = drawbridge.PeerID(1)
	b = drawbridge.PeerID(2)
)

// listener believes everybody but those that say nothing good, and remembers what it was told.
type listener struct {
	*Channel[string]
	now   time.Duration
	heard []string
}

func newListener(own func() []byte) *listener {
	l := &listener{}
	l.Channel = New(Topic[string]{
		Name: "weather", Own: own, Now: func() time.Duration { return l.now }, Log: slog.New(slog.DiscardHandler),
		Read: func(_ drawbridge.PeerID, msg []byte) (string, error) {
			if string(msg) == "?" {
				return "", errors.New("that is no weather")
			}
			return string(msg), nil
		},
		Heard: func(was, is string) {
			l.All() // no lock is held
			l.heard = append(l.heard, was+">"+is)
		},
	})
	return l
}

func TestTheLastWordOfEachPeerIsKept(t *testing.T) {
	l := newListener(nil)
	l.Receive(a, []byte("rain"))
	l.now = time.Second
	l.Receive(b, []byte("snow"))
	l.Merge(a, []byte("sun"))
	want := map[drawbridge.PeerID]Word[string]{a: {"sun", time.Second}, b: {"snow", time.Second}}
	if all := l.All(); !maps.Equal(all, want) {
		t.Errorf("kept %v, want %v", all, want)
	}
	if len(l.heard) != 3 || l.heard[2] != "rain>sun" {
		t.Errorf("heard %q", l.heard)
	}
	if w, known := l.Of(3); known {
		t.Errorf("the word of a peer that said nothing: %v", w)
	}
}

func TestAWordThatIsNotBelievedIsCountedAndTheOneBeforeIsKept(t *testing.T) {
	l := newListener(nil)
	if drops := l.Drops(); drops != nil {
		t.Errorf("dropped %v of nothing", drops)
	}
	l.Receive(a, []byte("rain"))
	l.Receive(a, []byte("?"))
	if w, _ := l.Of(a); w.Said != "rain" || len(l.heard) != 1 {
		t.Errorf("kept %v, heard %q", w, l.heard)
	}
	if drops := l.Drops(); drops["weather: malformed"] != 1 {
		t.Errorf("dropped %v", drops)
	}
}

func TestThoseThatWereAwayHearTheOwnWord(t *testing.T) {
	if s := newListener(nil).State(); s != nil {
		t.Errorf("told %q", s)
	}
	from, to := newListener(func() []byte { return []byte("fog") }), newListener(nil)
	to.Merge(a, from.State())
	to.Merge(b, newListener(nil).State())
	if all := to.All(); len(all) != 1 || all[a].Said != "fog" {
		t.Errorf("heard %v", all)
	}
}
