package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// numbered records frames with the given numbers on one interface, one a millisecond of its own clock.
func numbered(t *testing.T, name string, start time.Time, numbers ...int) []byte {
	t.Helper()
	at := start
	c := New(Config{Comment: name, Now: func() time.Time { return at }})
	tap := c.Tap(Interface{Name: name, Description: "segment office"})
	var out bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, &out) }()
	for c.ring.Load() == nil {
		<-time.After(time.Millisecond)
	}
	for _, n := range numbers {
		at = start.Add(time.Duration(n) * time.Millisecond)
		p := porttest.Numbered(n)
		tap.Offer(forwarder.Inbound, &p)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// all are the only ones that come.
func all(sources ...Source) <-chan Source {
	c := make(chan Source, len(sources))
	for _, s := range sources {
		c <- s
	}
	close(c)
	return c
}

func TestMergedFramesAreInOrderAndSayWhereTheyWereSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a := numbered(t, "eth1.42", start, 1, 2, 5, 6)
		b := numbered(t, "ens3", start, 3, 4, 7)
		var out bytes.Buffer
		if err := Merge(t.Context(), &out, "both", all(Source{"a", bytes.NewReader(a)}, Source{"b", bytes.NewReader(b)})); err != nil {
			t.Fatal(err)
		}
		r, packets := read(t, out.Bytes())
		var got []int
		for _, p := range packets {
			got = append(got, porttest.Number(p.data))
			about, err := r.Interface(p.info.InterfaceIndex)
			if err != nil {
				t.Fatal(err)
			}
			want := "a/eth1.42"
			if n := porttest.Number(p.data); n == 3 || n == 4 || n == 7 {
				want = "b/ens3"
			}
			if about.Name != want || about.Description != "segment office" {
				t.Errorf("frame %d was seen at %+v, want %s", porttest.Number(p.data), about, want)
			}
		}
		if !slices.Equal(got, []int{1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("frames %v", got)
		}
		if stats := options(t, out.Bytes(), blockStats); len(stats) != 2 {
			t.Errorf("%d interfaces have counts", len(stats))
		}
	})
}

// TestAFrameIsNotKeptForARecordingThatIsSilent: somebody watches.
func TestAFrameIsNotKeptForARecordingThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, end := io.Pipe()
		var out watched
		ended := make(chan error, 1)
		go func() {
			ended <- Merge(t.Context(), &out, "", all(Source{"a", bytes.NewReader(numbered(t, "eth1", time.Now(), 1))}, Source{"b", silent}))
		}()
		time.Sleep(2 * patience)
		if _, packets := read(t, out.bytes()); len(packets) != 1 {
			t.Errorf("%d packets after %v", len(packets), 2*patience)
		}
		_ = end.Close()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

func TestARecordingThatBreaksOffDoesNotEndTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a, b := numbered(t, "eth1", start, 1, 3), numbered(t, "ens3", start, 2, 4, 6)
		for name, broken := range map[string][]byte{
			"cut":     a[:len(a)-80],
			"garbage": append(slices.Clone(a[:len(a)-68]), bytes.Repeat([]byte{0x55}, 68)...),
		} {
			var out bytes.Buffer
			if err := Merge(t.Context(), &out, "", all(Source{"a", bytes.NewReader(broken)}, Source{"b", bytes.NewReader(b)})); err != nil {
				t.Fatal(err)
			}
			if _, packets := read(t, out.Bytes()); len(packets) < 4 {
				t.Errorf("%s: %d packets", name, len(packets))
			}
			told := slices.ContainsFunc(options(t, out.Bytes(), blockStats), func(o map[uint16][]byte) bool {
				return strings.HasPrefix(string(o[optionComment]), "the recording of a broke off: ")
			})
			if !told {
				t.Errorf("%s: the file does not say that a broke off", name)
			}
		}
	})
}

func TestMergingEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		defer w.Close()
		a := numbered(t, "eth1", time.Now(), 1, 2)
		go func() { _, _ = w.Write(a) }()
		if err := Merge(t.Context(), hungUp{}, "", all(Source{"a", r})); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}

// TestWhatHappenedStandsBesideTheNextFrame of that port.
func TestWhatHappenedStandsBesideTheNextFrame(t *testing.T) {
	start := time.Unix(1700000000, 0)
	at := start
	file, _ := recording(t, Config{Now: func() time.Time { return at }}, func(taps [2]*Tap) {
		p := porttest.Numbered(1)
		taps[0].Offer(forwarder.Inbound, &p)
		taps[0].Note(start.Add(time.Second), "gate shut: lease 3.7 given up")
		taps[0].Note(start.Add(time.Second+time.Microsecond), "gate open")
		at = start.Add(2 * time.Second)
		p = porttest.Numbered(2)
		taps[1].Offer(forwarder.Inbound, &p)
		p = porttest.Numbered(3)
		taps[0].Offer(forwarder.Inbound, &p)
		taps[1].Note(at.Add(time.Second), "nothing came after it")
	})
	beside := options(t, file, blockPacket)
	if len(beside) != 3 || beside[0][optionComment] != nil || beside[1][optionComment] != nil {
		t.Fatalf("comments of %d packets: %q, %q", len(beside), beside[0][optionComment], beside[1][optionComment])
	}
	if got := string(beside[2][optionComment]); got != "22:13:21.000001 gate open" { // the last of two
		t.Errorf("comment %q", got)
	}
	if !bytes.Contains(file, []byte("22:13:21.000000 gate shut: lease 3.7 given up")) {
		t.Error("the first note is missing")
	}
	if got := string(options(t, file, blockStats)[1][optionComment]); got != "22:13:23.000000 nothing came after it" {
		t.Errorf("last comment %q", got)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte{}, []byte{})
	var out bytes.Buffer
	w := file{w: &out}
	_ = w.section("x")
	_ = w.addInterface(Interface{Name: "eth1"}, wholeFrame, "arp")
	_ = w.packet(record{at: time.Unix(1, 2), length: 60, data: make([]byte, 60), comments: []string{"one", "two"}})
	_ = w.stats(0, time.Unix(3, 0), 1, 0, nil)
	f.Add(out.Bytes(), out.Bytes()[:len(out.Bytes())-9])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var merged bytes.Buffer
		if err := Merge(t.Context(), &merged, "", all(Source{"a", bytes.NewReader(a)}, Source{"b", bytes.NewReader(b)})); err != nil {
			t.Fatal(err)
		}
		r := reader{r: &merged}
		for {
			if _, _, err := r.next(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("what was merged is no recording: %v", err)
			}
		}
	})
}

// watched is a file that is looked at while it is written.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *watched) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.buf.Bytes())
}
