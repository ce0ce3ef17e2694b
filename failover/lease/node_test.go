package lease

import (
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

const (
	peerA drawbridge.PeerID = 0x0a0a0a0a
	peerB drawbridge.PeerID = 0x0b0b0b0b
	peerW drawbridge.PeerID = 0x0c0c0c0c
)

func config(generation uint32, sets ...[]drawbridge.PeerID) Config {
	if sets == nil {
		sets = [][]drawbridge.PeerID{{peerA, peerB, peerW}}
	}
	return Config{Generation: generation, Floor: 1, Sets: sets, Timing: Default, Longest: Default.Term}
}

// bench is a network without delay: what a node sends is received before the clock moves. Nodes that are cut hear
// nothing and are not heard.
type bench struct {
	t     testing.TB
	now   Instant
	nodes map[drawbridge.PeerID]*Node
	order []drawbridge.PeerID
	cut   map[drawbridge.PeerID]bool
	gates map[drawbridge.PeerID]Action // last action per gateway
	log   []Action
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, now: 1, nodes: map[drawbridge.PeerID]*Node{}, cut: map[drawbridge.PeerID]bool{}, gates: map[drawbridge.PeerID]Action{}}
	for i, peer := range []drawbridge.PeerID{peerA, peerB, peerW} {
		b.order = append(b.order, peer)
		b.nodes[peer] = NewNode(peer, b.now, uint64(i))
	}
	b.configure(config(1))
	return b
}

func (b *bench) configure(c Config) {
	for _, peer := range b.order {
		b.do(peer, func(n *Node, out *Output) {
			if err := n.SetConfig(b.now, c, out); err != nil {
				b.t.Fatal(err)
			}
		})
	}
}

// do calls f on a node, carries out what it wants done and delivers what it sends, and so on until all is quiet.
func (b *bench) do(peer drawbridge.PeerID, f func(*Node, *Output)) {
	var out Output
	f(b.nodes[peer], &out)
	b.carry(peer, &out, 0, 0)
}

func (b *bench) carry(peer drawbridge.PeerID, out *Output, asker drawbridge.PeerID, stamp Instant) {
	for _, a := range out.Actions {
		if a.Do != Fence {
			b.gates[peer] = a
			b.log = append(b.log, a)
		}
	}
	n := b.nodes[peer]
	n.WasShut(b.now)
	for _, s := range out.Requests {
		b.deliver(peer, s.To, &Message{Class: Request, Generation: n.Generation(), Floor: n.Floor(), Stamp: b.now, Entries: []Entry{s.Entry}})
	}
	if len(out.Answers) > 0 {
		b.deliver(peer, asker, &Message{Class: Answer, Generation: n.Generation(), Floor: n.Floor(), Stamp: stamp, Clock: b.now, Entries: slices.Clone(out.Answers)})
	}
}

func (b *bench) deliver(from, to drawbridge.PeerID, m *Message) {
	if b.cut[from] || b.cut[to] || b.nodes[to] == nil {
		return
	}
	var out Output
	b.nodes[to].Receive(b.now, from, m, &out)
	b.carry(to, &out, from, m.Stamp)
}

// run lets time pass, node by node and deadline by deadline.
func (b *bench) run(d time.Duration) {
	for end := b.now.Add(d); b.now < end; {
		next := end
		for _, peer := range b.order {
			next = min(next, b.nodes[peer].Deadline())
		}
		b.now = max(next, b.now+1)
		for _, peer := range b.order {
			b.do(peer, func(n *Node, out *Output) { n.Tick(b.now, out) })
		}
	}
}

func (b *bench) candidate(peer drawbridge.PeerID, rank int) {
	b.do(peer, func(n *Node, out *Output) { n.SetCandidate(b.now, 2, rank, true, out) })
}

// holder is who has an open gate; it fails when two have.
func (b *bench) holder() (who drawbridge.PeerID) {
	for _, peer := range b.order {
		if a := b.gates[peer]; a.Do == Open && b.now < a.Until {
			if who != 0 {
				b.t.Fatalf("%v and %v hold at once", who, peer)
			}
			who = peer
		}
	}
	return who
}

func (b *bench) want(peer drawbridge.PeerID) {
	b.t.Helper()
	if got := b.holder(); got != peer {
		b.t.Fatalf("at %v %v holds, want %v", time.Duration(b.now), got, peer)
	}
}

func TestNobodyHoldsBeforeTheRestartWait(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.run(40 * time.Millisecond)
	b.want(0)
	b.run(5 * time.Millisecond)
	b.want(peerA)
}

