package agent

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// pace decides when answers are worth waking up for. To fall asleep and to wake costs more than all that is done in
// between (26 of 60 microseconds, docs/adr/0015), so on a calm host the answers to a renewal are read when the next one
// is sent, and on one whose wake-ups come late a tenth of a renewal after it, all together. Requests are never kept
// waiting: they have a socket of their own.
//
// Unread for one renewal R, an answer still comes before a third of the lease is over. When a round had no majority, or
// a lease is to be won, answers are read at once, so that a lease survives as many lost datagrams as it would otherwise.
type pace struct {
	timing   lease.Timing
	rounds   uint
	prompt   lease.Instant // answers are read at once until then
	troubled lease.Instant // wake-ups have been late not long before then
	reading  lease.Instant // when to read what has come; 0: with the next round
}

const (
	// promptRounds is how often the answers of a round are read at once all the same, to know how long they take.
	promptRounds = 100
	// calm is how long no wake-up may have been late before answers are left unread for a whole round.
	calm = 10 * time.Second
)

// hurry has answers read at once for a while.
func (p *pace) hurry(now lease.Instant, d time.Duration) { p.prompt = max(p.prompt, now.Add(d)) }

// woke takes note of a wake-up that was so late.
func (p *pace) woke(now lease.Instant, late time.Duration) {
	if late > p.timing.Renew/5 {
		p.troubled = now.Add(calm)
	}
}

// asked takes note of requests that have just been made. The lease that ends first ends after left.
func (p *pace) asked(now lease.Instant, renewals bool, left time.Duration) {
	p.rounds++
	t := p.timing
	ordinary := t.Term - t.Term*time.Duration(t.Drift)/1e6 - t.Grace - t.Renew*3/2
	switch {
	case !renewals:
		p.hurry(now, 2*t.Renew)
	case left < ordinary || p.rounds%promptRounds == 0:
		p.hurry(now, t.Renew)
	case now < p.troubled:
		p.reading = now.Add(t.Renew / 10)
	}
}

// due is when to wake up for answers, if something else is not due before.
func (p *pace) due(other lease.Instant) lease.Instant {
	if p.reading == 0 {
		return other
	}
	return min(other, p.reading)
}

// events are what the agent sleeps for, and what of it has come.
type events struct {
	fds                    [4]unix.PollFd // requests, pipe, canary, answers
	requests, orders, gone bool
}

func (a *Agent) events() events {
	e := events{requests: true, orders: true}
	e.fds[0] = unix.PollFd{Fd: int32(a.link.fd), Events: unix.POLLIN}
	e.fds[1] = unix.PollFd{Fd: int32(a.pipe), Events: unix.POLLIN}
	e.fds[2] = unix.PollFd{Fd: int32(a.canary), Events: unix.POLLIN}
	e.fds[3] = unix.PollFd{Fd: -1, Events: unix.POLLIN}
	return e
}

// rest sleeps until something comes or is due.
func (a *Agent) rest(e *events) {
	now := a.now()
	due := a.pace.due(min(a.node.Deadline(), a.guard.due))
	e.fds[3].Fd = -1
	if a.answers != nil && now < a.pace.prompt {
		e.fds[3].Fd = int32(a.answers.fd)
	}
	if a.ending != 0 {
		e.fds[1].Fd, e.fds[2].Fd = -1, -1 // they stay readable for ever: their end is what there is to read
	}
	came := wait(e.fds[:], due.Sub(now))
	a.status.Turns++
	e.requests, e.orders, e.gone = came && e.fds[0].Revents != 0, came && e.fds[1].Revents != 0, came && e.fds[2].Revents != 0
	if now = a.now(); now >= a.pace.reading {
		a.pace.reading = 0
	}
	if !came {
		late := now.Sub(due)
		a.status.Late = max(a.status.Late, late)
		a.pace.woke(now, late)
	}
}
