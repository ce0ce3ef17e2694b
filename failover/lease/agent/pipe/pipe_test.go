package pipe

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

var key = []byte("0123456789abcdef")

func orders() []Order {
	return []Order{
		{Kind: Hello, Peer: 7},
		{Kind: Answers},
		{Kind: Canary},
		{Kind: Shared},
		{Kind: Gate, Segment: 3, Slot: 9},
		{Kind: Candidate, Segment: 3, Rank: 2, Wanted: true},
		{Kind: Parties, Parties: []Party{
			{Peer: 1, Addr: netip.MustParseAddrPort("192.0.2.1:6631"), Key: key},
			{Peer: 2, Addr: netip.MustParseAddrPort("[2001:db8::1]:6631"), Key: key},
		}},
		{Kind: Configure, Config: lease.Config{
			Generation: 3, Floor: 2, Sets: [][]drawbridge.PeerID{{1, 2, 3}, {1, 2}}, Timing: lease.Default, Longest: lease.Wide.Term,
		}},
		{Kind: Yield, Number: 4, Segment: 3, Peer: 2},
		{Kind: Veto, Segment: 3},
		{Kind: Look, Segment: 3},
		{Kind: Heard, Segment: 3, Epoch: 5},
		{Kind: Floor, Number: 5, Floor: 2, Set: []drawbridge.PeerID{1, 2}},
		{Kind: Tell, Number: 6},
	}
}

func reports() []Report {
	return []Report{
		{Kind: Running, Text: "no real time"},
		{Kind: Won, Segment: 3, Epoch: 5},
		{Kind: Opened, Segment: 3, Epoch: 5, At: 76},
		{Kind: Ended, Segment: 3, Epoch: 5, At: 78, Text: "released"},
		{Kind: Yielded, Number: 4, Yes: true},
		{Kind: Floored, Number: 5, Yes: true, At: 77},
		{Kind: Noted, Level: slog.LevelDebug, Text: "x"},
		{Kind: Told, Number: 6, Status: Status{
			Generation: 3, Quorum: true, Voters: []lease.VoterStatus{{Peer: 1, Age: -1, RTT: 5, Generation: 3}},
			Segments: []lease.SegmentStatus{{
				Segment: 3, State: lease.Holding, Candidate: true, Rank: 1, Epoch: 5, Holder: 1, Since: 9, Margin: 8, Takeover: 7,
			}},
			Drops: [Drops]uint64{1, 2, 3, 4, 5}, Turns: 9, Late: 8, Still: 7,
		}},
	}
}

func TestMessagesSurviveTheirForm(t *testing.T) {
	for _, want := range orders() {
		var got Order
		if err := got.Parse(want.Append(nil)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, want %+v", err, got, want)
		}
	}
	for _, want := range reports() {
		var got Report
		if err := got.Parse(want.Append(nil)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, want %+v", err, got, want)
		}
	}
}

func TestCutMessagesAreRefused(t *testing.T) {
	for _, o := range orders() {
		whole := o.Append(nil)
		for n := range whole {
			if err := new(Order).Parse(whole[:n]); !errors.Is(err, ErrMessage) {
				t.Fatalf("order %d cut to %d of %d octets: %v", o.Kind, n, len(whole), err)
			}
		}
	}
	for _, p := range reports() {
		whole := p.Append(nil)
		for n := range whole {
			if err := new(Report).Parse(whole[:n]); !errors.Is(err, ErrMessage) {
				t.Fatalf("report %d cut to %d of %d octets: %v", p.Kind, n, len(whole), err)
			}
		}
	}
}

// TestAFullStatusFits: the largest status that there can be is one message.
func TestAFullStatusFits(t *testing.T) {
	p := Report{Kind: Told, Status: Status{Voters: make([]lease.VoterStatus, lease.MaxVoters), Segments: make([]lease.SegmentStatus, Slots)}}
	if n := len(p.Append(nil)); n > MaxMessage {
		t.Errorf("%d octets", n)
	}
}

func FuzzOrder(f *testing.F) {
	for _, o := range orders() {
		f.Add(o.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o, again Order
		if o.Parse(b) != nil {
			return
		}
		if err := again.Parse(o.Append(nil)); err != nil || !reflect.DeepEqual(o, again) {
			t.Errorf("%v: %+v, then %+v", err, o, again)
		}
	})
}

func FuzzReport(f *testing.F) {
	for _, p := range reports() {
		f.Add(p.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again Report
		if p.Parse(b) != nil {
			return
		}
		if len(p.Text) > longestText {
			return
		}
		if err := again.Parse(p.Append(nil)); err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("%v: %+v, then %+v", err, p, again)
		}
	})
}

// TestMessagesKeepTheirBounds, descriptors go along, and the end is seen.
func TestMessagesKeepTheirBounds(t *testing.T) {
	here, there, err := New()
	if err != nil {
		t.Fatal(err)
	}
	board, fd, err := NewBoard()
	if err != nil {
		t.Fatal(err)
	}
	defer board.Leave()
	defer unix.Close(fd)
	for i, pass := range []int{-1, fd, -1} {
		if sent, err := Send(here, []byte{byte(i), 1, 2}[:1+i], pass); !sent || err != nil {
			t.Fatal(sent, err)
		}
	}
	b := make([]byte, 100)
	for i := range 3 {
		n, passed, err := Receive(there, b)
		if n != 1+i || err != nil || (passed >= 0) != (i == 1) {
			t.Fatalf("message %d: %d octets, descriptor %d, %v", i, n, passed, err)
		}
		if passed >= 0 {
			joins(t, board, passed)
		}
	}
	if n, _, err := Receive(there, b); n != 0 || err != nil {
		t.Errorf("nothing was sent, and %d octets came, %v", n, err)
	}
	_ = unix.Close(here)
	if _, _, err := Receive(there, b); !errors.Is(err, ErrGone) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := Send(there, b, -1); !errors.Is(err, ErrGone) {
		t.Errorf("after the end: %v", err)
	}
	_ = unix.Close(there)
}

func joins(t *testing.T, board *Board, fd int) {
	t.Helper()
	other, err := JoinBoard(fd)
	_ = unix.Close(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Leave()
	other.Allow[Slots-1].Store(5)
	if got := board.Allow[Slots-1].Load(); got != 5 {
		t.Errorf("a word stored there is %d here", got)
	}
}

// TestAFullPipeDoesNotBlock: a frozen reader must not stop the writer.
func TestAFullPipeDoesNotBlock(t *testing.T) {
	here, there, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(here)
	defer unix.Close(there)
	for sent := true; sent; {
		if sent, err = Send(here, make([]byte, 1000), -1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLongMessagesAreRefused(t *testing.T) {
	here, there, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(here)
	defer unix.Close(there)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Send(here, make([]byte, 100), int(null.Fd())); err != nil {
		t.Fatal(err)
	}
	if _, passed, err := Receive(there, make([]byte, 10)); !errors.Is(err, ErrMessage) || passed >= 0 {
		t.Errorf("descriptor %d, %v", passed, err)
	}
}
