package agent

import (
	"errors"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/failover/lease/agent/pipe"
)

// batches is how many calls' worth of datagrams are taken before the clock is looked at again: a flood must not keep
// a lease from ending in time.
const batches = 4

// receive handles what has arrived: answers first, for they may keep a lease.
func (a *Agent) receive(requests bool) error {
	if a.answers != nil {
		if err := a.drain(a.answers); err != nil {
			return err
		}
	}
	if requests {
		return a.drain(&a.link.inlet)
	}
	return nil
}

func (a *Agent) drain(in *inlet) error {
	for range batches {
		n, err := in.receive(a.take)
		if err != nil || n < atOnce {
			return err
		}
	}
	return nil
}

// take handles one datagram. Whatever is wrong with it, nothing happens but a count.
func (a *Agent) take(b []byte) {
	from, err := lease.Sender(b)
	if err != nil {
		a.status.Drops[pipe.Malformed]++
		return
	}
	p := find(a.peers, from)
	if p == nil {
		a.status.Drops[pipe.UnknownPeer]++
		return
	}
	switch err := p.channel.Open(b, &a.msg); {
	case errors.Is(err, lease.ErrSession):
		if !lease.IsChallenge(b) { // or two that are new to each other would never stop
			a.link.push(&p.to, p.channel.Challenge(a.link.room()))
		}
		return
	case errors.Is(err, lease.ErrForged):
		a.status.Drops[pipe.Forged]++
		return
	case errors.Is(err, lease.ErrReplayed):
		a.status.Drops[pipe.Replayed]++
		return
	case err != nil:
		a.status.Drops[pipe.Malformed]++
		return
	}
	now := a.now()
	if a.msg.Class == lease.Answer && now < a.pace.prompt {
		p.rtt = now.Sub(a.msg.Stamp)
	}
	a.node.Receive(now, from, &a.msg, &a.out)
	a.moveGates()
	a.answer(p)
	a.act(now)
}

// find is the party of an id; nil when there is none. There are at most fifteen.
func find(peers []*peer, id drawbridge.PeerID) *peer {
	for _, p := range peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// answer queues what the last message is answered with.
func (a *Agent) answer(p *peer) {
	if len(a.out.Answers) == 0 {
		return
	}
	a.push(p, lease.Message{
		Class: lease.Answer, Generation: a.node.Generation(), Floor: a.node.Floor(),
		Stamp: a.msg.Stamp, Clock: a.now(), Entries: a.out.Answers,
	})
	a.out.Answers = a.out.Answers[:0]
}

// push queues a message in as few datagrams as it fits.
func (a *Agent) push(p *peer, m lease.Message) {
	for all := m.Entries; len(all) > 0; all = all[len(m.Entries):] {
		m.Entries = all[:p.channel.Fits(all)]
		a.link.push(&p.to, p.channel.Seal(a.link.room(), &m))
	}
}

// send collects requests by peer, and queues each peer's.
func (a *Agent) send(now lease.Instant) {
	if len(a.out.Requests) == 0 {
		return
	}
	renewals := true
	for i := range a.out.Requests {
		r := &a.out.Requests[i]
		renewals = renewals && r.Entry.Kind == lease.Renew
		if p := find(a.peers, r.To); p != nil {
			p.batch = append(p.batch, r.Entry)
		}
	}
	for _, p := range a.peers {
		a.push(p, lease.Message{Class: lease.Request, Generation: a.node.Generation(), Floor: a.node.Floor(), Stamp: now, Entries: p.batch})
		p.batch = p.batch[:0]
	}
	a.pace.asked(now, renewals, a.left(now))
}

// left is how long the lease lasts that ends first.
func (a *Agent) left(now lease.Instant) time.Duration {
	first := lease.Never
	for _, d := range a.doors {
		if d.held != 0 {
			first = min(first, d.until)
		}
	}
	return first.Sub(now)
}

// flush sends everything that is queued, in one call unless there is very much.
func (a *Agent) flush() {
	a.link.flush()
	a.status.Drops[pipe.NotSent] = a.link.unsent
}
