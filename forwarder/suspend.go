package forwarder

import (
	"maps"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// An overlay can be carried by another engine, which takes frames from the same ports by itself
// (docs/protocol/kernel.md). A frame that both took would be there twice, so the switch lets go of the overlay first and
// takes it back last.

// Suspend has the switch carry no frame of an overlay from now on, or carry them again. When it returns, what was taken in
// before has been written and is with the mesh, and nothing follows it. ALONE's frames, and those that Inject is given, go on.
func (s *Switch) Suspend(vni drawbridge.VNI, on bool) {
	s.mu.Lock()
	all := maps.Clone(*s.suspended.Load())
	if all[vni] = true; !on {
		delete(all, vni)
	}
	s.suspended.Store(&all)
	s.mu.Unlock()
	for _, a := range (*s.ports.Load())[vni] {
		a.Quiesce()
	}
}

// Suspended reports whether another engine carries the overlay, or none does.
func (s *Switch) Suspended(vni drawbridge.VNI) bool { return (*s.suspended.Load())[vni] }

// Heard is an address that the other engine has heard: at a port here, or as Station says.
type Heard struct {
	Station
	Port *Attached // a guest port here; nil: elsewhere
}

// Hear notes what the other engine heard in a suspended overlay, so that whoever asks the switch for stations finds them, and
// the switch knows them when it takes the overlay back. Unlike what Teach is told, it moves an address.
func (s *Switch) Hear(vni drawbridge.VNI, all []Heard) {
	now := s.now()
	for _, h := range all {
		at := s.place(vni, &h.Station)
		if h.Port != nil {
			at = &place{port: h.Port}
		}
		if at == nil || h.Age >= maxAge || h.MAC.Group() {
			continue
		}
		e, fresh := s.table.insert(keyOf(vni, h.MAC[:], 0), at, now)
		if e == nil {
			continue // no room
		}
		if old := e.at.Load(); !fresh && !old.same(at) && !s.table.move(e, old, at, now) {
			continue
		}
		e.seen.Store(int64(now - h.Age))
	}
}
