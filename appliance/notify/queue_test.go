package notify

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// memory is a Store that loses power: what was not asked to be durable may be there, in part, or not at all.
type memory struct {
	disk    []byte // survives
	pending []byte // written, and perhaps on disk
	fail    int    // operations until the power goes; negative: never
	full    bool   // the disk takes nothing
}

var errPower = errors.New("the power is gone")

func (m *memory) step() error {
	if m.fail == 0 {
		return errPower
	}
	if m.fail > 0 {
		m.fail--
	}
	if m.full {
		return errors.New("no space left on device")
	}
	return nil
}

func (m *memory) Load() ([]byte, error) { return append([]byte{}, m.disk...), nil }

func (m *memory) Append(b []byte, durable bool) error {
	err := m.step()
	m.pending = append(m.pending, b...)
	if err == nil && durable {
		m.disk, m.pending = append(m.disk, m.pending...), nil
	}
	return err
}

func (m *memory) Replace(b []byte) error {
	if err := m.step(); err != nil {
		return err
	}
	m.disk, m.pending = append([]byte{}, b...), nil
	return nil
}

// crash leaves some of what was pending.
func (m *memory) crash(r *rand.Rand) {
	m.disk = append(m.disk, m.pending[:r.IntN(len(m.pending)+1)]...)
	m.pending, m.fail = nil, -1
}

func event(n int) Event {
	return Event{ID: uint64(n), Time: time.Unix(int64(n), 0).UTC(), Level: Info, Kind: "x", Text: fmt.Sprint("event ", n)}
}

// told checks what a sink hears: every number once or again, in order, holes only where it was told of them.
type told struct {
	t     *testing.T
	last  uint64
	heard map[uint64]bool // ids of events
}

func (s *told) hear(i Item) {
	if s.heard == nil {
		s.heard = map[uint64]bool{}
	}
	first := i.Sequence - max(i.Lost, 1) + 1
	if i.Sequence > s.last && first > s.last+1 {
		s.t.Fatalf("number %d (%d lost) after number %d", i.Sequence, i.Lost, s.last)
	}
	s.last = max(s.last, i.Sequence)
	if i.Lost == 0 {
		s.heard[i.Event.ID] = true
	}
}

// TestCrashesLoseNothing lets the power go at every step of a history, and goes on with what the disk had.
func TestCrashesLoseNothing(t *testing.T) {
	for fail := range 120 {
		for seed := range uint64(8) {
			history(t, rand.New(rand.NewPCG(seed, uint64(fail))), fail)
		}
	}
}

