package lease

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// The model of the explorer: two gateways and a witness, one segment, time in whole ticks, a term of four of them. A message
// is delivered at any later moment or never; there is one restart of any node, one stop of any process, and one
// wish to hand over. Clocks run alike: drift belongs to the simulation.
const (
	tick        = Instant(time.Millisecond)
	inFlight    = 5 // messages on the way; the oldest is lost when there is one more
	oldestStamp = 8 * tick
)

var modelTiming = Timing{Renew: time.Millisecond, Term: 4 * time.Millisecond, Grace: 500 * time.Microsecond, Drift: 1000}

// flight is a message, or a configuration when from is 0.
type flight struct {
	from, to drawbridge.PeerID
	msg      *Message
	config   *Config
	code     []byte // all but the stamp
	stamp    Instant
}

// model is one state. It is never changed once it has successors.
type model struct {
	now      Instant
	nodes    [3]Node
	gates    [3]struct{ until, shut Instant } // shut: when it was shut by hand, Never while it was not
	epochs   [3]drawbridge.Epoch
	last     drawbridge.Epoch
	least    [3]uint32
	stopped  int // process that does nothing; -1 none
	restarts int
	stops    int
	yields   int
	flights  []*flight
	config   *Config
	bad      string
	trace    *step // how this state was reached
	spare    *struct{ model *model }
}

type step struct {
	before *step
	what   fmt.Stringer
}

type what string

func (w what) String() string { return string(w) }

var modelPeers = [3]drawbridge.PeerID{peerA, peerB, peerW}

// clone makes the beginning of a successor, in the memory of one that turned out to be known.
func (m *model) clone(what fmt.Stringer) *model {
	c := m.spare.model
	if m.spare.model = nil; c == nil {
		c = new(model)
	}
	flights, promises, tenures := c.flights, [3][]promise{}, [3][]tenure{}
	for i := range c.nodes {
		promises[i], tenures[i] = c.nodes[i].voter.promises, c.nodes[i].holder.tenures
	}
	*c = *m
	c.trace = &step{m.trace, what}
	c.flights = append(flights[:0], m.flights...)
	for i := range c.nodes {
		n := &c.nodes[i]
		n.voter.promises = append(promises[i][:0], n.voter.promises...)
		n.holder.tenures = append(tenures[i][:0], n.holder.tenures...)
	}
	return c
}

// act lets one node think and act at once.
func (m *model) act(i int, asker drawbridge.PeerID, stamp Instant, f func(*Node, *Output)) {
	n := &m.nodes[i]
	n.holder.local = &n.voter
	var out Output
	f(n, &out)
	for _, a := range out.Actions {
		switch a.Do {
		case Open:
			m.open(i, a)
		case Shut:
			m.gates[i].shut = min(m.gates[i].shut, m.now)
		}
	}
	n.WasShut(m.now)
	for k, peer := range modelPeers {
		msg := &Message{Class: Request, Generation: n.Generation(), Floor: n.Floor(), Stamp: m.now}
		for _, s := range out.Requests {
			if s.To == peer && s.Entry.Kind != Probe {
				msg.Entries = append(msg.Entries, s.Entry)
			}
		}
		if len(msg.Entries) > 0 {
			m.post(&flight{from: n.self, to: modelPeers[k], msg: msg})
		}
	}
	if len(out.Answers) > 0 {
		m.post(&flight{from: n.self, to: asker, msg: &Message{Class: Answer, Generation: n.Generation(), Floor: n.Floor(), Stamp: stamp, Entries: out.Answers}})
	}
}

// post puts a message on its way. Those on the way are kept in order, so that equal sets of them are equal states.
func (m *model) post(f *flight) {
	f.code = binary.BigEndian.AppendUint64(nil, uint64(f.from)<<32|uint64(f.to))
	if f.msg != nil {
		f.stamp = f.msg.Stamp
		f.code = append(f.code, byte(f.msg.Class), byte(f.msg.Generation))
		for i := range f.msg.Entries {
			f.code = f.msg.Entries[i].append(f.code)
		}
	}
	i, _ := slices.BinarySearchFunc(m.flights, f, func(a, b *flight) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), bytes.Compare(a.code, b.code))
	})
	if m.flights = slices.Insert(m.flights, i, f); len(m.flights) > inFlight {
		m.flights = m.flights[1:]
	}
}

func (f *flight) String() string {
	if f.msg == nil {
		return fmt.Sprintf("configuration %d to %v", f.config.Generation, f.to)
	}
	return fmt.Sprintf("%v to %v: %d, stamp %v, %+v", f.from, f.to, f.msg.Class, time.Duration(f.msg.Stamp), f.msg.Entries)
}

