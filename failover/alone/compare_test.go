package alone

import (
	"reflect"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

var (
	theHost  = drawbridge.MAC{2, 0, 0, 0, 0, 1}
	theGuest = drawbridge.MAC{2, 0, 0, 0, 0, 2} // whose words reach the wire through this gateway
)

// pairing is gateway 1, active, which compares with gateway 2.
type pairing struct {
	c      Comparison
	now    time.Duration
	own    Own
	theirs Report
	hear   drawbridge.MAC // said by somebody every 50 ms, and heard here
	advice Advice
	alarms []Alarm
}

func newPairing() *pairing {
	return &pairing{
		now: time.Hour,
		own: Own{
			Port: Place{1, 1}, Hears: []Neighbour{{Place: Place{2, 1}, BothWays: true}},
			Ours:  func(m drawbridge.MAC) bool { return m == theGuest },
			Spoke: Spoke{Due: 2 * time.Hour}, // in time
		},
		theirs: Report{From: Place{2, 1}, Fit: true, Hears: []Place{{1, 1}}},
	}
}

// mute has the other gateway hear a host and not this one, and say so in hellos and reports.
func (w *pairing) mute() {
	w.own.Hears[0].BothWays = false
	w.theirs.Hears, w.theirs.Stations = nil, []Sighting{{theHost, 0}}
}

// pass lets time go by, as the driver does, until there is advice to yield.
func (w *pairing) pass(d time.Duration) {
	for end := w.now + d; w.now < end && w.advice.Yield == 0; w.now += ReportEvery {
		w.advice = w.c.Look(w.now, &w.own, []drawbridge.PeerID{2})
		w.alarms = append(w.alarms, w.advice.Alarms...)
		w.c.Listen(w.now, w.advice.Apart)
		if w.hear != (drawbridge.MAC{}) {
			w.c.Sight(w.now, w.hear)
		}
		w.c.Told(w.now, w.theirs)
	}
}

// TestWhoseEndIsToBlame goes through what each end may hear, and says when the active gateway is to leave the segment.
func TestWhoseEndIsToBlame(t *testing.T) {
	host := []Sighting{{theHost, 10 * time.Millisecond}}
	for name, c := range map[string]struct {
		hears, heard bool // this gateway the other one, and the reverse
		here         drawbridge.MAC
		there        []Sighting
		want         Finding
		yields       bool
		within       time.Duration
	}{
		"both hear each other":                   {true, true, theHost, host, Whole, false, 0},
		"mute":                                   {true, false, drawbridge.MAC{}, host, Mute, true, 200 * time.Millisecond},
		"mute, hosts are heard here":             {true, false, theHost, host, Mute, true, 200 * time.Millisecond},
		"not heard, nobody speaks":               {true, false, drawbridge.MAC{}, nil, Unclear, false, 0},
		"the other is deaf":                      {true, false, theHost, nil, OtherDeaf, false, 0},
		"the other hears what comes from here":   {true, false, drawbridge.MAC{}, []Sighting{{theGuest, 0}}, Unclear, false, 0},
		"deaf":                                   {false, true, drawbridge.MAC{}, host, Deaf, true, 300 * time.Millisecond},
		"deaf, or only the other mute, no third": {false, true, drawbridge.MAC{}, nil, Unclear, false, 0},
		"the other hears only what is said here": {false, true, drawbridge.MAC{}, []Sighting{{theGuest, 0}}, Unclear, false, 0},
		"the other is mute":                      {false, true, theHost, host, OtherMute, false, 0},
		"split":                                  {false, false, theHost, host, Split, false, 0},
		"the other is cut off":                   {false, false, theHost, nil, OtherCutOff, false, 0},
		"cut off":                                {false, false, drawbridge.MAC{}, host, CutOff, true, 3200 * time.Millisecond},
		"nothing is heard anywhere":              {false, false, drawbridge.MAC{}, nil, Unclear, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPairing()
			w.own.Hears[0].BothWays = c.hears && c.heard
			if !c.hears {
				w.own.Hears = nil
			}
			if !c.heard {
				w.theirs.Hears = nil
			}
			w.hear, w.theirs.Stations = c.here, c.there
			began := w.now
			w.pass(20 * time.Second)
			if (w.advice.Yield == 2) != c.yields || c.yields && w.advice.Finding != c.want {
				t.Fatalf("advice %+v, want %v", w.advice, c.want)
			}
			if took := w.now - began; c.yields && took > c.within {
				t.Errorf("took %v, want at most %v", took, c.within)
			}
			if c.yields || c.want == Whole {
				return
			}
			if len(w.alarms) != 1 || w.alarms[0].Reason != findingReasons[c.want] {
				t.Errorf("alarms %+v, want one of %v", w.alarms, c.want)
			}
		})
	}
}

