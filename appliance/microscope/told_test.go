package microscope

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

func toldCircle(n byte) web.Circle {
	c := circle(guest, office, uint64(n)+1, time.Duration(n)*time.Second, n == 0)
	c.Destination, c.Type, c.Loop = "ff:ff:ff:ff:ff:ff", "0806", c.Count >= Enough
	return c
}

func TestTellFits(t *testing.T) {
	var all []web.Circle
	for n := range byte(200) {
		all = append(all, toldCircle(n))
	}
	for _, limit := range []int{200, 1000, 8192, 1 << 20} {
		b := Tell(all, start, limit)
		told, err := Parse(b, start)
		if err != nil || len(b) > limit || len(told.Circles)+told.LeftOut != len(all) {
			t.Fatalf("limit %d: %d bytes, %d told, %d left out, %v", limit, len(b), len(told.Circles), told.LeftOut, err)
		}
		if n := len(told.Circles); n > 0 && (!reflect.DeepEqual(told.Circles, all[:n]) || !told.Circling()) {
			t.Errorf("limit %d: not the newest ones", limit)
		}
	}
	if b := Tell(nil, start, 10); b != nil {
		t.Errorf("%s", b)
	}
}

func TestTimesAreOfTheReadersClock(t *testing.T) {
	hour := start.Add(time.Hour)
	told, err := Parse(Tell([]web.Circle{toldCircle(0)}, start.Add(5*time.Second), 4096), hour)
	if err != nil || hour.Sub(told.Circles[0].Last) != 5*time.Second {
		t.Errorf("%+v, %v", told, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(Tell([]web.Circle{toldCircle(0)}, start, 4096))
	if _, err := Parse([]byte(good), start); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Told){
		"another format":   func(t *Told) { t.Format = 2 },
		"no address":       func(t *Told) { t.Circles[0].Source = "x" },
		"a long address":   func(t *Told) { t.Circles[0].Destination = "02:00:00:00:00:00:00:01" },
		"no type":          func(t *Told) { t.Circles[0].Type = "" },
		"no such end":      func(t *Told) { t.Circles[0].Known.At = "moon" },
		"a long name":      func(t *Told) { t.Circles[0].Heard.Port = good },
		"too many":         func(t *Told) { t.Circles = make([]web.Circle, maxCircles+1) },
		"less than no one": func(t *Told) { t.LeftOut = -1 },
	} {
		bad := Told{Format: Format, Now: start, Circles: []web.Circle{toldCircle(0)}}
		change(&bad)
		if _, err := Parse(encode(t, bad), start); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func encode(t *testing.T, v Told) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzParse(f *testing.F) {
	f.Add(Tell(nil, start, 4096))
	f.Add(Tell([]web.Circle{toldCircle(0), toldCircle(1)}, start, 4096))
	f.Add([]byte(`{"format":1,"circles":[{"source":"02:00:00:00:00:01"}],"left_out":-1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		told, err := Parse(b, start)
		if err != nil {
			return
		}
		for _, c := range told.Circles {
			_, _ = c.Heard.String(), c.Known.Name()
		}
		if again := Tell(told.Circles, start, 8192); again != nil {
			if _, err := Parse(again, start); err != nil {
				t.Errorf("what was read is refused when it is told again: %v", err)
			}
		}
	})
}