func (m *model) open(i int, a Action) {
	for j, g := range m.gates {
		if j != i && m.epochs[j] != 0 && m.now < g.until.Add(modelTiming.Grace) && (g.shut == Never || m.now < g.shut.Add(modelTiming.Grace)) {
			m.bad = fmt.Sprintf("%v opens under %v while %v has %v open", modelPeers[i], a.Epoch, modelPeers[j], m.epochs[j])
		}
	}
	if a.Epoch < m.last || a.First && a.Epoch == m.last {
		m.bad = fmt.Sprintf("%v opens under %v after %v", modelPeers[i], a.Epoch, m.last)
	}
	m.last, m.epochs[i] = a.Epoch, a.Epoch
	m.gates[i].until, m.gates[i].shut = a.Until, Never
}

// successors are the states that one event leads to.
func (m *model) successors(yield func(*model)) {
	for i, f := range m.flights {
		to := slices.Index(modelPeers[:], f.to)
		if to == m.stopped {
			continue
		}
		c := m.clone(f)
		c.flights = slices.Delete(c.flights, i, i+1)
		c.deliver(to, f)
		yield(c)
	}
	c := m.clone(what("time passes"))
	c.now += tick
	for i := range c.nodes {
		if i != c.stopped && c.nodes[i].Deadline() <= c.now {
			c.act(i, 0, 0, func(n *Node, out *Output) { n.Tick(c.now, out) })
		}
	}
	yield(c)
	m.faults(yield)
}

func (m *model) deliver(to int, f *flight) {
	switch {
	case f.msg != nil:
		m.act(to, f.from, f.msg.Stamp, func(n *Node, out *Output) { n.Receive(m.now, f.from, f.msg, out) })
	case f.config.Generation >= m.least[to]:
		m.act(to, 0, 0, func(n *Node, out *Output) { _ = n.SetConfig(m.now, *f.config, out) })
	}
}

func (m *model) faults(yield func(*model)) {
	for i := range m.nodes {
		if m.restarts > 0 {
			c := m.clone(modelPeers[i])
			c.restarts--
			c.restart(i)
			yield(c)
		}
		if m.stops > 0 && m.stopped < 0 {
			c := m.clone(modelPeers[i])
			c.stops, c.stopped = c.stops-1, i
			yield(c)
		}
	}
	if m.stopped >= 0 {
		c := m.clone(what("go on"))
		c.stopped = -1
		yield(c)
	}
	if m.yields > 0 {
		c := m.clone(what("hand over"))
		c.yields--
		c.act(0, 0, 0, func(n *Node, out *Output) { n.Yield(m.now, 2, peerB, out) })
		yield(c)
	}
}

// restart begins a new run, for which a new generation is committed; the others learn of it some time.
func (m *model) restart(i int) {
	broken := m.nodes[i].voter.rules
	m.gates[i].shut = min(m.gates[i].shut, m.now)
	if m.stopped == i {
		m.stopped = -1
	}
	c := *m.config
	c.Generation++
	m.config, m.least[i] = &c, c.Generation
	m.nodes[i] = *NewNode(modelPeers[i], m.now, 0)
	m.nodes[i].voter.rules, m.nodes[i].holder.rules = broken, broken
	m.act(i, 0, 0, func(n *Node, out *Output) {
		_ = n.SetConfig(m.now, c, out)
		if i < 2 {
			n.SetCandidate(m.now, 2, 0, true, out)
		}
	})
	for j, peer := range modelPeers {
		if j != i {
			m.post(&flight{to: peer, config: &c})
		}
	}
}

// code is what the future depends on: times count from now, and all that is over is alike.
func (m *model) code(b []byte) []byte {
	rel := func(b []byte, at Instant) []byte {
		return binary.LittleEndian.AppendUint64(b, uint64(max(at-m.now, -1)))
	}
	u64 := binary.LittleEndian.AppendUint64
	b = append(b[:0], byte(m.stopped), byte(m.restarts), byte(m.stops), byte(m.yields))
	b = u64(u64(b, uint64(m.last)), uint64(m.config.Generation))
	for i := range m.nodes {
		v, h := &m.nodes[i].voter, &m.nodes[i].holder
		b = rel(rel(b, m.gates[i].until.Add(modelTiming.Grace)), min(m.gates[i].shut, Never-tick).Add(modelTiming.Grace))
		b = rel(rel(b, v.Ready()), h.round)
		b = append(b, byte(min(max(h.hasty-m.now, 0), 1))) // no exploration is so long that it ended
		b = u64(b, uint64(v.birth)<<32|uint64(h.config.Generation))
		for _, p := range v.promises {
			b = u64(u64(u64(b, uint64(p.epoch)), uint64(p.seen)), uint64(p.tenured))
			b = u64(u64(b, uint64(p.holder)<<32|uint64(p.releaser)), uint64(p.released))
			b = rel(b, p.until)
		}
		for _, t := range h.tenures {
			b = append(b, byte(t.state), byte(t.refused), byte(t.releaseLeft))
			for _, e := range [...]drawbridge.Epoch{t.epoch, t.seen, t.rival, t.freed, t.release} {
				b = u64(b, uint64(e))
			}
			b = u64(b, uint64(t.heir)<<32|uint64(t.releaseHeir))
			b = u64(b, uint64(t.releaseFlags))
			for _, at := range [...]Instant{t.until, t.free, t.pause, t.turn(), t.asked.Add(h.config.try()), t.closing, t.releaseAgain, t.ends[0], t.ends[1], t.ends[2]} {
				b = rel(b, at)
			}
		}
	}
	for _, f := range m.flights {
		b = u64(append(b, f.code...), uint64(max(f.stamp-m.now, -oldestStamp)))
		if f.config != nil {
			b = u64(b, uint64(f.config.Generation))
		}
	}
	return b
}

