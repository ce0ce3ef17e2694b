package lease

import "time"

// advance does what the clock demands: it comes before the handling of any event.
func (h *Holder) advance(now Instant, out *Output) {
	if !h.configured {
		return
	}
	for i := range h.tenures {
		h.elapse(now, &h.tenures[i], out)
	}
	if now >= h.round {
		h.renewAll(now, out)
	}
	if now >= h.probing {
		h.probing = now.Add(h.config.probe())
		for _, peer := range h.quorum.peers {
			if peer != h.self {
				out.Requests = append(out.Requests, Send{To: peer, Entry: Entry{Kind: Probe}})
			}
		}
	}
}

// elapse moves one segment over the deadlines that have passed.
func (h *Holder) elapse(now Instant, t *tenure, out *Output) {
	if t.state == Holding && now >= t.until && !h.rules.renewLapsed {
		h.close(now, t, Lapsed, 0, out)
	}
	if t.state == Closing && now >= t.closing {
		h.closed(now, t, out)
	}
	if t.releaseLeft > 0 && now >= t.releaseAgain {
		h.sendRelease(now, t, out)
	}
	if t.state == Asking && now >= t.asked.Add(h.config.try()) {
		h.abandon(now, t, out)
	}
	if t.state == Asking && now >= t.again { // a promise has ended that was in the way by less than a round
		t.again = Never
		h.request(now, t, Ask, out)
	}
	if t.state == Waiting && !h.unfit && now >= t.turn() {
		h.ask(now, t, out)
	}
}

// renewAll renews what is held, and repeats what is asked, in one round: one datagram carries many segments.
func (h *Holder) renewAll(now Instant, out *Output) {
	interval := h.interval(now)
	if h.round = h.round.Add(interval); h.round <= now {
		h.round = now.Add(interval)
	}
	for i := range h.tenures {
		switch t := &h.tenures[i]; t.state {
		case Holding:
			h.probing = now.Add(h.config.probe())
			h.request(now, t, Renew, out)
		case Asking:
			if t.asked != now {
				h.request(now, t, Ask, out)
			}
		}
	}
}

// hasteFor is how long rounds come twice as often after one that was late: as long as the agent distrusts its own wake-ups.
const hasteFor = 10 * time.Second

// interval is how long the next round may wait: a renewal, or half of it while there is less to spare than there should be,
// because a voter is silent, so that every answer of the others counts, or because this process was late for a round. A
// holder that stands still keeps its lease for T less the age of the last renewal, so half an interval between two of
// them is half an interval more in the worst moment to do so.
func (h *Holder) interval(now Instant) time.Duration {
	lags := false
	for i := range h.tenures {
		if t := &h.tenures[i]; t.state == Holding { // of others, rounds are nobody's deadline
			lags = lags || h.lags(now, t)
			if now.Sub(h.round) > h.config.Renew/5 {
				h.hasty = now.Add(hasteFor)
			}
		}
	}
	if lags || now < h.hasty {
		return h.config.Renew / 2
	}
	return h.config.Renew
}

// lags reports whether a voter has granted nothing of t for three rounds: the answers to one may be unread, and one may be
// lost.
func (h *Holder) lags(now Instant, t *tenure) bool {
	rounds := 3 * h.config.Renew
	least := now.Add(h.config.held(h.config.Term) - rounds)
	for i, peer := range h.quorum.peers {
		if peer != h.self && t.ends[i] < least && now.Sub(t.since) > rounds {
			return true
		}
	}
	return false
}

// deadline is when advance must be called next.
func (h *Holder) deadline() Instant {
	if !h.configured {
		return Never
	}
	next := h.probing
	for i := range h.tenures {
		t := &h.tenures[i]
		switch t.state {
		case Holding:
			next = min(next, t.until, h.round)
		case Asking:
			next = min(next, t.asked.Add(h.config.try()), t.again, h.round)
		case Closing:
			next = min(next, t.closing)
		case Waiting:
			if !h.unfit {
				next = min(next, t.turn())
			}
		}
		if t.releaseLeft > 0 {
			next = min(next, t.releaseAgain)
		}
	}
	return next
}
