package alone

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// world is a set of machines, the wires between their ports, and one clock that moves a millisecond at a time.
type world struct {
	untold   bool // nobody is told of stray ports
	t        *testing.T
	now      time.Duration
	machines map[drawbridge.PeerID]*Machine
	codecs   map[drawbridge.PeerID]Codec
	wires    []*wire
	alarms   []Alarm
	fences   map[Place]drawbridge.Epoch
	shut     map[Place]int // how often a gate was asked to shut
	late     []late
	waiter   drawbridge.PeerID                   // reads what it hears when it comes to it; 0: nobody
	waiting  []late                              // for it
	still    map[drawbridge.PeerID]time.Duration // until then a peer neither hears nor speaks
}

// late is a frame under way.
type late struct {
	at      time.Duration
	to      Place
	payload []byte
}

// wire joins ports; a frame of one reaches all others, or whom deliver lets it reach.
type wire struct {
	places  []Place
	deliver func(from, to Place) int // copies; nil: one to everyone but the sender
	delay   func(from Place) time.Duration
}

const testSegment drawbridge.SegmentID = 77

func newWorld(t *testing.T, peers ...drawbridge.PeerID) *world {
	w := &world{
		t: t, now: time.Second, machines: map[drawbridge.PeerID]*Machine{}, codecs: map[drawbridge.PeerID]Codec{},
		fences: map[Place]drawbridge.Epoch{}, shut: map[Place]int{},
	}
	for _, id := range peers {
		w.codecs[id] = testCodec
		w.machines[id] = New(Config{Peer: id, Network: testCodec.Network, Boot: 1, Timers: Default, Random: rand.New(rand.NewPCG(uint64(id), 1))})
	}
	return w
}

// join puts ports on one wire and brings them up.
func (w *world) join(places ...Place) *wire {
	x := &wire{places: places}
	w.wires = append(w.wires, x)
	for _, p := range places {
		segment := testSegment
		if p.Port.Guest() {
			segment = 0
		}
		w.machines[p.Peer].AddPort(Port{ID: p.Port, Segment: segment})
		w.do(p.Peer, w.machines[p.Peer].Carrier(w.now, p.Port, true))
	}
	return x
}

// do carries out what a machine asked for.
func (w *world) do(from drawbridge.PeerID, out Output) {
	w.alarms = append(w.alarms, out.Alarms...)
	for _, f := range out.Fence {
		w.fences[Place{from, f.Port}] = f.Epoch
	}
	for _, id := range out.Shut {
		w.shut[Place{from, id}]++
	}
	for _, s := range out.Strays {
		if b := s.Append(nil); !w.untold {
			told, err := ParseStray(from, s.Guest.Peer, b)
			if err != nil || told != s {
				w.t.Fatalf("%+v is read as %+v, %v", s, told, err)
			}
			w.do(s.Guest.Peer, w.machines[s.Guest.Peer].HeardElsewhere(w.now, told))
		}
	}
	for _, s := range out.Send {
		w.send(Place{from, s.Port}, w.codecs[from].Append(nil, s.Frame))
	}
}

func (w *world) send(from Place, payload []byte) {
	for _, x := range w.wires {
		for _, here := range x.places {
			if here != from {
				continue
			}
			for _, to := range x.places {
				copies := 1
				if to == from {
					copies = 0
				}
				if x.deliver != nil {
					copies = x.deliver(from, to)
				}
				for range copies {
					if x.delay != nil {
						w.late = append(w.late, late{w.now + x.delay(from), to, payload})
						continue
					}
					w.hear(to, payload)
				}
			}
		}
	}
}

func (w *world) hear(to Place, payload []byte) {
	if until := w.still[to.Peer]; until > w.now {
		w.late = append(w.late, late{until, to, payload})
		return
	}
	if to.Peer == w.waiter {
		w.waiting = append(w.waiting, late{to: to, payload: payload})
		return
	}
	w.read(to, payload)
}

func (w *world) read(to Place, payload []byte) {
	f, err := w.codecs[to.Peer].Parse(payload)
	w.do(to.Peer, w.machines[to.Peer].Hear(w.now, to.Port, f, err))
}

// run moves the clock.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; w.now += time.Millisecond {
		w.arrive()
		for _, id := range []drawbridge.PeerID{1, 2, 3, 4, 5} {
			if m := w.machines[id]; m != nil {
				w.do(id, m.Tick(w.now))
			}
		}
	}
}

// arrive hands over what was under way until now.
func (w *world) arrive() {
	for i := 0; i < len(w.late); i++ {
		if l := w.late[i]; l.at <= w.now && w.still[l.to.Peer] <= w.now {
			w.late = slices.Delete(w.late, i, i+1)
			w.hear(l.to, l.payload)
			i--
		}
	}
}

func (w *world) state(p Place) (State, Reason) {
	w.t.Helper()
	for _, s := range w.machines[p.Peer].Ports(w.now) {
		if s.ID == p.Port {
			return s.State, s.Reason
		}
	}
	w.t.Fatalf("no port %v", p)
	return 0, ""
}

func (w *world) want(p Place, s State, why Reason) {
	w.t.Helper()
	if got, reason := w.state(p); got != s || reason != why {
		w.t.Errorf("port %v is %v (%q), want %v (%q)", p, got, reason, s, why)
	}
}

// lease grants a peer an epoch on a port, as the lease layer would.
func (w *world) lease(p Place, e drawbridge.Epoch) {
	w.do(p.Peer, w.machines[p.Peer].Lease(w.now, p.Port, e))
}

func (w *world) clear(p Place, e drawbridge.Epoch) bool {
	return w.machines[p.Peer].IsClear(w.now, p.Port, e)
}

var (
	a1, a2, b1, c1 = Place{1, 1}, Place{1, 2}, Place{2, 1}, Place{3, 1}
	guest3, guest4 = Place{3, FirstGuest}, Place{4, FirstGuest}
)