// steady is the state from which everything is explored: A holds, all have heard so.
func steady(broken rules) *model {
	broken.noJitter = true
	m := &model{spare: new(struct{ model *model }), stopped: -1, config: &Config{Generation: 1, Floor: 1, Sets: [][]drawbridge.PeerID{modelPeers[:]}, Timing: modelTiming, Longest: modelTiming.Term}}
	m.now = 100 * tick
	for i, peer := range modelPeers {
		m.nodes[i] = *NewNode(peer, m.now, 0)
		m.nodes[i].voter.rules, m.nodes[i].holder.rules = broken, broken
		m.gates[i].shut = m.now
		m.act(i, 0, 0, func(n *Node, out *Output) { _ = n.SetConfig(m.now, *m.config, out) })
	}
	for i := range 2 { // A is first, so that the two do not ask together
		m.act(i, 0, 0, func(n *Node, out *Output) { n.SetCandidate(m.now, 2, 0, true, out) })
	}
	for range 12 {
		m.now += tick
		for i := range m.nodes {
			m.act(i, 0, 0, func(n *Node, out *Output) { n.Tick(m.now, out) })
			for len(m.flights) > 0 {
				f := m.flights[0]
				m.flights = m.flights[1:]
				m.deliver(slices.Index(modelPeers[:], f.to), f)
			}
		}
	}
	return m
}

// explore visits every state within depth events of start and returns the first bad one.
func explore(start *model, depth int) (states int, bad *model) {
	seen := map[[16]byte]struct{}{}
	level, next := []*model{start}, []*model(nil)
	var buffer []byte
	for left := depth; left > 0; left-- {
		for i, m := range level {
			level[i] = nil // let it go
			m.successors(func(c *model) {
				buffer = c.code(buffer)
				sum := sha256.Sum256(buffer)
				k := [16]byte(sum[:16])
				if _, ok := seen[k]; ok || bad != nil {
					c.spare.model = c
					return
				}
				seen[k] = struct{}{}
				switch {
				case c.bad != "":
					bad = c
				case left > 1:
					next = append(next, c)
				default:
					c.spare.model = c
				}
			})
			if bad != nil {
				return len(seen), bad
			}
		}
		level, next = next, level[:0]
	}
	return len(seen), nil
}

// explorations are what the explorer may do beside delaying and losing messages, and how many events deep it goes by
// default and under DRAWBRIDGE_LONG: about two seconds and a few minutes.
var explorations = []struct {
	name                    string
	restarts, stops, yields int
	depth, long             int
}{
	{"messages", 0, 0, 0, 11, 17},
	{"restart", 1, 0, 0, 8, 12},
	{"stop", 0, 1, 0, 9, 14},
	{"handover", 0, 0, 1, 9, 14},
	{"all", 1, 1, 1, 6, 9},
}

// TestExplorer walks through every interleaving of the model up to a number of events.
func TestExplorer(t *testing.T) {
	for _, e := range explorations {
		t.Run(e.name, func(t *testing.T) {
			if os.Getenv("DRAWBRIDGE_LONG") != "" {
				e.depth = e.long
			}
			start := steady(rules{})
			start.restarts, start.stops, start.yields = e.restarts, e.stops, e.yields
			if start.gates[0].until <= start.now {
				t.Fatal("A does not hold where the exploration begins")
			}
			states, bad := explore(start, e.depth)
			t.Logf("%d states within %d events", states, e.depth)
			bad.report(t)
		})
	}
}

func (m *model) report(t *testing.T) {
	if m == nil {
		return
	}
	for s := m.trace; s != nil; s = s.before {
		t.Log("after ", s.what)
	}
	t.Error(m.bad)
}
