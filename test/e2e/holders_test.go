package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
	"github.com/drawbridge-net/drawbridge/web"
)

// died notes that a node's processes are about to be killed: they tell no more what became of their gates, and hold nothing.
func (j *journals) died(node string) {
	j.ask(node, j.b.socket(node))
	j.note(node, "killed")
}

// note adds what the test does to a node's processes.
func (j *journals) note(node, kind string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, happening{node, web.Event{Kind: kind, Time: time.Now(), Text: "by the test"}})
}

// since are the events from a moment on, in their order.
func since(all []happening, from time.Time) []happening {
	i := slices.IndexFunc(all, func(h happening) bool { return !h.Time.Before(from) })
	if i < 0 {
		return nil
	}
	return all[i:]
}

// speechless is how long a process that goes on may take to tell what became of its gate meanwhile.
const speechless = time.Second

// silence is a time in which a node cannot tell when its gate shut: it stands still, or has just gone on.
type silence struct {
	thawed time.Time // zero: it stands still
	found  []string  // overlaps that may be none: the gate may have been shut before
}

// overlaps goes through the events of all nodes in the order of their instants, and names each moment at which a gate
// opened while another of the same segment was open. Events have the time at which the gate moved, not that of the telling. Of a node
// that was frozen and then killed before it said a word of its gate nobody knows how long that was open.
func overlaps(all []happening) (found []string) {
	open := map[string]map[string]happening{} // by segment, then node
	silent := map[string]*silence{}           // by node
	for _, h := range all {
		if s := silent[h.node]; s != nil {
			switch h.Kind {
			case "thawed":
				s.thawed = h.Time
			case "killed", "gate_open", "gate_shut", "regent", "started":
				if h.Kind != "killed" || !s.thawed.IsZero() && h.Time.Sub(s.thawed) > speechless {
					found = append(found, s.found...)
				}
				delete(silent, h.node)
			}
		}
		if h.Segment != "" && open[h.Segment] == nil {
			open[h.Segment] = map[string]happening{}
		}
		switch h.Kind {
		case "gate_open", "regent":
			for node, other := range open[h.Segment] {
				if node == h.node {
					continue
				}
				overlap := fmt.Sprintf("%v\n  while open: %v", h, other)
				if s := silent[node]; s != nil {
					s.found = append(s.found, overlap)
				} else {
					found = append(found, overlap)
				}
			}
			open[h.Segment][h.node] = h
		case "gate_shut":
			if was, ok := open[h.Segment][h.node]; ok && was.Epoch == h.Epoch {
				delete(open[h.Segment], h.node)
			}
		case "frozen":
			silent[h.node] = &silence{}
		case "killed", "started":
			for _, holders := range open {
				delete(holders, h.node)
			}
		}
	}
	for _, s := range silent {
		found = append(found, s.found...)
	}
	return found
}

// settled waits until everything that has happened was told, and returns it.
func (j *journals) settled() []happening {
	<-time.After(2 * askEvery) // what happened just now is told by then
	return j.now()
}

// alwaysOneHolder fails when the journals of all nodes together show two holders at one instant. What a busy node tells late, that
// its gate was shut before, may clear it: nothing that is told makes an overlap of true instants go away.
func (j *journals) alwaysOneHolder(t *testing.T) {
	t.Helper()
	found := overlaps(j.settled())
	for deadline := time.Now().Add(5 * time.Second); len(found) != 0 && time.Now().Before(deadline); {
		found = overlaps(j.settled())
	}
	for _, o := range found {
		t.Errorf("two holders at one instant:\n%s", o)
	}
}

// lapses are the ends of leases for want of answers.
func lapses(all []happening) (found []happening) {
	for _, h := range all {
		if h.Kind == "gate_shut" && strings.Contains(h.Reason, "no majority") {
			found = append(found, h)
		}
	}
	return found
}

// besideLapse is how long before the end of a lease the machine may have stood still for that to be the reason: two terms
// and what a report of it takes.
const besideLapse = 100 * time.Millisecond

// beside are the stalls that explain the end of a lease: no lease of a term of 40 ms outlives them.
func (h happening) beside(halt *netlab.Stalls) []netlab.Stall {
	return halt.Between(h.Time.Add(-besideLapse), h.Time)
}

// vacancy is a time without a holder, which a lease that ended for want of answers began.
type vacancy struct {
	lapse happening
	to    time.Time // when a gate opened again; zero: none has
}

// vacancies are those of one segment.
func vacancies(all []happening) (found []vacancy) {
	for _, h := range lapses(all) {
		v := vacancy{lapse: h}
		i := slices.IndexFunc(all, func(o happening) bool { return o.Kind == "gate_open" && o.Segment == h.Segment && o.Time.After(h.Time) })
		if i >= 0 {
			v.to = all[i].Time
		}
		found = append(found, v)
	}
	return found
}

// covers reports whether what was sent at that time may have found no holder, or may have had to find the new one.
func (v vacancy) covers(at time.Time) bool {
	return at.After(v.lapse.Time.Add(-busyBefore)) && (v.to.IsZero() || at.Before(v.to.Add(busyBefore)))
}

