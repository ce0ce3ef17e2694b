package forwarder

import (
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

func TestTurnsSurviveTheTripAndNothingElseIsOne(t *testing.T) {
	want := Turn{Segment: 5, Origin: 9, Source: 3, Number: 7}
	f := want.frame()
	if got, ok := parseTurn(9, f); !ok || got != want {
		t.Errorf("%+v became %+v, %v", want, got, ok)
	}
	if why, ok := admit(f); ok || why != dropBadSource {
		t.Error("software that does not know turns would forward one")
	}
	for what, change := range map[string]func(drawbridge.Frame) drawbridge.Frame{
		"short":    func(f drawbridge.Frame) drawbridge.Frame { return f[:turnSize-1] },
		"a source": func(f drawbridge.Frame) drawbridge.Frame { f[11] = 1; return f },
		"no magic": func(f drawbridge.Frame) drawbridge.Frame { f[14] = 0; return f },
	} {
		if _, ok := parseTurn(9, change(want.frame())); ok {
			t.Errorf("a turn although %s", what)
		}
	}
}

func FuzzTurn(f *testing.F) {
	f.Add([]byte((&Turn{Segment: 1, Source: 2, Number: 3}).frame()))
	f.Fuzz(func(t *testing.T, b []byte) {
		turn, ok := parseTurn(4, b)
		if !ok {
			return
		}
		if again, ok := parseTurn(4, turn.frame()); !ok || again != turn {
			t.Errorf("%+v became %+v", turn, again)
		}
	})
}

// basin is a mesh that keeps what is sent.
type basin struct{ sent *[]poured }

type poured struct {
	to   drawbridge.PeerID
	turn bool
}

func (s basin) Sender() Sender          { return s }
func (basin) MTU(drawbridge.PeerID) int { return 9000 }
func (basin) Flush()                    {}
func (basin) Close()                    {}
func (s basin) Send(h *drawbridge.Header, p *drawbridge.Packet) {
	_, turn := parseTurn(1, p.Frame)
	*s.sent = append(*s.sent, poured{h.Dest, turn})
}

// TestAPumpTellsBothGatewaysWhenItTurns: the old one behind the last frame, the new one before the first.
func TestAPumpTellsBothGatewaysWhenItTurns(t *testing.T) {
	var sent []poured
	s := New(Config{Self: 1, Overlay: basin{&sent}})
	u := newPump(&Attached{sw: s, cfg: PortConfig{VNI: 1}}, nil)
	g := s.segment(5, 1)
	turnTo := func(p drawbridge.PeerID) {
		if u.last.segment != g || u.last.gateway != p {
			u.turn(g, p)
		}
	}
	for _, gateway := range []drawbridge.PeerID{2, 2, 3, 3, 2} {
		turnTo(gateway)
	}
	want := []poured{{2, true}, {3, true}, {3, true}, {2, true}}
	if len(sent) != len(want) {
		t.Fatalf("%+v", sent)
	}
	for i := range want {
		if sent[i] != want[i] {
			t.Errorf("%d: %+v, want %+v", i, sent[i], want[i])
		}
	}
}

// recorder is a holder that says what it was told.
type recorder struct {
	turns []Turn
	kept  int
}

func (r *recorder) Captured(ps []drawbridge.Packet) []drawbridge.Packet {
	r.kept += len(ps)
	return nil
}
func (r *recorder) Injected(ps []drawbridge.Packet, _ []bool) []drawbridge.Packet { return ps }
func (r *recorder) Turned(t Turn)                                                 { r.turns = append(r.turns, t) }

// TestTurnsReachTheHolderOfTheSegmentAlone: from the mesh, to this peer alone, for a segment that has a port here.
func TestTurnsReachTheHolderOfTheSegmentAlone(t *testing.T) {
	var sent []poured
	s := New(Config{Self: 1, Overlay: basin{&sent}})
	g, h := s.segment(5, 1), &recorder{}
	a := &Attached{sw: s, cfg: PortConfig{VNI: 1, Segment: 5}, segment: g}
	g.port.Store(a)
	a.SetHolder(h)
	s.setPorts(func(all map[drawbridge.VNI][]*Attached) { all[1] = []*Attached{a} })
	turn := Turn{Segment: 5, Origin: 9, Source: 3, Number: 7}
	r := s.Receiver()
	for _, dest := range []drawbridge.PeerID{1, 0} {
		r.Deliver(&drawbridge.Header{Origin: 9, Dest: dest, VNI: 1}, &drawbridge.Packet{Frame: turn.frame()})
		r.Flush()
	}
	if len(h.turns) != 1 || h.turns[0] != turn {
		t.Errorf("%+v", h.turns)
	}
	a.SetHolder(nil)
	r.Deliver(&drawbridge.Header{Origin: 9, Dest: 1, VNI: 1}, &drawbridge.Packet{Frame: turn.frame()})
	if len(h.turns) != 1 {
		t.Error("told after the end")
	}
}

// TestTeachingChangesNothingThatWasHeard: what another gateway says fills gaps only.
func TestTeachingChangesNothingThatWasHeard(t *testing.T) {
	var sent []poured
	s := New(Config{Self: 1, Overlay: basin{&sent}})
	m := drawbridge.MAC{2, 0, 0, 0, 0, 1}
	if n := s.Teach(1, []Station{{MAC: m, Peer: 2}, {MAC: m, Segment: 5}, {MAC: drawbridge.Broadcast, Peer: 2}, {MAC: drawbridge.MAC{2}, Peer: 1}}); n != 1 {
		t.Errorf("learned %d", n)
	}
	if known, behind := s.Where(1, m); !known || behind {
		t.Errorf("known %v, behind the segment %v", known, behind)
	}
	if known, _ := s.Where(2, m); known {
		t.Error("known in another overlay")
	}
}
