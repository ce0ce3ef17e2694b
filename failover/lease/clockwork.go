package lease

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
	if h.round = h.round.Add(h.config.Renew); h.round <= now {
		h.round = now.Add(h.config.Renew)
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
