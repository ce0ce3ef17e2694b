package alone

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
)

// Finding is how the wire looks between two gateways of a segment that compare what they hear.
type Finding uint8

// The findings. The first three are an active gateway's reason to leave the segment to the other one.
const (
	// Whole is a wire that carries both ways, or of which nothing else is known.
	Whole Finding = iota
	// Mute is a port of our own whose frames do not arrive although the other one hears somebody.
	Mute
	// Deaf is a port of our own that hears nobody, while the other one hears us and stations that speak to everybody.
	Deaf
	// CutOff is a port of our own that hears nobody and is not heard, while the other one hears stations.
	CutOff
	// OtherMute, OtherDeaf and OtherCutOff are the same of the other gateway's port.
	OtherMute
	OtherDeaf
	OtherCutOff
	// Split is a segment of which each gateway hears a part.
	Split
	// Unreached is a gateway that reaches nobody over the overlay: not a matter of the wire, and never found here.
	Unreached
	// Unclear is a wire that does not carry both ways, and on which nobody else says which end is to blame.
	Unclear
)

var findingTexts = [...]string{
	"the wire carries both ways", "what this port sends does not arrive", "this port hears nothing",
	"this port is cut off although it has a carrier", "what the other's port sends does not arrive", "the other's port hears nothing",
	"the other's port is cut off", "the segment is split between the gateways",
	"nobody is reached over the overlay, although the voters answer",
	"the wire does not carry both ways, and no third station tells whose port it is",
}

func (f Finding) String() string {
	if int(f) < len(findingTexts) {
		return findingTexts[f]
	}
	return fmt.Sprintf("finding %d", uint8(f))
}

// findingReasons are the words of alarms; they are stable, as those of blocked ports.
var findingReasons = [...]Reason{"", "mute", "deaf", "cut_off", "other_mute", "other_deaf", "other_cut_off", "split", "unreached", "one_way"}

const (
	// ReportEvery is how often gateways that do not hear each other both ways tell each other what they hear: as often as a
	// passive port says hello.
	ReportEvery = 50 * time.Millisecond
	// reportFor is how long a report counts: three may be lost, and one late.
	reportFor = 250 * time.Millisecond
	// stationFor is how long a station's word counts for a port that hears: hosts speak to everybody once in seconds.
	stationFor = time.Second
	// muteFor is how long the other gateway must say that it hears others and not us, beyond the 3.5 hellos after which it says so:
	// more than one report, or a host that was busy for 35 ms would lose its segment. A longer term adds to this and the two
	// that follow (Comparison.patience).
	muteFor = ReportEvery
	// deafFor is how long a port must have heard nobody while the other's heard stations, beyond the 3.5 hellos after which it
	// began to listen: together 350 ms.
	deafFor = 175 * time.Millisecond
	// cutOffFor is the same where neither gateway hears the other, as on a split segment: the part of the active one may only be
	// quiet for a while, so it is given the time in which a few hosts ask for something.
	cutOffFor = 3 * time.Second
	// alarmAfter is how long a finding must last to be told: one lost hello is none.
	alarmAfter = time.Second
	// recuseFirst and recuseMost are for how long a gateway that left a segment to another one is no better than that one,
	// whatever the wire looks like: at first, and after many times. A segment in two parts must not go to and fro.
	recuseFirst = time.Minute
	recuseMost  = time.Hour
	// maxSightings is how many stations a report names.
	maxSightings = 8
)

// Sighting is a station that said something to everybody on the wire.
type Sighting struct {
	MAC drawbridge.MAC
	Ago time.Duration
}

// Report is what a gateway tells another one of its port on a segment, over the overlay.
type Report struct {
	From     Place
	Segment  drawbridge.SegmentID
	Fit      bool // it would carry the segment
	Recused  bool // it left the segment to another one lately, for what Comparison found
	Hears    []Place
	Stations []Sighting // latest first
}

// Own is what a gateway knows of its own port.
type Own struct {
	Port   Place
	Hears  []Neighbour
	Unsure []Place // as in PortState
	// Ours reports whether what a station says reaches the wire through this gateway: its own interface, and everybody in the
	// overlay while it is the active one. That the other's port hears those proves nothing of ours.
	Ours func(drawbridge.MAC) bool
	// Spoke is how this port has spoken so far.
	Spoke Spoke
}

// Advice is what a comparison comes to.
type Advice struct {
	Apart   bool              // some other gateway is not heard both ways: listen to stations, and report
	Yield   drawbridge.PeerID // leave the segment to this one, if this gateway is active; 0: do not
	Finding Finding           // why
	Alarms  []Alarm
}

