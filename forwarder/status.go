package forwarder

import (
	"slices"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// MAC is one entry of the table, for display.
type MAC struct {
	MAC drawbridge.MAC
	VNI drawbridge.VNI
	Where
	Learned time.Duration // ago
	Seen    time.Duration // ago
	Moves   uint32
}

// MACs lists the table, by overlay and address.
func (s *Switch) MACs() (all []MAC) {
	now := s.now()
	s.table.mu.RLock()
	for k, e := range s.table.entries {
		m := MAC{
			MAC: k.address(), VNI: k.vni, Where: e.at.Load().where(), Moves: e.moves.Load(),
			Learned: now - time.Duration(e.learned.Load()), Seen: now - time.Duration(e.seen.Load()),
		}
		all = append(all, m)
	}
	s.table.mu.RUnlock()
	slices.SortFunc(all, func(a, b MAC) int {
		if a.VNI != b.VNI {
			return int(a.VNI) - int(b.VNI)
		}
		return strings.Compare(string(a.MAC[:]), string(b.MAC[:]))
	})
	return all
}

// Len is how many addresses are known.
func (s *Switch) Len() int { return s.table.len() }

// Flush forgets the addresses for which match says so, and answers how many. The match must not call the
// switch.
func (s *Switch) Flush(match func(MAC) bool) int {
	return s.table.forget(StepFlushed, s.now(), func(k key, e *entry) bool {
		return match(MAC{MAC: k.address(), VNI: k.vni, Where: e.at.Load().where()})
	})
}

// Drops is how many frames of the mesh were dropped since the start, by reason.
func (s *Switch) Drops() map[string]uint64 {
	all := map[string]uint64{}
	s.drops.counts(all)
	return all
}

// PortStatus is how a port does.
type PortStatus struct {
	Name        string
	VNI         drawbridge.VNI
	Segment     drawbridge.SegmentID
	SegmentName string
	Open        bool
	Epoch       drawbridge.Epoch
	MACs        int
	Drops       map[string]uint64

	RxFrames, RxBytes, TxFrames, TxBytes uint64
}

// Status tells how the port does.
func (a *Attached) Status() PortStatus {
	st := PortStatus{
		Name: a.name, VNI: a.cfg.VNI, Segment: a.cfg.Segment, SegmentName: a.cfg.SegmentName, MACs: int(a.macs.Load()),
		Drops: map[string]uint64{}, RxFrames: a.rxFrames.Load(), RxBytes: a.rxBytes.Load(), TxFrames: a.txFrames.Load(), TxBytes: a.txBytes.Load(),
	}
	st.Epoch, st.Open = a.permit()
	if a.segment != nil {
		st.MACs = int(a.segment.macs.Load())
	}
	a.drops.counts(st.Drops)
	return st
}

// Ports lists the ports by name.
func (s *Switch) Ports() (all []PortStatus) {
	for _, a := range s.all() {
		all = append(all, a.Status())
	}
	return all
}

// Tenure is who bridges a segment into an overlay as far as frames and news told; 0 when nobody is known to.
func (s *Switch) Tenure(id drawbridge.SegmentID, vni drawbridge.VNI) (active drawbridge.PeerID, epoch drawbridge.Epoch) {
	if g := (*s.segments.Load())[segmentKey{id, vni}]; g != nil {
		t := g.tenure.Load()
		return t.active, t.epoch
	}
	return 0, 0
}
