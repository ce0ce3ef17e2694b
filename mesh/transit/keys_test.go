package transit

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

func (e *end) txIndex() uint32 { return e.link.tx.Load().index }

// keys is how many keys the plane would open datagrams with.
func (n *still) keyCount() int { return len(*n.Plane.keys.Load()) }

// TestKeysAreRenewed every two minutes, for hours: frames flow all the time, the old key is good for ten
// seconds more and not for longer, and no more than three are kept.
func TestKeysAreRenewed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		for range 3 {
			index := w.a.txIndex()
			old := w.a.link.tx.Load()
			took := w.runUntil(3*time.Minute, func() bool { return w.a.txIndex() != index })
			if took > rekeyAfter+time.Second {
				t.Fatalf("no new key after %v", took)
			}
			if s := w.a.link.State(); s.KeyAge > time.Second {
				t.Errorf("the new key is %v old", s.KeyAge)
			}
			w.flows()
			late := func() int {
				now := w.a.link.tx.Swap(old)
				defer w.a.link.tx.Store(now)
				w.a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(60)})
				return len(w.b.hear(w.a.sealed()[0].data))
			}
			w.run(lateFor - 2*time.Second)
			if late() != 1 {
				t.Errorf("a late datagram is not taken: %v", w.b.Drops())
			}
			w.run(3 * time.Second)
			before := w.b.Drops()
			if late() != 0 || since(w.b.still, before)["unknown_key"] != 1 {
				t.Error("the old key lasts")
			}
			w.flows()
			if n := w.b.keyCount(); n > 2 {
				t.Errorf("%d keys are kept", n)
			}
		}
		if n := w.b.Drops()["unknown_key"]; n != 3 {
			t.Errorf("%v", w.b.Drops())
		}
	})
}

// TestKeysAreRenewedByCount turns a key in when half its counters are used.
func TestKeysAreRenewedByCount(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		index := w.a.txIndex()
		w.a.link.tx.Load().counters[w.a.s.thread].n = rekeyCounter
		w.run(time.Second)
		w.flows()
		w.run(time.Second)
		if w.a.txIndex() == index {
			t.Error("the key is still in use")
		}
		w.flows()
	})
}

// TestALostAnnouncementIsRepeated refuses the control link for a while.
func TestALostAnnouncementIsRepeated(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.inFlight = nil // both announcements
		w.control = nothing
		w.run(5 * time.Second)
		if s := w.a.link.State(); s.Up {
			t.Error("up without a key")
		}
		w.control = nil
		w.path(PathUDP, announceAgain+time.Second)
		w.flows()
	})
}

// TestNeverMoreThanThreeKeys rotates one end again and again while the other hears nothing of it.
func TestNeverMoreThanThreeKeys(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		w.control = nothing
		for range 5 {
			w.b.link.rotate(w.b.now())
		}
		if n := w.b.keyCount(); n != keptKeys {
			t.Errorf("%d keys", n)
		}
	})
}

// TestARepeatedAnnouncementChangesNothing: counters that began again under the same key would use nonces twice.
func TestARepeatedAnnouncementChangesNothing(t *testing.T) {
	a, b := pairOfStills(t)
	k := a.links[2].tx.Load()
	frameDatagram(a)
	a.links[2].HandleControl(b.links[1].rx[0].ask.Append([]byte{controlKey}))
	if a.links[2].tx.Load() != k || k.counters[a.s.thread].n != 1 {
		t.Error("counters began again")
	}
}

// TestASenderThatTakesOverANumberGoesOn closes a sender and makes another of the same thread.
func TestASenderThatTakesOverANumberGoesOn(t *testing.T) {
	a, b := pairOfStills(t)
	first := a.Sender()
	a.s = first
	d := frameDatagram(a)
	first.Close()
	a.s = a.Sender()
	if a.s.thread != first.thread {
		t.Fatal("another number")
	}
	e := frameDatagram(a)
	if bytes.Equal(d[:clearLen], e[:clearLen]) {
		t.Fatal("a nonce was used twice")
	}
	if got := b.hear(d, e); len(got) != 2 {
		t.Errorf("%d came", len(got))
	}
}

// TestCiphersMustAgree wants a link refused, and said why, when one end is configured not to seal.
func TestCiphersMustAgree(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var told strings.Builder
		w.a.cfg.Log = slog.New(slog.NewTextHandler(&told, nil))
		w.b.cfg.Cipher = secure.CipherNone
		w.link()
		w.run(2 * time.Second)
		if s := w.a.link.State(); s.Path == PathUDP {
			t.Error("up")
		}
		if !strings.Contains(told.String(), "set [data] cipher alike") || w.a.Drops()["malformed"] == 0 {
			t.Errorf("told %q, dropped %v", told.String(), w.a.Drops())
		}
	})
}