// Comparison is one gateway's part in comparing the ports on a segment. It never opens a gate: it may only advise the active gateway to
// leave the segment to another one that serves it better, and that only for what both ends say. It is pure: it is told what was
// heard, and every call takes the time. The zero value compares with nobody.
type Comparison struct {
	Term time.Duration // of the lease: gateways may stand still for so long

	others    map[drawbridge.PeerID]*other
	listening time.Duration // since when stations are listened to; 0: they are not
	sightings []Sighting    // Ago is when, here
	recused   time.Duration // until then
	hold      time.Duration // how long the last one lasted
}

// other is another gateway.
type other struct {
	report  Report
	at      time.Duration // of report; 0: none
	silent  time.Duration // since when it is not heard here; 0: it is
	finding Finding
	since   time.Duration // of finding
	due     time.Duration // when the next hello of ours was to leave then
	said    time.Duration // when one has left since; 0: none has
	told    Finding       // in an alarm
	toldAt  time.Duration // then
}

// patience is one of the times above in a network of this term: nobody stands still for long enough to be found mute, deaf or
// cut off by that alone.
func (c *Comparison) patience(usual time.Duration) time.Duration {
	return failover.Patience(usual, c.Term)
}

// Listen tells that stations are listened to from now on, or no longer.
func (c *Comparison) Listen(now time.Duration, on bool) {
	switch {
	case !on:
		c.listening, c.sightings = 0, nil
	case c.listening == 0:
		c.listening = now
	}
}

// Sight tells that a station was heard to say something to everybody, and when that reached this host, however long it waited here. The
// first one that is heard is news to the others.
func (c *Comparison) Sight(at time.Duration, station drawbridge.MAC) (news bool) {
	if c.listening == 0 || at < c.listening {
		return false // from before anything was wrong
	}
	news = len(c.sightings) == 0
	c.sightings = slices.DeleteFunc(c.sightings, func(s Sighting) bool { return s.MAC == station })
	c.sightings = slices.Insert(c.sightings, 0, Sighting{station, at})
	c.sightings = c.sightings[:min(len(c.sightings), maxSightings)]
	return news
}

// Told takes another gateway's report, as old as it is when it arrives.
func (c *Comparison) Told(now time.Duration, r Report) {
	o := c.other(r.From.Peer)
	o.report, o.at = r, now
}

func (c *Comparison) other(id drawbridge.PeerID) *other {
	if c.others == nil {
		c.others = map[drawbridge.PeerID]*other{}
	}
	o := c.others[id]
	if o == nil {
		o = &other{}
		c.others[id] = o
	}
	return o
}

// forget lets go of gateways that are gone. For as long as their alarms are not repeated they may come back.
func (c *Comparison) forget(now time.Duration, but []drawbridge.PeerID) {
	maps.DeleteFunc(c.others, func(id drawbridge.PeerID, o *other) bool {
		return now-o.at >= maxDelay && !slices.Contains(but, id)
	})
}

// Report is what to tell another gateway since the last Look; the caller adds what it knows of the segment and of its fitness. A
// gateway that is not heard here is told only what was heard since: before that nobody shows that this port hears, as it may be
// that this gateway stood still itself.
func (c *Comparison) Report(now time.Duration, own *Own, to drawbridge.PeerID) Report {
	r := Report{From: own.Port, Recused: c.Recused(now)}
	for _, n := range own.Hears {
		if !own.unsure(to) {
			r.Hears = append(r.Hears, n.Place)
		}
	}
	silent := c.other(to).silent
	for _, s := range c.sightings {
		if now-s.Ago < stationFor && s.Ago > silent {
			r.Stations = append(r.Stations, Sighting{s.MAC, now - s.Ago})
		}
	}
	return r
}

// Yielded tells that this gateway has left the segment to another one, as it was advised.
func (c *Comparison) Yielded(now time.Duration) {
	if c.hold == 0 || now > c.recused+c.hold {
		c.hold = recuseFirst / 2
	}
	c.hold = min(2*c.hold, recuseMost)
	c.recused = now + c.hold
}

// Recused reports whether this gateway left the segment to another one lately: then nobody leaves it to this one, and it asks for
// it last. If it has it all the same, nobody else took it, and it keeps it.
func (c *Comparison) Recused(now time.Duration) bool { return now < c.recused }

// RecusedTo is until when.
func (c *Comparison) RecusedTo() time.Duration { return c.recused }

