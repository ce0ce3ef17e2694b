package sim

import "fmt"

// station is a host of a VLAN or a guest of a peer. It speaks by schedule and counts what it hears.
type station struct {
	w     *world
	index int
	name  string
	mac   mac
	jack  *jack
}

// record is what became of one probe.
type record struct {
	flow      *flow
	sequence  int
	sent      int64
	got       [maxStations / 2]uint16  // by station
	written   [maxSegments + 1]writing // to each segment, by gateways
	captured  int                      // how often switches took it in
	forgiving bool                     // copies are excused
}

// flow is a series of probes from one station to another, or to all.
type flow struct {
	w        *world
	index    int
	from, to *station // to nil: all
	segment  *segment // whose gateway it needs
	pace     int64
	sequence int
	lastGot  int64
	gap      int64 // longest silence since the mark
	gapFrom  int64
	sent     int // since the mark
	got      int
}

func (w *world) newMAC() mac {
	w.macs++
	return w.macs - 1
}

func (w *world) newStation(name string, on *ethernet) *station {
	s := &station{w: w, index: len(w.stations), name: name, mac: w.newMAC()}
	s.jack = on.plug(s.hears)
	w.stations = append(w.stations, s)
	return s
}

func (w *world) newFlows() {
	for _, s := range w.segments {
		for _, l := range w.lans {
			if l.port.vni == s.vni {
				w.addFlow(s.host, l.guest, s, w.plan.Pace)
				w.addFlow(l.guest, s.host, s, w.plan.Pace)
				w.addFlow(l.guest, nil, s, 7*w.plan.Pace)
			}
		}
		w.addFlow(s.host, nil, s, 7*w.plan.Pace)
	}
}

func (w *world) addFlow(from, to *station, s *segment, pace int64) {
	f := &flow{w: w, index: len(w.flows), from: from, to: to, segment: s, pace: pace}
	w.flows = append(w.flows, f)
	w.after(w.rnd.Int64N(pace), f.probe)
}

// cut reports whether the guest's own peer does not run, or listens before it carries anything.
func (f *flow) cut() bool {
	for _, l := range f.w.lans {
		if f.from == l.guest || f.to == l.guest {
			n := l.port.n
			return !n.alive() || !n.alone.IsClear(n.since(), l.port.id, 0)
		}
	}
	return false
}

func (f *flow) String() string {
	to := "all"
	if f.to != nil {
		to = f.to.name
	}
	return fmt.Sprintf("%s to %s", f.from.name, to)
}

// probe sends the next probe, and plans the one after it.
func (f *flow) probe() {
	w := f.w
	f.sequence++
	f.sent++
	dst := everybody
	if f.to != nil {
		dst = f.to.mac
	}
	r := &record{flow: f, sequence: f.sequence, sent: w.now, forgiving: w.excuse.now(w.now)}
	f.from.jack.send(&frame{src: f.from.mac, dst: dst, kind: probe, record: r})
	w.after(f.pace*w.slow()-f.pace/16+w.rnd.Int64N(f.pace/8), f.probe)
}

// slowdown is how much rarer probes are while nothing happens.
const slowdown = 20

// slow stretches the time between probes while nothing happens.
func (w *world) slow() int64 {
	if w.now < w.quickUntil {
		return 1
	}
	return slowdown
}

// hears counts a frame.
func (s *station) hears(f *frame) {
	if f.kind != probe || f.dst != everybody && f.dst != s.mac {
		return
	}
	r, w := f.record, s.w
	r.got[s.index]++
	if n := int(r.got[s.index]); n > 1 {
		w.checkCopy(r, s, n)
	}
	fl := r.flow
	if fl.from == s {
		w.checkLoop(r, s)
		return
	}
	if fl.to == s {
		fl.arrived(w.now)
	}
}

func (f *flow) arrived(now int64) {
	if gap := now - f.lastGot; gap > f.gap {
		f.gap, f.gapFrom = gap, f.lastGot
	}
	f.lastGot = now
	f.got++
}

// mark begins a measurement.
func (w *world) mark() {
	for _, f := range w.flows {
		f.gap, f.sent, f.got, f.lastGot = 0, 0, 0, w.now
	}
}

// silence is the longest of all flows over a segment since the mark.
func (w *world) silence(s *segment) (longest int64, of *flow) {
	for _, f := range w.flows {
		if f.segment != s || f.to == nil || f.cut() {
			continue
		}
		gap := max(f.gap, w.now-f.lastGot)
		if gap > longest {
			longest, of = gap, f
		}
	}
	return longest, of
}
