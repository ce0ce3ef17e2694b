package lease

import (
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// maxSegments bounds the segments that a voter remembers, 96 octets each, whatever its peers send.
const maxSegments = 4096

// promise is what a voter remembers of one segment.
type promise struct {
	segment  drawbridge.SegmentID
	holder   drawbridge.PeerID
	epoch    drawbridge.Epoch
	until    Instant          // the promise ends here
	since    Instant          // when this holder and epoch were first granted
	renewed  bool             // the holder has a tenure, not only an attempt
	seen     drawbridge.Epoch // highest epoch promised to anyone
	tenured  drawbridge.Epoch // highest epoch renewed by anyone
	released drawbridge.Epoch // last release, by releaser
	releaser drawbridge.PeerID
}

// Voter promises. It stores nothing on disk: after a start it waits until all it may have forgotten is over.
type Voter struct {
	self       drawbridge.PeerID
	started    Instant
	configured bool
	config     Config
	birth      uint32 // first generation of this run
	unfit      bool
	promises   []promise // sorted by segment
	index      index     // of promises
	rules      rules
}

// NewVoter begins a run of a voter at now, which must not be later than the start of the process that could
// have promised before.
func NewVoter(self drawbridge.PeerID, now Instant) Voter { return Voter{self: self, started: now} }

// SetConfig takes a newer configuration. The first one must have been committed after this run began.
func (v *Voter) SetConfig(c Config) bool {
	if v.configured && c.Generation <= v.config.Generation {
		return false
	}
	if !v.configured {
		v.birth = c.Generation
	}
	v.configured, v.config = true, c
	return true
}

// Ready is when the voter may first promise; Never before it has a configuration.
func (v *Voter) Ready() Instant {
	if !v.configured {
		return Never
	}
	return v.started.Add(v.config.promised(v.config.Longest))
}

// Answer handles one request of from, made under the given generation. A release is not answered.
func (v *Voter) Answer(now Instant, from drawbridge.PeerID, generation uint32, e Entry) (answer Entry, ok bool) {
	switch e.Kind {
	case Probe:
		return Entry{Kind: Echo, Epoch: e.Epoch}, true
	case Release:
		v.release(now, from, e)
		return Entry{}, false
	case Ask, Renew:
		return v.decide(now, from, generation, e), true
	}
	return Entry{}, false
}

func (v *Voter) decide(now Instant, from drawbridge.PeerID, generation uint32, e Entry) Entry {
	if reason := v.closed(now, generation, e); reason != 0 {
		answer := Entry{Kind: Refuse, Reason: reason, Segment: e.Segment, Epoch: e.Epoch}
		if ready := v.Ready(); reason == Starting && ready != Never {
			answer.Micros = micros(ready.Sub(now))
		}
		return answer
	}
	p := v.promise(e.Segment)
	if reason := v.obstacle(p, now, from, e); reason != 0 {
		return p.refuse(now, reason, e)
	}
	return v.grant(p, now, from, e)
}

// closed names what keeps the voter from promising anything like e, whatever it has promised.
func (v *Voter) closed(now Instant, generation uint32, e Entry) Reason {
	term := fromMicros(e.Micros)
	switch {
	case !v.configured, now < v.Ready() && !v.rules.skipRestartRule:
		return Starting
	case v.unfit:
		return Unfit
	case generation < v.config.Floor && !v.rules.acceptOldGeneration:
		return Generation
	case term == 0 || term > v.config.Longest:
		return TermLength
	case v.promise(e.Segment) == nil:
		return Unfit
	case e.Epoch.Generation() > generation:
		return OldEpoch
	}
	return 0
}

// obstacle names what the voter remembers that forbids to promise e.
func (v *Voter) obstacle(p *promise, now Instant, from drawbridge.PeerID, e Entry) Reason {
	live, same := now < p.until, p.holder == from
	switch {
	case live && !same && !v.rules.promiseTwice:
		return Promised
	case p.releaser == from && e.Epoch <= p.released, live && same && e.Epoch < p.epoch:
		return OldEpoch
	case e.Kind == Renew && e.Epoch < p.tenured:
		return OldEpoch
	case e.Kind == Ask && e.Epoch.Generation() < v.birth && !v.rules.forgetBirth:
		return OldEpoch
	case e.Kind == Ask && e.Epoch <= p.seen && (!same || e.Epoch != p.epoch):
		return OldEpoch
	}
	return 0
}

func (p *promise) refuse(now Instant, reason Reason, e Entry) Entry {
	answer := Entry{Kind: Refuse, Reason: reason, Segment: e.Segment, Epoch: e.Epoch, Seen: p.seen}
	if now < p.until {
		answer.Micros, answer.Peer = micros(p.until.Sub(now)), p.holder
		if p.renewed {
			answer.Flags, answer.Seen = Tenured, p.epoch
		}
	}
	return answer
}

func (v *Voter) grant(p *promise, now Instant, from drawbridge.PeerID, e Entry) Entry {
	length := v.config.promised(fromMicros(e.Micros))
	if v.rules.ignoreDrift {
		length = fromMicros(e.Micros)
	}
	until := now.Add(length)
	if p.holder == from {
		until = max(until, p.until)
	}
	if p.holder != from || p.epoch != e.Epoch {
		p.since, p.renewed = now, false
	}
	p.holder, p.epoch, p.until = from, e.Epoch, until
	p.seen = max(p.seen, e.Epoch)
	if e.Kind == Renew {
		p.renewed, p.tenured = true, max(p.tenured, e.Epoch)
	}
	return Entry{Kind: Grant, Segment: e.Segment, Epoch: e.Epoch, Micros: e.Micros}
}

// release ends the promise that from names or an older one of its own: a peer's epochs only rise, so an earlier tenure
// of its was over before.
func (v *Voter) release(now Instant, from drawbridge.PeerID, e Entry) {
	p := v.promise(e.Segment)
	if p == nil {
		return
	}
	if p.holder == from && p.epoch <= e.Epoch {
		p.until = min(p.until, now)
	}
	if p.releaser == from {
		p.released = max(p.released, e.Epoch)
	} else if p.holder == from {
		p.releaser, p.released = from, e.Epoch
	}
}

// find returns what is remembered of a segment; nil when it was never asked for.
func (v *Voter) find(segment drawbridge.SegmentID) *promise {
	i, ok := v.index.find(segment)
	if !ok {
		return nil
	}
	return &v.promises[i]
}

// promise returns the row of a segment and makes one; nil when there is no room.
func (v *Voter) promise(segment drawbridge.SegmentID) *promise {
	i, ok := v.index.find(segment)
	if !ok {
		if len(v.promises) >= maxSegments {
			return nil
		}
		v.index.insert(i, segment)
		v.promises = slices.Insert(v.promises, i, promise{segment: segment})
	}
	return &v.promises[i]
}