func TestCrashTakesOneTerm(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.candidate(peerB, 1)
	b.run(200 * time.Millisecond)
	b.want(peerA)
	first := b.gates[peerA].Epoch
	b.cut[peerA] = true
	b.run(Default.promised(Default.Term) + Default.Step + Default.Step/8)
	b.want(peerB)
	if second := b.gates[peerB].Epoch; second <= first {
		t.Errorf("epoch went from %v to %v", first, second)
	}
	if a := b.gates[peerA]; a.Do != Shut || a.Cause != Lapsed {
		t.Errorf("the gateway without a majority did %+v, want it shut because the lease ended", a)
	}
	b.cut[peerA] = false
	b.run(200 * time.Millisecond)
	b.want(peerB) // no preemption
}

// The last renewal of a dead holder reaches one voter a little later than another. A candidate that asks in between is
// refused by a promise that is as good as over: it asks again at its end, wherever its own rounds stand.
func TestARefusalThatEndsAtOnceCostsNoRound(t *testing.T) {
	const later = time.Millisecond
	for phase := time.Duration(0); phase < Default.Renew; phase += Default.Renew / 8 {
		b := newBench(t)
		b.run(phase) // when rounds begin
		b.candidate(peerA, 0)
		b.run(100 * time.Millisecond)
		b.candidate(peerB, 0)
		b.run(60 * time.Millisecond)
		b.want(peerA)
		b.cut[peerA] = true
		w := &b.nodes[peerW].voter
		p := w.find(2)
		w.Answer(p.until.Add(later-Default.promised(Default.Term)), peerA, 1, Entry{Kind: Renew, Segment: 2, Epoch: p.epoch, Micros: micros(Default.Term)})
		end := p.until
		b.run(end.Add(Default.Renew/8 + 1).Sub(b.now))
		b.want(peerB)
	}
}

// TestARankThatImprovesCounts: every gateway asks last for a while after its start.
func TestARankThatImprovesCounts(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.candidate(peerB, 1)
	b.run(200 * time.Millisecond)
	b.want(peerA)
	b.candidate(peerB, 0)
	b.run(200 * time.Millisecond)
	b.cut[peerA] = true
	end := b.nodes[peerB].voter.find(2).until
	b.run(end.Add(Default.Step/8 + 1).Sub(b.now))
	b.want(peerB)
}

func TestHandoverToANamedPeer(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.candidate(peerB, 5)
	b.run(100 * time.Millisecond)
	b.do(peerA, func(n *Node, out *Output) {
		if !n.Yield(b.now, 2, peerB, out) {
			t.Fatal("the holder could not hand over")
		}
	})
	b.want(0)
	b.run(Default.promised(Default.Grace))
	b.want(peerB)
	if a := b.gates[peerA]; a.Cause != Handed {
		t.Errorf("gate shut because %q, want handover", a.Cause)
	}
	b.run(time.Second)
	b.want(peerB)
}

// An heir may hear of a release before the other voters do: the way over the giver is not always the longer one. Their
// promise to the giver is then no reason to wait for its end, nor for the next round, nor to begin anew, however many they are.
func TestTheHeirAsksAgainWhenItsReleaseWasFaster(t *testing.T) {
	for refusing := 1; refusing <= 2; refusing++ {
		n, out := NewNode(peerA, 1, 1), &Output{}
		now := Instant(1)
		c := config(1, []drawbridge.PeerID{peerA, peerB, peerW, peerW + 1})
		if err := n.SetConfig(now, c, out); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		given := Entry{Kind: Renew, Segment: 1, Epoch: drawbridge.MakeEpoch(1, 7), Micros: micros(c.Term)}
		n.Receive(now, peerB, &Message{Class: Request, Generation: 1, Floor: 1, Entries: []Entry{given}}, out)
		n.SetCandidate(now, 1, 0, true, out)
		given.Kind, given.Peer = Release, peerA
		out.Reset()
		n.Receive(now, peerB, &Message{Class: Request, Generation: 1, Floor: 1, Entries: []Entry{given}}, out)
		if len(out.Requests) != 3 {
			t.Fatalf("the heir sends %v, want to ask three voters", out.Requests)
		}
		asked := out.Requests[0].Entry
		refusal := Entry{
			Kind: Refuse, Reason: Promised, Flags: Tenured, Segment: 1, Epoch: asked.Epoch, Micros: 39000, Peer: peerB, Seen: given.Epoch,
		}
		out.Reset()
		now = now.Add(time.Millisecond)
		for _, voter := range []drawbridge.PeerID{peerW, peerW + 1}[:refusing] {
			n.Receive(now, voter, &Message{Class: Answer, Generation: 1, Floor: 1, Stamp: now, Entries: []Entry{refusal}}, out)
		}
		n.Tick(now.Add(c.Renew/8), out)
		again := slices.ContainsFunc(out.Requests, func(s Send) bool { return s.To == peerW && s.Entry == asked })
		if withdrawn := slices.ContainsFunc(out.Requests, func(s Send) bool { return s.Entry.Kind == Release }); !again || withdrawn {
			t.Errorf("refused by %d voters for a promise that has been released, the heir sends %v within R/8", refusing, out.Requests)
		}
	}
}

