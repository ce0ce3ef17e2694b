package agent

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// atOnceOrders is how many orders are carried out before the leases are looked after again.
const atOnceOrders = 64

// obey carries out what the daemon has ordered. When it is gone, everything is given up.
func (a *Agent) obey() error {
	now := a.now()
	a.node.Tick(now, &a.out)
	a.act(now)
	for range atOnceOrders {
		n, passed, err := pipe.Receive(a.pipe, a.inbox)
		if errors.Is(err, pipe.ErrGone) {
			a.leave()
			return nil
		}
		if err != nil || n == 0 {
			return err
		}
		err = a.order.Parse(a.inbox[:n])
		if err == nil {
			now = a.now()
			err = a.carryOut(now, &a.order, passed)
			a.act(now)
		}
		if passed >= 0 {
			_ = unix.Close(passed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// carryOut does one thing that the daemon wants. Only what makes no sense is an error, and ends this run: both sides
// are of one version.
func (a *Agent) carryOut(now lease.Instant, o *pipe.Order, passed int) error {
	switch o.Kind {
	case pipe.Parties:
		return a.setParties(o.Parties)
	case pipe.Configure:
		if err := a.node.SetConfig(now, o.Config, &a.out); err != nil {
			a.note(slog.LevelError, "lease configuration refused: "+err.Error())
		}
		a.guard.every, a.guard.term, a.pace.timing = o.Config.Renew, o.Config.Term, o.Config.Timing
	case pipe.Gate:
		return a.addGate(o, passed)
	case pipe.Candidate:
		d := a.door(o.Segment)
		d.rank, d.wanted = int(o.Rank), o.Wanted
		a.node.SetCandidate(now, o.Segment, d.rank, d.wanted && a.unwell == "", &a.out)
	case pipe.Veto:
		if d := a.doors[o.Segment]; d != nil {
			a.shut(d, "the segment itself speaks against it")
		}
	case pipe.Look:
		a.moved = boottime(now)
		if d := a.doors[o.Segment]; d != nil && d.held != 0 && !a.open(d) {
			a.node.Yield(now, o.Segment, 0, &a.out)
		}
	case pipe.Heard:
		a.node.Heard(now, o.Segment, o.Epoch, &a.out)
	case pipe.Yield, pipe.Floor, pipe.Tell:
		a.answerDaemon(now, o)
	default:
		return fmt.Errorf("order %d: %w", o.Kind, pipe.ErrMessage)
	}
	return nil
}

func (a *Agent) answerDaemon(now lease.Instant, o *pipe.Order) {
	switch o.Kind {
	case pipe.Yield:
		had := a.node.Yield(now, o.Segment, o.Peer, &a.out)
		a.act(now) // so that the gate is shut when the answer is there
		a.tell(pipe.Report{Kind: pipe.Yielded, Number: o.Number, Yes: had})
	case pipe.Floor:
		at, ok := a.node.FloorSince(now, o.Set, o.Floor)
		a.tell(pipe.Report{Kind: pipe.Floored, Number: o.Number, Yes: ok, At: at})
	case pipe.Tell:
		a.tell(pipe.Report{Kind: pipe.Told, Number: o.Number, Status: a.standing(now)})
	}
}

// standing reads how everything stands.
func (a *Agent) standing(now lease.Instant) pipe.Status {
	s := a.status
	s.Generation, s.Still = a.node.Generation(), a.guard.still
	s.Quorum, s.Voters = a.node.Quorum(now)
	for i := range s.Voters {
		if p := find(a.peers, s.Voters[i].Peer); p != nil && p.rtt != 0 {
			s.Voters[i].RTT = p.rtt
		}
	}
	for _, id := range a.node.Segments() {
		if len(s.Segments) < pipe.Slots {
			s.Segments = append(s.Segments, a.node.Status(now, id))
		}
	}
	return s
}

func (a *Agent) addGate(o *pipe.Order, passed int) error {
	if passed < 0 {
		return fmt.Errorf("gate of segment %v without its memory: %w", o.Segment, pipe.ErrMessage)
	}
	g, err := gate.Join(passed, a.recently)
	if err != nil {
		return err
	}
	d := a.door(o.Segment)
	if d.gate != nil {
		a.shut(d, "the port was replaced")
	}
	d.gate, d.allow = g, &a.board.Allow[o.Slot]
	return nil
}

// setParties says who and where the others are. A party that is left out is forgotten; one whose key has not changed
// keeps its channel.
func (a *Agent) setParties(all []pipe.Party) error {
	before := a.peers
	a.peers = nil
	for _, party := range all {
		if party.Peer == a.self {
			continue
		}
		p := find(before, party.Peer)
		if p == nil || p.key != string(party.Key) {
			c, err := lease.NewChannel(a.self, party.Peer, party.Key, a.session, random)
			if err != nil {
				return err
			}
			p = &peer{id: party.Peer, key: string(party.Key), channel: c}
		}
		p.to = a.link.address(party.Addr)
		a.peers = append(a.peers, p)
	}
	return nil
}
