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
// Ports that can read nothing else meanwhile, and read everything again before a frame is taken.
func (s *Switch) Suspend(vni drawbridge.VNI, on bool) {
	if !on {
		for _, a := range (*s.ports.Load())[vni] {
			a.hush(func() bool { return false })
		}
	}
	s.mu.Lock()
	all := maps.Clone(*s.suspended.Load())
	if all[vni] = true; !on {
		delete(all, vni)
	}
	s.suspended.Store(&all)
	s.mu.Unlock()
	for _, a := range (*s.ports.Load())[vni] {
		a.Quiesce()
		a.heed()
	}
}

// hushable is a port that can leave frames to the kernel which the switch would only drop. Those of neighbours it reads on.
type hushable interface{ Hush(on bool) error }

// heed has the port read what the switch wants of it now.
func (a *Attached) heed() {
	a.hush(func() bool { return a.sw.Suspended(a.cfg.VNI) })
}

// hush changes what the port reads. A port that cannot be made to read everything again carries nothing: it is closed, so
// that its owner opens it anew.
func (a *Attached) hush(wanted func() bool) {
	p, ok := a.cfg.Port.(hushable)
	if !ok {
		return
	}
	a.hushing.Lock()
	defer a.hushing.Unlock()
	on := wanted()
	if on == a.hushed {
		return
	}
	switch err := p.Hush(on); {
	case err == nil:
		a.hushed = on
	case !on:
		a.hushed = false
		_ = a.cfg.Port.Close()
	}
}

// Suspended reports whether another engine carries the overlay, or none does.
func (s *Switch) Suspended(vni drawbridge.VNI) bool { return (*s.suspended.Load())[vni] }

// Heard is an address that the other engine has heard: at a port here, or as Station says.
type Heard struct {
	Station
	Port *Attached // a guest port here; nil: elsewhere
}

// Carried adds to the port's counts what the other engine has carried there.
func (a *Attached) Carried(rxFrames, rxBytes, txFrames, txBytes uint64) {
	a.rxFrames.Add(rxFrames)
	a.rxBytes.Add(rxBytes)
	a.txFrames.Add(txFrames)
	a.txBytes.Add(txBytes)
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
		k := keyOf(vni, h.MAC[:], 0)
		e, fresh := s.table.insert(k, at, now)
		if e == nil {
			continue // no room
		}
		if old := e.at.Load(); !fresh && !old.same(at) && !s.table.move(k, e, old, at, now) {
			continue
		}
		e.seen.Store(int64(now - h.Age))
	}
}
