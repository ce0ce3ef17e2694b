package lease

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// round is a holder and two voters, all datagrams sealed and opened, with the buffers of a driver.
type round struct {
	now      Instant
	holder   *Node
	voters   [2]*Node
	out      Output
	answers  Output
	there    [2]*Channel
	back     [2]*Channel
	sent     Message
	received Message
	answer   Message
	entries  []Entry
	buffer   []byte
}

func newRound(b testing.TB, segments int) *round {
	b.Helper()
	r := &round{now: 1, buffer: make([]byte, 0, MaxDatagram)}
	r.holder = NewNode(peerA, r.now, 1)
	for i, peer := range []drawbridge.PeerID{peerB, peerW} {
		r.voters[i] = NewNode(peer, r.now, 1)
		r.there[i], r.back[i] = channel(b, peerA, peer, 1), channel(b, peer, peerA, 2)
		meet(b, r.there[i], r.back[i])
		_ = r.voters[i].SetConfig(r.now, config(1), &r.out)
	}
	_ = r.holder.SetConfig(r.now, config(1), &r.out)
	for i := range segments {
		r.holder.SetCandidate(r.now, drawbridge.SegmentID(i+1), 0, true, &r.out)
	}
	r.now = r.now.Add(Default.Term * 2)
	for range 10 {
		r.renew(b)
	}
	for i := range segments {
		if s := r.holder.Status(r.now, drawbridge.SegmentID(i+1)); s.State != Holding {
			b.Fatalf("segment %d is %v", i+1, s.State)
		}
	}
	return r
}

// renew is one round: requests for all segments, answers to them, gates prolonged.
func (r *round) renew(b testing.TB) {
	r.now = r.now.Add(Default.Renew)
	r.out.Reset()
	r.holder.Tick(r.now, &r.out)
	requests := len(r.out.Requests)
	for i, peer := range []drawbridge.PeerID{peerB, peerW} {
		r.entries = r.entries[:0]
		for _, s := range r.out.Requests[:requests] {
			if s.To == peer {
				r.entries = append(r.entries, s.Entry)
			}
		}
		for all := r.entries; len(all) > 0; all = all[len(r.sent.Entries):] {
			r.sent = Message{Class: Request, Generation: 1, Floor: 1, Stamp: r.now, Entries: all[:r.there[i].Fits(all)]}
			r.exchange(b, i, peer)
		}
	}
}

func (r *round) exchange(b testing.TB, i int, peer drawbridge.PeerID) {
	if err := r.back[i].Open(r.there[i].Seal(r.buffer, &r.sent), &r.received); err != nil {
		b.Fatal(err)
	}
	r.answers.Reset()
	r.voters[i].Receive(r.now, peerA, &r.received, &r.answers)
	r.answer = Message{Class: Answer, Generation: 1, Floor: 1, Stamp: r.received.Stamp, Clock: r.now, Entries: r.answers.Answers}
	if err := r.there[i].Open(r.back[i].Seal(r.buffer, &r.answer), &r.received); err != nil {
		b.Fatal(err)
	}
	r.holder.Receive(r.now.Add(time.Microsecond), peer, &r.received, &r.out)
}

// BenchmarkRenew is a renewal round of one holder at two voters, everything that the three of them compute.
func BenchmarkRenew(b *testing.B) {
	for _, segments := range []struct {
		name string
		n    int
	}{{"1", 1}, {"64", 64}, {"512", 512}} {
		b.Run(segments.name, func(b *testing.B) {
			r := newRound(b, segments.n)
			b.ReportAllocs()
			for b.Loop() {
				r.renew(b)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*segments.n), "ns/segment")
		})
	}
}

func TestRenewalsAllocateNothing(t *testing.T) {
	r := newRound(t, 64)
	if n := testing.AllocsPerRun(100, func() { r.renew(t) }); n != 0 {
		t.Errorf("a renewal round of 64 segments allocates %v times", n)
	}
}