// Look compares this gateway's port with those of others that can be reached over the overlay.
func (c *Comparison) Look(now time.Duration, own *Own, others []drawbridge.PeerID) (a Advice) {
	c.forget(now, others)
	for _, id := range others {
		if !own.bothWays(id) {
			a.Apart = true
		}
		o := c.other(id)
		if own.hears(id) {
			o.silent = 0
		} else if o.silent == 0 {
			o.silent = now
		}
		f := Whole
		if o.at > 0 && now-o.at < reportFor {
			f = c.judge(now, own, o)
		}
		if f != o.finding {
			o.finding, o.since, o.due, o.said = f, now, own.Spoke.Due, 0
		}
		o.speak(now, own)
		worse := f == Mute && o.said > 0 && o.at-o.said >= c.patience(muteFor) || f == Deaf || f == CutOff
		if a.Yield == 0 && worse && o.report.Fit && !o.report.Recused && !c.Recused(now) {
			a.Yield, a.Finding = id, f
		}
		if f != Whole && now-o.since >= alarmAfter && (f != o.told || now-o.toldAt >= maxDelay) {
			o.told, o.toldAt = f, now
			a.Alarms = append(a.Alarms, Alarm{Port: own.Port.Port, Reason: findingReasons[f], From: o.report.From, Text: f.String()})
		}
	}
	return a
}

// speak notes since when this port has not been heard although it spoke: since the finding, if its hellos left in time before it, else since
// the first one that has left after it. When the other one hears that, it says so at once.
func (o *other) speak(now time.Duration, own *Own) {
	switch s := own.Spoke; {
	case o.said > 0:
	case now == o.since:
		if !s.Overdue(now) && s.Late+deadAfter(Default.HelloActive) <= now {
			o.said = now
		}
	case s.Last >= o.due && s.Late >= o.since:
		o.said = s.Last
	case s.Last >= o.due:
		o.said = o.due
	}
}

// judge tells whose port is to blame. A third station settles it: who hears one is not deaf.
func (c *Comparison) judge(now time.Duration, own *Own, o *other) Finding {
	hears, heard := own.hears(o.report.From.Peer), o.hears(own.Port.Peer)
	alive, silence := c.hearsAnybody(now, own, o.report.From.Peer)
	theirs := o.hearsStations(now, own, c.listening)
	switch {
	case hears && (heard || own.bothWays(o.report.From.Peer)):
		// The hello that will say so is under way, or none comes any more: what was heard before a segment was split counts
		// for longer at the active gateway, and says nothing of its port. Only a hello that does not name it does.
		return Whole
	case hears && o.hearsAnybody(own):
		return Mute
	case hears && alive:
		return OtherDeaf // everybody is heard here, and nobody there
	case heard && alive:
		return OtherMute
	case heard && theirs && silence >= c.patience(deafFor):
		return Deaf
	case !hears && !heard && alive && o.hearsAnybody(own):
		return Split
	case !hears && !heard && alive:
		return OtherCutOff
	case !hears && !heard && theirs && silence >= c.patience(cutOffFor):
		return CutOff
	}
	return Unclear
}

// hearsAnybody reports whether this port has heard anybody but a gateway lately, and for how long it has not.
func (c *Comparison) hearsAnybody(now time.Duration, own *Own, but drawbridge.PeerID) (alive bool, silence time.Duration) {
	if slices.ContainsFunc(own.Hears, func(n Neighbour) bool { return n.Peer != but }) {
		return true, 0
	}
	last := c.listening
	if len(c.sightings) > 0 {
		last = max(last, c.sightings[0].Ago)
		alive = now-c.sightings[0].Ago < stationFor
	}
	if c.listening == 0 {
		return alive, 0
	}
	return alive, now - last
}

func (o *Own) hears(id drawbridge.PeerID) bool {
	return slices.ContainsFunc(o.Hears, func(n Neighbour) bool { return n.Peer == id })
}

// unsure reports whether some port of a gateway has fallen silent, and none is heard.
func (o *Own) unsure(id drawbridge.PeerID) bool {
	return !o.hears(id) && slices.ContainsFunc(o.Unsure, func(p Place) bool { return p.Peer == id })
}

func (o *Own) bothWays(id drawbridge.PeerID) bool {
	return slices.ContainsFunc(o.Hears, func(n Neighbour) bool { return n.Peer == id && n.BothWays })
}

func (o *other) hears(id drawbridge.PeerID) bool {
	return slices.ContainsFunc(o.report.Hears, func(p Place) bool { return p.Peer == id })
}

// hearsAnybody reports whether the other's port hears anything that did not come from here.
func (o *other) hearsAnybody(own *Own) bool {
	return slices.ContainsFunc(o.report.Hears, func(p Place) bool { return p.Peer != own.Port.Peer }) ||
		slices.ContainsFunc(o.report.Stations, func(s Sighting) bool { return !own.Ours(s.MAC) })
}

// hearsStations reports whether the other's port has heard, since a time, what ours would have heard if it were not deaf.
func (o *other) hearsStations(now time.Duration, own *Own, since time.Duration) bool {
	age := now - o.at
	return slices.ContainsFunc(o.report.Hears, func(p Place) bool { return p.Peer != own.Port.Peer }) ||
		slices.ContainsFunc(o.report.Stations, func(s Sighting) bool { return !own.Ours(s.MAC) && now-age-s.Ago >= since })
}