func TestHolderKeepsTheLeaseWithTheWitnessAlone(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.candidate(peerB, 1)
	b.run(100 * time.Millisecond)
	epoch := b.gates[peerA].Epoch
	b.cut[peerB] = true
	b.run(300 * time.Millisecond)
	b.cut[peerB] = false
	b.run(300 * time.Millisecond)
	b.want(peerA)
	if b.gates[peerA].Epoch != epoch {
		t.Errorf("the tenure changed from %v to %v", epoch, b.gates[peerA].Epoch)
	}
}

func TestConfigurationsKeepTheTenure(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.run(100 * time.Millisecond)
	epoch := b.gates[peerA].Epoch
	b.configure(config(2, []drawbridge.PeerID{peerA, peerB}, []drawbridge.PeerID{peerA, peerB, peerW}))
	b.run(100 * time.Millisecond)
	b.configure(config(3, []drawbridge.PeerID{peerA, peerB}))
	b.run(100 * time.Millisecond)
	b.want(peerA)
	if b.gates[peerA].Epoch != epoch {
		t.Errorf("the tenure changed from %v to %v", epoch, b.gates[peerA].Epoch)
	}
	b.cut[peerB] = true
	b.run(50 * time.Millisecond)
	b.want(0)
}

func TestFenceEndsATenure(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.run(100 * time.Millisecond)
	b.do(peerA, func(n *Node, out *Output) { n.Heard(b.now, 2, drawbridge.MakeEpoch(1, 99), out) })
	b.want(0)
	b.run(60 * time.Millisecond)
	b.want(peerA)
	if got := b.gates[peerA].Epoch; got != drawbridge.MakeEpoch(1, 100) {
		t.Errorf("next epoch is %v, want 1.100", got)
	}
}

func TestStatusSaysWhoHoldsAndHowLongATakeoverTakes(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.candidate(peerB, 1)
	b.run(150 * time.Millisecond)
	s := b.nodes[peerB].Status(b.now, 2)
	if s.Holder != peerA || s.State != Waiting || s.Takeover < 30*time.Millisecond || s.Takeover > 50*time.Millisecond {
		t.Errorf("standby sees %+v", s)
	}
	if s = b.nodes[peerW].Status(b.now, 2); s.Holder != peerA || s.Epoch != b.gates[peerA].Epoch {
		t.Errorf("witness sees %+v", s)
	}
	if ok, voters := b.nodes[peerB].Quorum(b.now); !ok || len(voters) != 3 {
		t.Errorf("standby's quorum: %v %+v", ok, voters)
	}
	b.cut[peerA], b.cut[peerW] = true, true
	b.run(time.Second)
	if ok, _ := b.nodes[peerB].Quorum(b.now); ok {
		t.Error("a majority counts as reachable that is cut off")
	}
}

func TestFloorSince(t *testing.T) {
	b := newBench(t)
	b.candidate(peerA, 0)
	b.run(100 * time.Millisecond)
	if _, ok := b.nodes[peerW].FloorSince(b.now, b.order, 2); ok {
		t.Error("floor 2 counts as reached before anyone said so")
	}
	c := config(2)
	c.Floor = 2
	b.configure(c)
	at := b.now
	b.run(100 * time.Millisecond)
	if since, ok := b.nodes[peerW].FloorSince(b.now, b.order, 2); !ok || since < at || since > at.Add(20*time.Millisecond) {
		t.Errorf("floor reached at %v, %v", since, ok)
	}
}

func TestTimersAreCheckedTogether(t *testing.T) {
	for _, good := range []Timing{Default, Fast, Wide} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for name, change := range map[string]func(*Timing){
		"renew too short":  func(g *Timing) { g.Renew = time.Microsecond },
		"three renewals":   func(g *Timing) { g.Renew = 13 * time.Millisecond },
		"term too long":    func(g *Timing) { g.Term = 11 * time.Second },
		"odd term":         func(g *Timing) { g.Term++ },
		"drift unbounded":  func(g *Timing) { g.Drift = 0 },
		"grace eats lease": func(g *Timing) { g.Grace = 20 * time.Millisecond },
	} {
		bad := Default
		if change(&bad); bad.Validate() == nil {
			t.Errorf("%s: accepted %+v", name, bad)
		}
	}
}