// TestUnsealed runs a link on which both ends do without encryption.
func TestUnsealed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.a.cfg.Cipher, w.b.cfg.Cipher = secure.CipherNone, secure.CipherNone
		w.link()
		w.path(PathUDP, time.Second)
		w.flows()
	})
}

// TestAReplacedLink begins the link anew, as after a new control link: it works at once, and nothing of the
// old one is taken any more.
func TestAReplacedLink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		var recorded [][]byte
		w.udp = func(from *end, d []byte) bool {
			if from == w.a {
				recorded = append(recorded, d)
			}
			return true
		}
		w.flows()
		w.run(time.Second)
		held := func() []byte { // sealed under the old link's key, and never arrived
			w.a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(60)})
			return w.a.sealed()[0].data
		}()
		w.udp = nil
		old := []*Link{w.a.link, w.b.link}
		<-time.After(time.Second) // another exporter
		w.link()
		w.path(PathUDP, time.Second)
		w.flows()
		for _, l := range old {
			if s := l.State(); s.Up || !l.closed.Load() {
				t.Errorf("the old link is %+v", s)
			}
			l.tick(w.a.s, w.a.now(), false)
			l.HandleControl(secure.NewRxKey(1, secure.CipherAES128GCM).Append([]byte{controlKey}))
			l.Close()
		}
		if w.a.links[2] != w.a.link || w.a.keyCount() != 1 || w.b.keyCount() != 1 {
			t.Errorf("%d and %d keys", w.a.keyCount(), w.b.keyCount())
		}
		before := w.b.Drops()
		if got := w.b.hear(append(recorded, held)...); len(got) != 0 {
			t.Errorf("%d frames of the old link were delivered", len(got))
		}
		if d := since(w.b.still, before); d["unknown_key"] != uint64(len(recorded)+1) {
			t.Errorf("%d datagrams of the old link: %v", len(recorded)+1, d)
		}
		w.flows()
	})
}

// TestAClosedLinkStaysClosed closes a link in the middle of everything that could bring it back.
func TestAClosedLinkStaysClosed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.path(PathUDP, time.Second)
		l := w.a.link
		told := len(w.a.heard)
		msg := (&meta{origin: 2, hops: 9, total: 1}).append(append([]byte{controlFrameMsg}, frameOf(60)...))
		l.HandleControl(msg) // waits in the queue
		l.Close()
		l.HandleControl(msg)
		for len(w.a.tcp) > 0 {
			w.a.r.control(<-w.a.tcp)
		}
		if got := w.a.finish(); len(got) != 0 {
			t.Error("a frame was delivered")
		}
		wantDrops(t, w.a.still, nil, map[string]uint64{"link_down": 2})
		before := w.a.Drops()
		l.judge(w.a.now())
		l.rotate(w.a.now())
		l.takeHeartbeat(make([]byte, heartbeatLen), netip.AddrPort{}, 0, 100, w.a.now())
		if s := l.State(); s.Up || w.a.keyCount() != 0 || len(w.a.heard) != told {
			t.Errorf("%+v, %d keys", s, w.a.keyCount())
		}
		w.a.s.Send(&drawbridge.Header{Dest: 2}, &drawbridge.Packet{Frame: frameOf(60)})
		wantDrops(t, w.a.still, before, map[string]uint64{"no_route": 1})
		if n := w.a.MTU(2); n != 0 {
			t.Errorf("MTU %d", n)
		}
	})
}

// TestTheLastThatIsToldIsTrue lets the state move while Changed is about to take in an earlier one.
func TestTheLastThatIsToldIsTrue(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, depth, heard := w.a.link, 0, []string{}
		l.cfg.Changed = func(s LinkState) {
			if depth++; depth == 1 && s.Path == PathUDP {
				l.judge(w.a.now() + time.Hour) // another goroutine finds it silent
			}
			depth--
			heard = append(heard, s.Path)
		}
		w.udp = func(*end, []byte) bool { return len(heard) < 2 }
		w.run(300 * time.Millisecond)
		if len(heard) == 0 || heard[len(heard)-1] != l.State().Path {
			t.Errorf("told %v, and it is %s", heard, l.State().Path)
		}
	})
}