// TestASplitIsNoMutePort: the other gateway misses the hellos of the active one first, which come more often. Its own last one
// still counts here then, but it was said when all was well.
func TestASplitIsNoMutePort(t *testing.T) {
	w := newPairing()
	w.theirs.Hears, w.theirs.Stations = nil, []Sighting{{theHost, 10 * time.Millisecond}}
	w.pass(time.Second)
	if w.advice.Yield != 0 {
		t.Errorf("%+v although no hello said that this port is not heard", w.advice)
	}
}

func TestNobodyYieldsToWhoCouldNotDoBetter(t *testing.T) {
	for name, change := range map[string]func(*pairing){
		"unfit":          func(w *pairing) { w.theirs.Fit = false },
		"left it itself": func(w *pairing) { w.theirs.Recused = true },
		"silent": func(w *pairing) {
			w.pass(time.Millisecond)
			w.theirs.From.Peer = 3 // somebody else talks
		},
	} {
		w := newPairing()
		w.mute()
		if change(w); w.advice.Yield != 0 {
			t.Fatalf("%s: yields at once", name)
		}
		if w.pass(10 * time.Second); w.advice.Yield != 0 {
			t.Errorf("%s: %+v", name, w.advice)
		}
	}
}

// TestSegmentIsLeftOnce: whoever has it again because nobody took it keeps it for a while.
func TestSegmentIsLeftOnce(t *testing.T) {
	w := newPairing()
	w.mute()
	if w.pass(time.Second); w.advice.Yield != 2 {
		t.Fatalf("%+v", w.advice)
	}
	w.c.Yielded(w.now)
	w.advice = Advice{}
	if w.pass(recuseFirst - time.Second); w.advice.Yield != 0 {
		t.Error("left again at once")
	}
	if w.pass(2 * time.Second); w.advice.Yield != 2 {
		t.Error("kept for good")
	}
}

// TestBusyHostKeepsItsSegment: one report that says that it was silent is not enough.
func TestBusyHostKeepsItsSegment(t *testing.T) {
	w := newPairing()
	w.theirs.Stations = []Sighting{{theHost, 0}}
	for range 50 {
		w.mute()
		w.pass(1) // one look
		w.theirs.Hears, w.own.Hears[0].BothWays = []Place{{1, 1}}, true
		w.pass(100 * time.Millisecond)
	}
	if w.advice.Yield != 0 {
		t.Errorf("%+v", w.advice)
	}
}

func TestRecusalLastsLongerEachTime(t *testing.T) {
	var c Comparison
	now, last := time.Hour, time.Duration(0)
	for range 12 {
		c.Yielded(now)
		d := time.Duration(0)
		for ; c.Recused(now + d); d += time.Second {
		}
		if d < last || d < recuseFirst || d > recuseMost {
			t.Fatalf("recused for %v after %v", d, last)
		}
		last = d
		now += d + time.Second
	}
	if last != recuseMost {
		t.Errorf("at last for %v", last)
	}
	now += 3 * recuseMost
	if c.Yielded(now); c.Recused(now + recuseFirst) {
		t.Error("a long time ago still counts")
	}
}

func TestReportIsReadAsWritten(t *testing.T) {
	r := Report{
		From: Place{7, 3}, Segment: 9, Fit: true, Recused: true, Hears: []Place{{1, 2}, {3, 4}},
		Stations: []Sighting{{theHost, 5 * time.Millisecond}, {theGuest, time.Second}},
	}
	got, err := ParseReport(7, r.Append(nil))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range len(r.Append(nil)) {
		if _, err := ParseReport(7, r.Append(nil)[:n]); err == nil {
			t.Errorf("%d octets were taken", n)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	r := Report{From: Place{7, 3}, Segment: 9, Hears: []Place{{1, 2}}, Stations: []Sighting{{theHost, 0}}}
	f.Add(r.Append(nil))
	f.Add([]byte{1, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseReport(7, b); err == nil && len(r.Append(nil)) != len(b) {
			t.Errorf("%x is read as %+v", b, r)
		}
	})
}
