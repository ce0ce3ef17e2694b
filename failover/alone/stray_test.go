package alone

import (
	"testing"
	"time"
)

// TestAGuestLANCabledOneWayIsBlocked, whichever way the cable carries.
func TestAGuestLANCabledOneWayIsBlocked(t *testing.T) {
	for name, from := range map[string]Place{"the guest port hears the segment": a1, "the guest port is heard on the segment": guest3} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 3)
			w.join(a1, guest3).deliver = func(f, to Place) int {
				if f == from && to != from {
					return 1
				}
				return 0
			}
			w.run(3 * time.Second)
			w.want(a1, Passive, "")
			w.want(guest3, Blocked, GuestOnSegment)
		})
	}
}

func TestGuestPortsCabledOneWayLeaveOneOpen(t *testing.T) {
	for _, from := range []Place{guest3, guest4} {
		w := newWorld(t, 3, 4)
		w.join(guest3, guest4).deliver = func(f, to Place) int {
			if f == from && to != from {
				return 1
			}
			return 0
		}
		w.run(3 * time.Second)
		w.want(guest3, Passive, "")
		w.want(guest4, Blocked, GuestOnGuest)
	}
}

// TestWordOfAStrayPortIsDoubted: of another boot, of frames that were never sent or long ago, of ports that are none of ours.
func TestWordOfAStrayPortIsDoubted(t *testing.T) {
	w := newWorld(t, 3, 4)
	w.untold = true
	w.join(guest3)
	w.join(guest4)
	w.run(20 * time.Second)
	m := w.machines[3]
	heard := func() Stray {
		return Stray{Guest: guest3, By: a1, Boot: m.cfg.Boot, Sequence: m.ports[guest3.Port].sequence}
	}
	for name, change := range map[string]func(*Stray){
		"another boot":    func(s *Stray) { s.Boot-- },
		"not sent yet":    func(s *Stray) { s.Sequence++ },
		"long ago":        func(s *Stray) { s.Sequence -= strayWindow + 1 },
		"another peer":    func(s *Stray) { s.Guest.Peer = 9 },
		"another port":    func(s *Stray) { s.Guest.Port++ },
		"our own word":    func(s *Stray) { s.By.Peer = 3 },
		"a later guest's": func(s *Stray) { s.By = guest4 },
	} {
		s := heard()
		change(&s)
		w.do(3, m.HeardElsewhere(w.now, s))
		if got := m.ports[guest3.Port].state; got != Passive {
			t.Fatalf("%s: %v", name, got)
		}
	}
	w.do(3, m.HeardElsewhere(w.now, heard()))
	w.want(guest3, Blocked, GuestOnSegment)
}

func FuzzParseStray(f *testing.F) {
	s := Stray{Guest: guest3, By: a1, Boot: 1, Sequence: 5}
	f.Add(s.Append(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStray(1, 3, b); err == nil && len(s.Append(nil)) != len(b) {
			t.Errorf("%x is read as %+v", b, s)
		}
	})
}