func (b *bed) socket(node string) string {
	for _, n := range b.Status().Nodes {
		if n.Name == node {
			return n.API
		}
	}
	return ""
}

// TestOverlapsAreFound: the check itself is worth what it finds.
func TestOverlapsAreFound(t *testing.T) {
	at := func(ms int, node, kind, epoch string) happening {
		return happening{node, web.Event{Time: time.UnixMilli(int64(ms)), Kind: kind, Segment: "office", Epoch: epoch}}
	}
	done := func(ms int, kind string) happening { // by the test, to a
		return happening{"a", web.Event{Time: time.UnixMilli(int64(ms)), Kind: kind}}
	}
	for name, c := range map[string]struct {
		all  []happening
		want int
	}{
		"one after the other":     {[]happening{at(1, "a", "gate_open", "1.1"), at(2, "a", "gate_shut", "1.1"), at(3, "b", "gate_open", "1.2")}, 0},
		"both":                    {[]happening{at(1, "a", "gate_open", "1.1"), at(2, "b", "gate_open", "1.2"), at(3, "a", "gate_shut", "1.1")}, 1},
		"a regent beside a lease": {[]happening{at(1, "a", "regent", "1.1"), at(2, "b", "gate_open", "1.2")}, 1},
		"another tenure's end":    {[]happening{at(1, "a", "gate_open", "1.2"), at(2, "a", "gate_shut", "1.1"), at(3, "b", "gate_open", "1.3")}, 1},
		"killed":                  {[]happening{at(1, "a", "gate_open", "1.1"), done(2, "killed"), at(3, "b", "gate_open", "1.2")}, 0},
		"frozen, killed":          {[]happening{at(1, "a", "gate_open", "1.1"), done(2, "frozen"), at(3, "b", "gate_open", "1.2"), done(4, "killed")}, 0},
		"frozen, thawed, killed at once": {
			[]happening{at(1, "a", "gate_open", "1.1"), done(2, "frozen"), at(3, "b", "gate_open", "1.2"), done(700, "thawed"), done(709, "killed")}, 0,
		},
		"frozen, thawed, killed when it could have told": {
			[]happening{at(1, "a", "gate_open", "1.1"), done(2, "frozen"), at(3, "b", "gate_open", "1.2"), done(700, "thawed"), done(1701, "killed")}, 1,
		},
		"frozen, and it told that it was shut too late": {
			[]happening{at(1, "a", "gate_open", "1.1"), done(2, "frozen"), at(3, "b", "gate_open", "1.2"), at(4, "a", "gate_shut", "1.1"), done(5, "killed")}, 1,
		},
		"frozen, and it never told":         {[]happening{at(1, "a", "gate_open", "1.1"), done(2, "frozen"), at(3, "b", "gate_open", "1.2"), done(4, "thawed")}, 1},
		"open before it was frozen":         {[]happening{at(1, "a", "gate_open", "1.1"), at(2, "b", "gate_open", "1.2"), done(3, "frozen"), done(4, "killed")}, 1},
		"frozen before its next tenure":     {[]happening{done(1, "frozen"), at(2, "a", "gate_open", "1.1"), at(3, "b", "gate_open", "1.2"), done(4, "killed")}, 1},
		"another one was frozen":            {[]happening{at(1, "b", "gate_open", "1.1"), done(2, "frozen"), at(3, "c", "gate_open", "1.2"), done(4, "killed")}, 1},
		"opened by the one that was frozen": {[]happening{at(1, "b", "gate_open", "1.1"), done(2, "frozen"), at(3, "a", "gate_open", "1.2"), done(4, "killed")}, 1},
	} {
		if got := overlaps(c.all); len(got) != c.want {
			t.Errorf("%s: %d found, want %d: %v", name, len(got), c.want, got)
		}
	}
}

// TestVacanciesAreFound: they excuse what is lost in them, and nothing else.
func TestVacanciesAreFound(t *testing.T) {
	at := func(ms int, node, kind, reason string) happening {
		return happening{node, web.Event{Time: time.UnixMilli(int64(ms)), Kind: kind, Segment: "office", Reason: reason}}
	}
	all := []happening{
		at(1000, "a", "gate_open", ""), at(2000, "a", "gate_shut", "moved to b"), at(2002, "b", "gate_open", ""),
		at(3000, "b", "gate_shut", "no majority of the voters answered"), at(3045, "a", "gate_open", ""),
		at(4000, "a", "gate_shut", "no majority of the voters answered"),
	}
	found := vacancies(all)
	if len(found) != 2 || found[0].lapse.node != "b" || !found[0].to.Equal(time.UnixMilli(3045)) || !found[1].to.IsZero() {
		t.Fatalf("found %v", found)
	}
	for ms, want := range map[int64]bool{2001: false, 2940: false, 2990: true, 3040: true, 3060: true, 3100: false, 3990: false, 9000: false} {
		if got := found[0].covers(time.UnixMilli(ms)); got != want {
			t.Errorf("at %d ms: %v", ms, got)
		}
	}
	if !found[1].covers(time.UnixMilli(9000)) {
		t.Error("a lease that nobody has taken since excuses nothing")
	}
}
