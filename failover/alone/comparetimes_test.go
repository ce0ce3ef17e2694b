package alone

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// severed has neither gateway hear the other, and the other one a host.
func (w *pairing) severed() {
	w.own.Hears, w.theirs.Hears, w.theirs.Stations = nil, nil, []Sighting{{theHost, 0}}
}

// TestSegmentIsNotLeftBeforeItsTime: a part of a split segment may only be quiet for a while, and a host busy. The
// times are those of docs/protocol/alone.md, "Comparing".
func TestSegmentIsNotLeftBeforeItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*pairing)
		least  time.Duration
	}{
		"mute": {(*pairing).mute, 50 * time.Millisecond},
		"deaf": {func(w *pairing) {
			w.own.Hears, w.theirs.Stations = nil, []Sighting{{theHost, 0}}
		}, 175 * time.Millisecond},
		"cut off": {(*pairing).severed, 3 * time.Second},
	} {
		// Where leases last for longer than by default, gateways may stand still for as much longer.
		for term, longer := range map[time.Duration]time.Duration{0: 0, 40 * time.Millisecond: 0, 3 * time.Second: 2960 * time.Millisecond} {
			w := newPairing()
			w.c.Term = term
			c.change(w)
			began, least := w.now, c.least+longer
			if w.pass(20 * time.Second); w.advice.Yield != 2 || w.now-began < least || w.now-began > least+5*ReportEvery {
				t.Errorf("%s, term %v: %+v after %v, want not before %v", name, term, w.advice, w.now-began, least)
			}
		}
	}
}

// TestReportsInOneBreathAreOneReport: the other gateway tells at once what is new to it, and may do so twice within a millisecond.
func TestReportsInOneBreathAreOneReport(t *testing.T) {
	w := newPairing()
	w.mute()
	began := w.now
	for w.advice.Yield == 0 && w.now-began < time.Second {
		w.c.Told(w.now, w.theirs)
		w.advice = w.c.Look(w.now, &w.own, []drawbridge.PeerID{2})
		w.now += time.Millisecond
	}
	if took := w.now - began; w.advice.Yield != 2 || took < 50*time.Millisecond {
		t.Errorf("%+v after %v", w.advice, took)
	}
}

// TestReportGrowsOld: who says nothing any more could not take the segment.
func TestReportGrowsOld(t *testing.T) {
	w := newPairing()
	w.severed()
	w.pass(time.Second)
	for range 200 {
		w.now += ReportEvery
		if a := w.c.Look(w.now, &w.own, []drawbridge.PeerID{2}); a.Yield != 0 {
			t.Fatalf("%+v, and the last report is %v old", a, w.now-time.Hour-time.Second)
		}
	}
}

// TestSilenceCountsFromTheLastWord: a host that spoke here shows that the port hears, for a second, and that it did not hear
// nothing before.
func TestSilenceCountsFromTheLastWord(t *testing.T) {
	w := newPairing()
	w.severed()
	w.hear = theHost
	w.pass(2 * time.Second)
	last := w.now
	w.hear = drawbridge.MAC{}
	w.pass(20 * time.Second)
	if took := w.now - last; w.advice.Finding != CutOff || took < cutOffFor-ReportEvery || took > cutOffFor+4*ReportEvery {
		t.Errorf("%+v after %v of silence", w.advice, took)
	}
}

func TestStationsOfBeforeAreNoNews(t *testing.T) {
	var c Comparison
	own := newPairing().own
	if c.Sight(time.Hour, theHost) || len(c.Report(time.Hour, &own, 2).Stations) != 0 {
		t.Error("a station counts that was heard when nothing was wrong")
	}
}

// TestThirdGatewayIsAWitness: the port hears it, and so is not deaf.
func TestThirdGatewayIsAWitness(t *testing.T) {
	w := newPairing()
	w.own.Hears = []Neighbour{{Place: Place{3, 1}}}
	w.theirs.Stations = []Sighting{{theHost, 0}}
	w.pass(20 * time.Second)
	if w.advice.Yield != 0 || len(w.alarms) != 1 || w.alarms[0].Reason != findingReasons[OtherMute] {
		t.Errorf("%+v, alarms %+v", w.advice, w.alarms)
	}
}
