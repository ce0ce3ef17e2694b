package forwarder

import (
	"maps"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// An overlay can have another engine beside the switch, which takes frames from the same ports by itself
// (docs/protocol/kernel.md). Both deliver what reaches them. A frame that both took in would be there twice, so each is taken by one of
// them: at ports that are shared a filter chooses for each frame; the switch can leave a whole overlay to the other engine (Suspend);
// and it takes nothing from a port that is not shared yet.

// Companion is the other engine of an overlay. What it is asked must be answered quickly; goroutines of the mesh and of ports ask.
type Companion interface {
	// Spoke notes that an address speaks at a place, and reports whether it spoke elsewhere a moment ago: then its frame is an echo.
	// It is told often enough to know of every address where it spoke last, to within a sixteenth of a second.
	Spoke(drawbridge.MAC, Spot) (echo bool)
}

// Spot is where an address speaks: one of these.
type Spot struct {
	Port    *Attached // a guest port here
	Peer    drawbridge.PeerID
	Segment drawbridge.SegmentID
}

func (p *place) spot() Spot {
	if p.segment != nil {
		return Spot{Segment: p.segment.id}
	}
	return Spot{Port: p.port, Peer: p.peer}
}

// Accompany has c beside the switch in an overlay; nil: nobody any more. From now on the switch takes nothing from ports that are attached
// before they are shared. Those that are attached already it goes on with: c takes nothing from them yet.
func (s *Switch) Accompany(vni drawbridge.VNI, c Companion) {
	s.mu.Lock()
	all := map[drawbridge.VNI]Companion{}
	if old := s.table.companions.Load(); old != nil {
		maps.Copy(all, *old)
	}
	if all[vni] = c; c == nil {
		delete(all, vni)
	}
	s.table.companions.Store(&all)
	s.mu.Unlock()
	if c != nil {
		return
	}
	for _, a := range (*s.ports.Load())[vni] {
		_ = a.Share(nil) // a port that does not get its own filter back has been closed, or is read through one that chooses the switch
	}
}

func (t *table) companion(vni drawbridge.VNI) Companion {
	if all := t.companions.Load(); all != nil {
		return (*all)[vni]
	}
	return nil
}

// echoes asks the other engine of an overlay, if there is one, whether an address spoke elsewhere, and tells it where it speaks.
func (t *table) echoes(k key, p *place) bool {
	c := t.companion(k.vni)
	return c != nil && c.Spoke(k.address(), p.spot())
}

// Suspend has the switch take in no frame of an overlay from now on, or take them in again. When it returns, what was taken in
// before has been written and is with the mesh. What the mesh delivers, ALONE's frames, and those that Inject is given, go on.
// Ports that can read nothing else meanwhile, and read what is the switch's again before a frame is taken.
func (s *Switch) Suspend(vni drawbridge.VNI, on bool) {
	if !on {
		for _, a := range (*s.ports.Load())[vni] {
			_ = a.listen(a.apart.Load)
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

// Suspended reports whether the switch takes in no frames of the overlay.
func (s *Switch) Suspended(vni drawbridge.VNI) bool { return (*s.suspended.Load())[vni] }

// Shared reports whether all ports of an overlay are.
func (s *Switch) Shared(vni drawbridge.VNI) bool {
	for _, a := range (*s.ports.Load())[vni] {
		a.hushing.Lock()
		shared := a.share != nil
		a.hushing.Unlock()
		if !shared {
			return false
		}
	}
	return true
}

// Waiting reports whether a frame waits at a port of an overlay.
func (s *Switch) Waiting(vni drawbridge.VNI) bool {
	for _, a := range (*s.ports.Load())[vni] {
		if w, ok := a.cfg.Port.(waiter); ok && w.Waiting() {
			return true
		}
	}
	return false
}

// shareable is a port that can leave frames to the kernel. Those of neighbours it reads on.
type shareable interface {
	// Hush leaves all frames to the kernel, or reads those that the port was opened for.
	Hush(on bool) error
	// Share reads what a filter lets through, which attach attaches to the socket.
	Share(attach func(fd int) error) error
}

// share is the filter of a shared port.
type share struct{ attach func(fd int) error }

// reads is what a port reads: what it was opened for, nothing but what neighbours say to each other, or what a filter lets through.
type reads struct {
	hushed bool
	share  *share
}

// Share has the port read what a filter lets through, which chooses the engine of each frame and which attach attaches to the socket;
// nil: what it was opened for. While the switch is suspended the filter is put off.
func (a *Attached) Share(attach func(fd int) error) error {
	a.hushing.Lock()
	if a.share = nil; attach != nil {
		a.share = &share{attach}
	}
	a.hushing.Unlock()
	err := a.listen(func() bool { return a.sw.Suspended(a.cfg.VNI) })
	if err == nil {
		a.apart.Store(false)
	}
	return err
}

// heed has the port read what the switch wants of it now.
func (a *Attached) heed() {
	_ = a.listen(func() bool { return a.sw.Suspended(a.cfg.VNI) || a.apart.Load() })
}

// listen changes what the port reads. A port that cannot be made to read again carries nothing: it is closed, so
// that its owner opens it anew.
func (a *Attached) listen(hushed func() bool) error {
	p, ok := a.cfg.Port.(shareable)
	a.hushing.Lock()
	defer a.hushing.Unlock()
	want := reads{hushed: hushed()}
	if !want.hushed {
		want.share = a.share
	}
	if !ok || want == a.reads {
		return nil
	}
	var err error
	if want.share != nil {
		err = p.Share(want.share.attach)
	} else {
		err = p.Hush(want.hushed)
	}
	switch {
	case err == nil:
		a.reads = want
	case a.reads.hushed:
		a.reads = reads{}
		_ = a.cfg.Port.Close()
	}
	return err
}

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

// Hear notes what the other engine of an overlay heard, so that whoever asks the switch for stations finds them, and
// the switch knows them when it takes frames in again. Unlike what Teach is told, it moves an address.
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
