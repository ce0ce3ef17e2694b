package porttest

import (
	"errors"
	"os"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

var _ forwarder.Port = (*Port)(nil)

// give gives numbered frames.
func give(t *testing.T, p *Port, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if k, err := p.WriteBatch([]drawbridge.Packet{Numbered(n)}); k != 1 || err != nil {
			t.Fatalf("%s, frame %d: %v; drops %v", p.Name(), n, err, p.Drops())
		}
	}
}

// drained is the numbers of the frames that wait.
func drained(p *Port) (numbers []int) {
	for _, pk := range p.Drain() {
		numbers = append(numbers, Number(pk.Frame))
	}
	return numbers
}

func expect(t *testing.T, p *Port, want ...int) {
	t.Helper()
	if got := drained(p); !reflect.DeepEqual(got, want) {
		t.Errorf("%s took %v, want %v", p.Name(), got, want)
	}
}

func three() (s *Segment, a, b, c *Port) {
	s = NewSegment(1)
	return s, s.Attach("a"), s.Attach("b"), s.Attach("c")
}

func TestEveryOtherPortTakesWhatOneGives(t *testing.T) {
	_, a, b, c := three()
	give(t, a, 1, 2)
	give(t, b, 3)
	expect(t, a, 3)
	expect(t, b, 1, 2)
	expect(t, c, 1, 2, 3)
}

func TestSuperFramesPassWhole(t *testing.T) {
	_, a, b, _ := three()
	want := Super(drawbridge.GSOTCPv4, 60000, 1460)
	if n, err := a.WriteBatch([]drawbridge.Packet{want}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if got := b.Drain(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("%+v", got)
	}
}

func TestFramesOfABatchEndWithTheNext(t *testing.T) {
	_, a, b, _ := three()
	give(t, a, 1, 2)
	ps := make([]drawbridge.Packet, 1)
	if n, err := b.ReadBatch(ps); n != 1 || err != nil || Number(ps[0].Frame) != 1 {
		t.Fatal(n, err)
	}
	kept := ps[0].Frame
	if cap(kept)-len(kept) != room {
		t.Errorf("%d bytes behind a frame", cap(kept)-len(kept))
	}
	if n, err := b.ReadBatch(ps); n != 1 || err != nil || Number(ps[0].Frame) != 2 {
		t.Fatal(n, err)
	}
	for _, c := range kept {
		if c != poison {
			t.Fatal("a frame outlived its batch")
		}
	}
}

func TestWritersKeepTheirFrames(t *testing.T) {
	s, a, b, _ := three()
	s.SetFaults(Faults{Held: true})
	p := Numbered(1)
	if _, err := a.WriteBatch([]drawbridge.Packet{p}); err != nil {
		t.Fatal(err)
	}
	clear(p.Frame)
	s.Step(1)
	expect(t, b, 1)
}

func TestHeldFramesMoveByStep(t *testing.T) {
	s, a, b, c := three()
	s.SetFaults(Faults{Held: true})
	give(t, a, 1, 2)
	give(t, b, 3)
	expect(t, c)
	if n := s.Step(2); n != 2 {
		t.Errorf("stepped %d", n)
	}
	expect(t, c, 1, 2)
	if n := s.Step(5); n != 1 {
		t.Errorf("stepped %d", n)
	}
	expect(t, a, 3)
	give(t, a, 4)
	s.SetFaults(Faults{})
	expect(t, c, 3, 4)
}

func TestLossAndDuplication(t *testing.T) {
	s, a, b, c := three()
	s.SetFaults(Faults{Loss: 0.5})
	for i := range 200 {
		give(t, a, i)
	}
	if nb, nc := len(b.Drain()), len(c.Drain()); nb < 60 || nb > 140 || nc < 60 || nc > 140 {
		t.Errorf("with half lost, %d and %d of 200 arrived", nb, nc)
	}
	s.SetFaults(Faults{Duplicate: 1})
	give(t, a, 300)
	expect(t, b, 300, 300)
}

func TestACutPortNoticesNothing(t *testing.T) {
	_, a, b, c := three()
	b.Cut(true)
	give(t, a, 1)
	give(t, b, 2)
	expect(t, b)
	expect(t, c, 1)
	b.Cut(false)
	give(t, a, 3)
	expect(t, b, 3)
}

func TestTheQueueIsBounded(t *testing.T) {
	_, a, b, _ := three()
	for i := range queueLen + 10 {
		give(t, a, i)
	}
	if got := len(b.Drain()); got != queueLen || b.Drops()["queue-full"] != 10 {
		t.Errorf("%d frames; drops %v", got, b.Drops())
	}
}

// TestALoopIsCountedAndEnds joins two segments twice, as two open gates would.
func TestALoopIsCountedAndEnds(t *testing.T) {
	left, right := NewSegment(1), NewSegment(2)
	bridges := [][2]*Port{{left.Attach("a"), right.Attach("a")}, {left.Attach("b"), right.Attach("b")}}
	give(t, left.Attach("station"), 1)
	for moved := true; moved; {
		moved = false
		for _, b := range bridges {
			for i, side := range b {
				ps := side.Drain()
				moved = moved || len(ps) > 0
				_, _ = b[1-i].WriteBatch(ps)
			}
		}
	}
	if left.Worst() <= LoopLimit || left.Copies(Numbered(1).Frame) != left.Worst() || bridges[0][0].Drops()["loop"] == 0 {
		t.Errorf("worst %d, drops %v", left.Worst(), bridges[0][0].Drops())
	}
}

func TestWithoutALoopEachFrameIsGivenOnce(t *testing.T) {
	s, a, _, _ := three()
	give(t, a, 1, 2, 3)
	if s.Worst() != 1 || s.Copies(Numbered(2).Frame) != 1 || s.Copies(Numbered(4).Frame) != 0 {
		t.Errorf("worst %d", s.Worst())
	}
}

func TestWhatNoEthernetCarries(t *testing.T) {
	_, a, b, _ := three()
	n, err := a.WriteBatch([]drawbridge.Packet{{Frame: make([]byte, 13)}, {Frame: make([]byte, 1519)}, {Frame: make([]byte, 1518)}})
	if n != 1 || err != nil || len(b.Drain()) != 1 || a.Drops()["malformed"] != 1 || a.Drops()["too-big"] != 1 {
		t.Errorf("took %d: %v; drops %v", n, err, a.Drops())
	}
}

func TestDownAndUp(t *testing.T) {
	_, a, b, _ := three()
	b.Down(true)
	if _, err := b.ReadBatch(make([]drawbridge.Packet, 1)); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("read: %v", err)
	}
	if _, err := b.WriteBatch([]drawbridge.Packet{Numbered(1)}); !errors.Is(err, syscall.ENETDOWN) {
		t.Errorf("write: %v", err)
	}
	give(t, a, 1)
	b.Down(false)
	give(t, a, 2)
	expect(t, b, 2)
}

func TestReadingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, _ := three()
		var got []int
		var failed error
		go func() {
			ps := make([]drawbridge.Packet, 4)
			for failed == nil {
				var n int
				n, failed = b.ReadBatch(ps)
				for _, p := range ps[:n] {
					got = append(got, Number(p.Frame))
				}
			}
		}()
		synctest.Wait()
		give(t, a, 1)
		synctest.Wait()
		if !reflect.DeepEqual(got, []int{1}) {
			t.Errorf("took %v", got)
		}
		b.Close()
		synctest.Wait()
		if !errors.Is(failed, os.ErrClosed) {
			t.Errorf("%v", failed)
		}
		if err := b.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		give(t, a, 2) // to nobody
	})
}

// TestBuiltFramesAreRight checks the checker and the builders against each other.
func TestBuiltFramesAreRight(t *testing.T) {
	for _, gso := range []uint8{drawbridge.GSOTCPv4, drawbridge.GSOTCPv6, drawbridge.GSOUDP} {
		p := Tagged(Tagged(Super(gso, 101, 0), 0x8100, 7), 0x88a8, 42)
		if Correct(p.Frame) == nil {
			t.Errorf("type %d: a partial checksum is taken for a whole one", gso)
		}
		at := p.Offload.ChecksumStart + p.Offload.ChecksumOffset
		value := ^sum(p.Frame[p.Offload.ChecksumStart:])
		p.Frame[at], p.Frame[at+1] = byte(value>>8), byte(value)
		if err := Correct(p.Frame); err != nil {
			t.Errorf("type %d: %v", gso, err)
		}
		p.Frame[len(p.Frame)-1] ^= 1
		if Correct(p.Frame) == nil {
			t.Errorf("type %d: a wrong byte passes", gso)
		}
	}
}
