package agent

import (
	"errors"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// atOnce is how many datagrams are taken before the clock is looked at again: a flood must not keep a lease
// from ending in time.
const atOnce = 64

// receive handles what has arrived.
func (a *Agent) receive() error {
	for range atOnce {
		b, err := a.link.receive()
		if err != nil || b == nil {
			return err
		}
		a.take(b)
	}
	return nil
}

// take handles one datagram. Whatever is wrong with it, nothing happens but a count.
func (a *Agent) take(b []byte) {
	from, err := lease.Sender(b)
	if err != nil {
		a.count("malformed")
		return
	}
	p := a.party(from)
	if p == nil {
		a.count("unknown_peer")
		return
	}
	switch err := p.channel.Open(b, &a.msg); {
	case errors.Is(err, lease.ErrSession):
		if !lease.IsChallenge(b) { // or two that are new to each other would never stop
			a.transmit(p, p.channel.Challenge(a.buf[:0]))
		}
		return
	case errors.Is(err, lease.ErrForged):
		a.count("forged")
		return
	case errors.Is(err, lease.ErrReplayed):
		a.count("replayed")
		return
	case err != nil:
		a.count("malformed")
		return
	}
	now := a.now()
	a.node.Receive(now, from, &a.msg, &a.out)
	a.moveGates()
	a.answer(p)
	a.act(now)
}

// party is the channel to a peer; nil when there is none to be.
func (a *Agent) party(id drawbridge.PeerID) *peer {
	p := a.peers[id]
	if p == nil || p.channel != nil {
		return p
	}
	key, ok := a.cfg.Key(id)
	if !ok {
		return nil
	}
	c, err := lease.NewChannel(a.cfg.Self, id, key, a.session, random)
	if err != nil {
		a.cfg.Log.Error("no channel for leases", "peer", id, "err", err)
		return nil
	}
	p.channel = c
	return p
}

// answer sends what the last message is answered with.
func (a *Agent) answer(p *peer) {
	if len(a.out.Answers) == 0 {
		return
	}
	m := lease.Message{
		Class: lease.Answer, Generation: a.node.Generation(), Floor: a.node.Floor(),
		Stamp: a.msg.Stamp, Clock: a.now(), Entries: a.out.Answers,
	}
	a.transmit(p, p.channel.Seal(a.buf[:0], &m))
	a.out.Answers = a.out.Answers[:0]
}

// send collects requests by peer, and sends each peer's in as few datagrams as they fit.
func (a *Agent) send(now lease.Instant) {
	if len(a.out.Requests) == 0 {
		return
	}
	for _, r := range a.out.Requests {
		p := a.party(r.To)
		if p == nil {
			continue
		}
		p.batch = append(p.batch, r.Entry)
		if len(p.batch) == lease.MaxEntries {
			a.request(now, p)
		}
	}
	for _, p := range a.peers {
		if len(p.batch) > 0 {
			a.request(now, p)
		}
	}
}

func (a *Agent) request(now lease.Instant, p *peer) {
	m := lease.Message{Class: lease.Request, Generation: a.node.Generation(), Floor: a.node.Floor(), Stamp: now, Entries: p.batch}
	a.transmit(p, p.channel.Seal(a.buf[:0], &m))
	p.batch = p.batch[:0]
}

// transmit never waits: a datagram that does not leave is a lost one.
func (a *Agent) transmit(p *peer, b []byte) {
	if p.addr.IsValid() && a.link.send(p.addr, b) != nil {
		a.count("not_sent")
	}
}