func history(t *testing.T, r *rand.Rand, fail int) {
	disk := &memory{fail: fail}
	sink := &told{t: t}
	kept := map[uint64]bool{} // ids of events that Add took
	id := 0
	for crashes := range 3 {
		spool, _, err := OpenSpool(disk, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			switch item, ok, _ := spool.First(); {
			case disk.fail == 0: // dead: nothing of this leaves the host
			case r.IntN(3) == 0:
				id++
				e := event(id)
				spool.Add(e)
				if disk.fail != 0 && spool.Counts().Problem == nil {
					kept[e.ID] = true
				}
			case ok:
				sink.hear(item)
				if r.IntN(3) > 0 {
					spool.Done(item.Sequence)
				}
			}
		}
		disk.crash(r)
		if crashes == 0 {
			disk.fail = int(r.Uint32N(60))
		}
	}
	spool, _, err := OpenSpool(disk, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for item, ok, _ := spool.First(); ok; item, ok, _ = spool.First() {
		sink.hear(item)
		spool.Done(item.Sequence)
	}
	for id := range kept {
		if !sink.heard[id] {
			t.Fatalf("event %d was on disk and was never told (power gone after %d steps)", id, fail)
		}
	}
}

// TestWhatDoesNotFitIsCounted fills a short queue while the sink is away, and reads on disk what became of it.
func TestWhatDoesNotFitIsCounted(t *testing.T) {
	disk := &memory{fail: -1}
	spool, _, _ := OpenSpool(disk, 4)
	for n := range 3 {
		spool.Add(event(n + 1))
	}
	first, _, _ := spool.First() // number 1 is on its way from here on
	dropped := false
	for n := 3; n < 10; n++ {
		dropped = spool.Add(event(n+1)) || dropped
	}
	again, _, _ := OpenSpool(disk, 4)
	var got []string
	for item, ok, _ := again.First(); ok; item, ok, _ = again.First() {
		got = append(got, fmt.Sprintf("%d-%d", item.Sequence, item.Lost))
		again.Done(item.Sequence)
	}
	// 1 is kept as it was; 2 to 8 are one item; 9 and 10 are the newest.
	if want := "[1-0 8-7 9-0 10-0]"; fmt.Sprint(got) != want || first.Sequence != 1 || !dropped {
		t.Errorf("got %v, want %s", got, want)
	}
	if c := again.Counts(); c.Dropped != 7 || c.Delivered != 3 || c.Next != 11 || c.Waiting != 0 {
		t.Errorf("%+v", c)
	}
}

func TestRandomQueuesHaveNoHoles(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		disk := &memory{fail: -1}
		spool, _, _ := OpenSpool(disk, 2+r.IntN(5))
		sink := &told{t: t}
		for n := range 200 {
			switch r.IntN(5) {
			case 0, 1:
				spool.Add(event(n+1), event(n+1001))
			case 2:
				if item, ok, _ := spool.First(); ok {
					sink.hear(item)
				}
			case 3:
				if item, ok, _ := spool.First(); ok {
					sink.hear(item)
					spool.Done(item.Sequence)
				}
			case 4:
				if _, ok, _ := spool.First(); ok && r.IntN(4) == 0 {
					spool.GiveUp("no")
				}
			}
			c := spool.Counts()
			if c.Next-1 != c.Delivered+c.Dropped+pending(spool) {
				t.Fatalf("%+v: %d waiting events", c, pending(spool))
			}
		}
		disk.disk, disk.pending = append(disk.disk, disk.pending...), nil
		again, _, _ := OpenSpool(disk, spool.queue.limit)
		if a, b := again.Counts(), spool.Counts(); a != b {
			t.Fatalf("after a restart %+v, before %+v", a, b)
		}
	}
}

// pending is how many events wait that are not told as dropped.
func pending(s *Spool) (n uint64) {
	for _, i := range s.queue.items {
		if i.Lost == 0 {
			n++
		}
	}
	return n
}

func TestAFullDiskStopsNothing(t *testing.T) {
	disk := &memory{fail: -1}
	spool, _, _ := OpenSpool(disk, 100)
	disk.full = true
	spool.Add(event(1))
	if spool.Counts().Problem == nil {
		t.Error("nobody is told that the disk takes nothing")
	}
	if item, ok, _ := spool.First(); !ok || item.Event.ID != 1 {
		t.Errorf("%+v %v", item, ok)
	}
	disk.full = false
	spool.Add(event(2))
	again, _, _ := OpenSpool(disk, 100)
	if again.Counts().Waiting != 2 || spool.Counts().Problem != nil {
		t.Errorf("%+v, %v", again.Counts(), spool.Counts().Problem)
	}
}

func TestTheStoreStaysSmall(t *testing.T) {
	disk := &memory{fail: -1}
	spool, _, _ := OpenSpool(disk, 10)
	for n := range 20000 {
		spool.Add(event(n))
		item, _, _ := spool.First()
		spool.Done(item.Sequence)
	}
	if len(disk.disk) > 2*compactAt {
		t.Errorf("%d bytes for an empty queue", len(disk.disk))
	}
}

func FuzzReplay(f *testing.F) {
	disk := &memory{fail: -1}
	spool, _, _ := OpenSpool(disk, 3)
	for n := range 6 {
		spool.Add(event(n + 1))
	}
	spool.First()
	spool.Done(1)
	spool.GiveUp("x")
	f.Add(append(disk.disk, disk.pending...))
	f.Add([]byte("00000000 {}\n"))
	line, _ := record{Snapshot: &snapshot{Next: 3, Items: []Item{{Sequence: 2, Lost: 2}}}}.encode()
	f.Add(line)
	f.Fuzz(func(t *testing.T, text []byte) {
		q := NewQueue(3)
		whole := replay(q, text)
		if whole > len(text) || len(q.items) > max(4, len(text)) {
			t.Fatalf("%d of %d bytes, %d items", whole, len(text), len(q.items))
		}
		if s := q.snapshot(); s.Snapshot.check() != nil {
			t.Fatalf("a queue that cannot be read again: %v", s.Snapshot.check())
		}
	})
}
