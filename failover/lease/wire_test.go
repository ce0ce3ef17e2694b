package lease

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// counting is a source of numbers that a test can foresee.
func counting(from uint64) func() uint64 {
	return func() uint64 { from++; return from }
}

func key(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func channel(t testing.TB, self, peer drawbridge.PeerID, session uint64) *Channel {
	t.Helper()
	c, err := NewChannel(self, peer, key(32), session, counting(session<<8))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var example = Message{
	Class: Request, Generation: 3, Floor: 2, Stamp: 1_000_000_000,
	Entries: []Entry{{Kind: Renew, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 7), Micros: 40000}},
}

// meet lets two channels get acquainted: a request, its challenge, a request that counts.
func meet(t testing.TB, a, b *Channel) {
	t.Helper()
	var m Message
	if err := b.Open(a.Seal(nil, &example), &m); !errors.Is(err, ErrSession) {
		t.Fatalf("first contact: %v, want %v", err, ErrSession)
	}
	if err := a.Open(b.Challenge(nil), &m); err != nil || m.Class != Challenge {
		t.Fatalf("challenge: %v", err)
	}
	if err := b.Open(a.Seal(nil, &example), &m); err != nil || !reflect.DeepEqual(m, example) {
		t.Fatalf("second request: %v, %+v", err, m)
	}
	if err := a.Open(b.Seal(nil, &example), &m); err != nil {
		t.Fatalf("answer: %v", err)
	}
}

func TestWorkedExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol/lease.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/protocol/lease.md has no hex block")
	}
	var octets string
	for line := range strings.Lines(string(block[1])) {
		octets += strings.Join(strings.Fields(strings.Split(line, "|")[0])[1:], "")
	}
	want, err := hex.DecodeString(octets)
	if err != nil {
		t.Fatal(err)
	}
	c := channel(t, peerA, peerW, 0x5e55)
	c.token, c.offer, c.sequence = 0x70c0, 0x0ffe, 41
	if got := c.Seal(nil, &example); !bytes.Equal(got, want) {
		t.Errorf("sealed\n%s\ndocumented\n%s", hex.Dump(got), hex.Dump(want))
	}
	var m Message
	w := channel(t, peerW, peerA, 9)
	w.bound = 0x5e55
	if err := w.Open(want, &m); err != nil || !reflect.DeepEqual(m, example) {
		t.Errorf("opened %+v, %v", m, err)
	}
}

func TestRecordingsDoNotPass(t *testing.T) {
	a, b := channel(t, peerA, peerB, 1), channel(t, peerB, peerA, 2)
	meet(t, a, b)
	var m Message
	early, late := a.Seal(nil, &example), a.Seal(nil, &example)
	for i, step := range []struct {
		datagram []byte
		want     error
	}{{late, nil}, {early, nil}, {late, ErrReplayed}, {early, ErrReplayed}} {
		if err := b.Open(step.datagram, &m); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
	// b starts again: what a sent to its former run is nothing to it.
	again := channel(t, peerB, peerA, 3)
	if err := again.Open(late, &m); !errors.Is(err, ErrSession) {
		t.Errorf("recording for a former run: %v, want %v", err, ErrSession)
	}
	meetAgain := func(x, y *Channel) {
		for range 3 {
			if y.Open(x.Seal(nil, &example), &m) == nil {
				return
			}
			if err := x.Open(y.Challenge(nil), &m); err != nil && !errors.Is(err, ErrSession) {
				t.Fatal(err)
			}
		}
		t.Fatal("no session after three attempts")
	}
	meetAgain(a, again)
	if err := again.Open(late, &m); !errors.Is(err, ErrReplayed) {
		t.Errorf("recording of this session from before its binding: %v, want %v", err, ErrReplayed)
	}
	// a starts again: its former session is over for good.
	meetAgain(channel(t, peerA, peerB, 4), again)
	if err := again.Open(a.Seal(nil, &example), &m); !errors.Is(err, ErrSession) {
		t.Errorf("recording of a former session: %v, want %v", err, ErrSession)
	}
}

func TestForgeriesDoNotPass(t *testing.T) {
	a, b := channel(t, peerA, peerB, 1), channel(t, peerB, peerA, 2)
	meet(t, a, b)
	good := a.Seal(nil, &example)
	var m Message
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if b.Open(bad, &m) == nil {
			t.Errorf("octet %d may be changed", i)
		}
	}
	if err := a.Open(good, &m); !errors.Is(err, ErrForged) {
		t.Errorf("reflected: %v, want %v", err, ErrForged)
	}
	other, err := NewChannel(peerB, peerA, key(31), 2, counting(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(good, &m); !errors.Is(err, ErrForged) {
		t.Errorf("another key: %v, want %v", err, ErrForged)
	}
}

func FuzzOpen(f *testing.F) {
	a := channel(f, peerA, peerB, 1)
	f.Add(a.Seal(nil, &example), true)
	f.Add(a.Seal(nil, &Message{Class: Answer, Entries: make([]Entry, maxEntries)}), false)
	a.lists = true
	f.Add(a.Seal(nil, &Message{Class: Request, Entries: held(64)}), true)
	f.Add(a.Seal(nil, &Message{Class: Challenge}), true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		c := channel(t, peerB, peerA, 2)
		if len(b) >= headerLen+tagLen && sign { // get past the MAC
			copy(b[len(b)-tagLen:], c.tag(b[:len(b)-tagLen]))
		}
		if h, err := parseHeader(b); err == nil {
			c.bound = h.session
		}
		var m Message
		if c.Open(b, &m) != nil {
			return
		}
		h, _ := parseHeader(b)
		if !bytes.Equal(h.append(nil), b[:headerLen]) {
			t.Errorf("header read and written again:\n%s%s", hex.Dump(b), hex.Dump(h.append(nil)))
		}
		var again []byte
		for i := range m.Entries {
			again = m.Entries[i].append(again)
		}
		if entries, err := appendParsed(nil, again); err != nil || !slices.Equal(entries, m.Entries) {
			t.Errorf("written and read again: %+v instead of %+v, %v", entries, m.Entries, err)
		}
	})
}
