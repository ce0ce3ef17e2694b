package microscope

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

func tap(name, peer string) web.LoopEnd { return web.LoopEnd{At: web.AtPort, Port: name, Peer: peer} }
func at(peer string) web.LoopEnd        { return web.LoopEnd{At: web.AtPeer, Peer: peer} }

func heardBy(by string, heard, known web.LoopEnd) Heard {
	return Heard{by, web.Circle{Source: "02:00:00:00:00:01", VNI: 1, Heard: heard, Known: known}}
}

func TestJoinTakesTheEndsFromWhoeverKnowsThem(t *testing.T) {
	w, x, y := tap("w1", "w"), tap("x1", "x"), tap("y1", "y")
	for _, c := range []struct {
		name  string
		heard []Heard
		want  string
	}{
		{"nobody", nil, ""},
		{"one peer alone", []Heard{heardBy("w", w, at("x"))}, "peer x and port w1 of w"},
		{"two peers, each its own port", []Heard{heardBy("w", w, at("x")), heardBy("x", x, at("w"))}, "port w1 of w and port x1 of x"},
		{"the other way round", []Heard{heardBy("w", at("x"), w), heardBy("x", at("w"), x)}, "port w1 of w and port x1 of x"},
		{"a third one that only passes it on", []Heard{heardBy("y", at("w"), at("x")), heardBy("w", w, at("x")), heardBy("x", x, at("w"))}, "port w1 of w and port x1 of x"},
		{"a guest and a segment", []Heard{heardBy("w", w, office), heardBy("b", office, at("w"))}, "port w1 of w and segment office"},
		{"the gateway alone", []Heard{heardBy("b", office, at("w"))}, "peer w and segment office"},
		{"two loops", []Heard{heardBy("w", w, at("x")), heardBy("x", x, at("w")), heardBy("y", y, at("w"))}, "peer w and port y1 of y, as well as port w1 of w and port x1 of x"},
		{"two ports of one peer", []Heard{heardBy("w", w, tap("w2", "w"))}, "port w1 of w and port w2 of w"},
	} {
		if got := Places(Join(c.heard)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOverlaysAreNotMixed(t *testing.T) {
	other := heardBy("x", tap("x1", "x"), at("w"))
	other.VNI = 2
	if got := Join([]Heard{heardBy("w", tap("w1", "w"), at("x")), other}); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// Whatever is heard, and in whatever order: the same places, none twice, and none without somebody who hears it.
func TestJoinIsTheSameInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"w", "x", "y"}
	for range 2000 {
		var heard []Heard
		for range random.IntN(8) {
			by := names[random.IntN(3)]
			ends := []web.LoopEnd{tap("1", by), tap("2", by), at(names[random.IntN(3)]), office}
			heard = append(heard, heardBy(by, ends[random.IntN(4)], ends[random.IntN(4)]))
		}
		got := Join(heard)
		if (len(got) == 0) != (len(heard) == 0) {
			t.Fatalf("%v of %v", got, heard)
		}
		random.Shuffle(len(heard), func(i, j int) { heard[i], heard[j] = heard[j], heard[i] })
		again := Join(heard)
		if len(again) != len(got) {
			t.Fatalf("%v, then %v of %v", got, again, heard)
		}
		for i, j := range got {
			for _, k := range got[i+1:] {
				if same(j, k) {
					t.Fatalf("%v twice of %v", j, heard)
				}
			}
		}
	}
}

func TestPlacesAreFew(t *testing.T) {
	var many []Joined
	for _, n := range []string{"a", "b", "c", "d"} {
		many = append(many, Joined{at(n), at("z")})
	}
	if got := Places(many); got != "peer a and peer z, as well as peer b and peer z, as well as peer c and peer z, and other places" {
		t.Error(got)
	}
	if got := Places(many[:1]); got != "peer a and peer z" || !reflect.DeepEqual(many[0], Joined{at("a"), at("z")}) {
		t.Error(got)
	}
}
