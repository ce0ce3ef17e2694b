package microscope

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

var (
	start  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	guest  = web.LoopEnd{At: web.AtPort, Port: "tap0", Peer: "a"}
	office = web.LoopEnd{At: web.AtSegment, Port: "eth1", Peer: "b", Segment: "office"}
)

func circle(heard, known web.LoopEnd, count uint64, last time.Duration, circling bool) web.Circle {
	return web.Circle{Source: "02:00:00:00:00:01", VNI: 1, Heard: heard, Known: known, Count: count, Circling: circling, Since: start, Last: start.Add(last)}
}

func TestALoopBeginsAndEndsOnce(t *testing.T) {
	var w Watch
	for _, step := range []struct {
		name         string
		at           time.Duration
		circles      []web.Circle
		began, ended int
	}{
		{"nothing", 0, nil, 0, 0},
		{"a guest that moved is no loop", time.Second, []web.Circle{circle(guest, office, 3, time.Second, false)}, 0, 0},
		{"it goes round", 2 * time.Second, []web.Circle{circle(guest, office, 12, 2*time.Second, true)}, 1, 0},
		{"the other way, too", 3 * time.Second, []web.Circle{circle(guest, office, 20, 3*time.Second, true), circle(office, guest, 15, 3*time.Second, true)}, 0, 0},
		{"a pause is no end", 20 * time.Second, []web.Circle{circle(guest, office, 20, 3*time.Second, false)}, 0, 0},
		{"it goes on", 25 * time.Second, []web.Circle{circle(guest, office, 21, 25*time.Second, true)}, 0, 0},
		{"it is over", 55 * time.Second, []web.Circle{circle(guest, office, 21, 25*time.Second, false)}, 0, 1},
		{"it stays over", 60 * time.Second, []web.Circle{circle(guest, office, 21, 25*time.Second, false)}, 0, 0},
		{"it comes back", 70 * time.Second, []web.Circle{circle(guest, office, 22, 70*time.Second, true)}, 1, 0},
	} {
		began, ended := w.Look(start.Add(step.at), step.circles)
		if len(began) != step.began || len(ended) != step.ended {
			t.Fatalf("%s: began %v, ended %v", step.name, began, ended)
		}
		if step.ended == 1 && (ended[0].Copies != 35 || ended[0].Last != start.Add(25*time.Second) || ended[0].Segment() != "office") {
			t.Errorf("%s: %+v", step.name, ended[0])
		}
	}
	if on := w.On(); len(on) != 1 || on[0].Heard != guest {
		t.Errorf("on: %v", on)
	}
}

func TestLoopsOfOverlaysAreApart(t *testing.T) {
	var w Watch
	other := circle(guest, office, 12, 0, true)
	other.VNI = 2
	if began, _ := w.Look(start, []web.Circle{circle(guest, office, 12, 0, true), other}); len(began) != 2 {
		t.Errorf("%v", began)
	}
}
