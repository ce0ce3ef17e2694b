package lease

import (
	"math/rand/v2"
	"testing"
	"time"
)

// renewals counts, in a time, the rounds in which A renews; A is always called when it asked for that.
func (b *bench) renewals(d time.Duration) (rounds int) {
	for end := b.now.Add(d); b.now < end; b.run(1) {
		b.now = min(end, b.nodes[peerA].Deadline())
		b.do(peerA, func(n *Node, out *Output) {
			n.Tick(b.now, out)
			for _, s := range out.Requests {
				if s.To == peerW && s.Entry.Kind == Renew {
					rounds++
				}
			}
		})
	}
	return rounds
}

// stand has the holder stand still for so long, and answers whether it still has its tenure.
func (b *bench) stand(d time.Duration) bool {
	epoch := b.gates[peerA].Epoch
	b.now = b.now.Add(d)
	b.run(Default.Term)
	return b.gates[peerA].Do == Open && b.gates[peerA].Epoch == epoch
}

// standing is how long the holder of two who can hear each other may stand still in the worst moment: the term less drift
// and grace, and less the time between two renewals.
func standing(between time.Duration) time.Duration {
	return Default.held(Default.Term) - Default.Grace - between
}

// TestAHolderHurriesWhileAVoterIsSilent: with one of three away the lease hangs on each answer of the other one.
func TestAHolderHurriesWhileAVoterIsSilent(t *testing.T) {
	const eighths = 8
	for phase := range time.Duration(eighths) {
		b := newBench(t)
		b.candidate(peerA, 0)
		b.run(200 * time.Millisecond)
		if n := b.renewals(10 * Default.Renew); n > 11 {
			t.Fatalf("%d rounds in ten renewals while all is well", n)
		}
		b.cut[peerB] = true
		b.run(5 * Default.Renew)
		if n := b.renewals(10 * Default.Renew); n < 19 {
			t.Fatalf("%d rounds in ten renewals while a voter is silent", n)
		}
		b.run(phase * Default.Renew / eighths)
		if !b.stand(standing(Default.Renew/2) - time.Microsecond) {
			t.Fatalf("in phase %d/%d the lease was lost by standing still for less than half a renewal more than the term allows", phase, eighths)
		}
		b.cut[peerB] = false
		b.run(hasteFor + 5*Default.Renew) // it was late itself
		if n := b.renewals(10 * Default.Renew); n > 11 {
			t.Fatalf("%d rounds in ten renewals when all is well again", n)
		}
	}
}

// TestAHolderThatWasLateHurries, for what made it late may come again.
func TestAHolderThatWasLateHurries(t *testing.T) {
	for _, c := range []struct {
		late time.Duration
		want bool
	}{{Default.Renew / 10, false}, {Default.Renew / 2, true}} {
		b := newBench(t)
		b.candidate(peerA, 0)
		b.run(200 * time.Millisecond)
		b.now = b.nodes[peerA].Deadline().Add(c.late)
		b.do(peerA, func(n *Node, out *Output) { n.Tick(b.now, out) })
		b.run(time.Second)
		if n := b.renewals(10 * Default.Renew); n > 15 != c.want {
			t.Errorf("late by %v, and %d rounds in ten renewals", c.late, n)
		}
	}
}

// TestAGatewayThatHoldsNothingIsNotLate: what it waits for is not a round.
func TestAGatewayThatHoldsNothingIsNotLate(t *testing.T) {
	b := newBench(t)
	b.run(time.Second)
	b.candidate(peerA, 0)
	b.run(100 * time.Millisecond)
	b.want(peerA)
	if n := b.renewals(10 * Default.Renew); n > 11 {
		t.Errorf("%d rounds in ten renewals", n)
	}
}

// TestRestartsOfTheOtherGatewayCostNoLease: it forgets its promises, says that it starts, and commits two generations that reach
// everybody in some order, while the holder stands still now and then for as long as it may.
func TestRestartsOfTheOtherGatewayCostNoLease(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t)
		b.candidate(peerA, 0)
		b.candidate(peerB, 1)
		b.run(200 * time.Millisecond)
		b.want(peerA)
		stands := func() {
			b.run(time.Duration(rnd.Int64N(int64(4 * Default.Renew))))
			if !b.stand(time.Duration(rnd.Int64N(int64(standing(Default.Renew))))) {
				t.Fatalf("seed %d: the lease was lost", seed)
			}
		}
		for generation := uint32(2); generation < 10; generation += 2 {
			b.do(peerB, func(n *Node, out *Output) { n.SetCandidate(b.now, 2, 1, false, out) })
			b.cut[peerB] = true
			stands()
			b.nodes[peerB] = NewNode(peerB, b.now, seed)
			b.cut[peerB] = false
			stands()
			rnd.Shuffle(len(b.order), func(i, k int) { b.order[i], b.order[k] = b.order[k], b.order[i] })
			b.configure(config(generation))
			stands()
			b.configure(config(generation + 1))
			b.candidate(peerB, 1)
			stands()
		}
	}
}
