package raftgroup

import (
	"fmt"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// valid checks a state that comes from outside.
func (s State) valid() error {
	if s.Generation == 0 {
		return fmt.Errorf("generation 0: %w", ErrCommand)
	}
	if err := s.Timers.valid(); err != nil {
		return err
	}
	if err := s.Policy.valid(); err != nil {
		return err
	}
	if err := s.Sets.valid(); err != nil {
		return err
	}
	if len(s.Segments) > maxSegments || len(s.Gateways) > maxGateways || len(s.Facts) > maxFacts || len(s.Revoked) > maxRevoked {
		return fmt.Errorf("%d segments, %d gateways, %d facts, %d removed peers: too many: %w",
			len(s.Segments), len(s.Gateways), len(s.Facts), len(s.Revoked), ErrCommand)
	}
	ids := make(map[drawbridge.SegmentID]string, len(s.Segments))
	for name, segment := range s.Segments {
		if err := segment.valid(name); err != nil {
			return err
		}
		id := drawbridge.SegmentIDOf(name)
		if other, taken := ids[id]; taken {
			return sameID(name, other)
		}
		ids[id] = name
	}
	return s.validEntries()
}

func sameID(name, other string) error {
	return fmt.Errorf("segment %s has the same 32-bit id as segment %s: choose another name: %w", name, other, ErrCommand)
}

func (s State) validEntries() error {
	for name := range s.Gateways {
		if err := checkPeer(name); err != nil {
			return err
		}
	}
	for key, fact := range s.Facts {
		if err := fact.valid(key); err != nil {
			return err
		}
	}
	for id, entry := range s.Revoked {
		if err := (Remove{entry.Name, id}).valid(); err != nil {
			return err
		}
	}
	last := uint64(0)
	for _, v := range s.Versions {
		if err := v.valid(); err != nil {
			return err
		}
		if v.Number <= last {
			return fmt.Errorf("version %d of the configuration after version %d: %w", v.Number, last, ErrCommand)
		}
		last = v.Number
	}
	if last > s.LastVersion || len(s.Versions) > keepVersions {
		return fmt.Errorf("%d versions up to %d, the last is said to be %d: %w", len(s.Versions), last, s.LastVersion, ErrCommand)
	}
	return nil
}

func (t Timers) valid() error {
	if t.Renew < time.Millisecond || t.Renew > t.Length/3 || t.Length > maxLease {
		return fmt.Errorf("lease of %v renewed each %v: want a renewal of at least 1ms and a lease of 3 renewals to %v: %w", t.Length, t.Renew, maxLease, ErrCommand)
	}
	if t.Longest < t.Length || t.Longest > maxLease {
		return fmt.Errorf("longest lease of %v beside one of %v: %w", t.Longest, t.Length, ErrCommand)
	}
	return nil
}

func (p QuorumPolicy) valid() error {
	if !slices.Contains([]QuorumPolicy{CloseGates, HoldGates, BySegment}, p) {
		return fmt.Errorf("quorum policy %q: want close, hold or segment: %w", p, ErrCommand)
	}
	return nil
}

func (f Fact) valid(key string) error {
	if key == "" || len(key) > MaxText || len(f.Kind) > MaxText || len(f.Value) > MaxText {
		return fmt.Errorf("fact under a key of %d bytes, kind of %d, value of %d: want 1 to %d for the key and at most %d: %w",
			len(key), len(f.Kind), len(f.Value), MaxText, MaxText, ErrCommand)
	}
	return nil
}

func checkPeer(name drawbridge.PeerName) error {
	if err := drawbridge.CheckName(string(name)); err != nil {
		return fmt.Errorf("peer: %w: %w", err, ErrCommand)
	}
	return nil
}

func (g Segment) valid(name string) error {
	if err := drawbridge.CheckName(name); err != nil {
		return fmt.Errorf("segment: %w: %w", err, ErrCommand)
	}
	if g.VNI == 0 || g.VNI > drawbridge.MaxVNI {
		return fmt.Errorf("segment %s: overlay number %d: want 1 to %d: %w", name, g.VNI, drawbridge.MaxVNI, ErrCommand)
	}
	if err := g.validGateways(); err != nil {
		return fmt.Errorf("segment %s: %w", name, err)
	}
	return nil
}

func (g Segment) validGateways() error {
	if len(g.Eligible) > maxEligible {
		return fmt.Errorf("%d eligible gateways: want at most %d: %w", len(g.Eligible), maxEligible, ErrCommand)
	}
	for _, name := range g.Eligible {
		if err := checkPeer(name); err != nil {
			return err
		}
	}
	if g.Preferred == "" {
		return nil
	}
	if len(g.Eligible) > 0 && !slices.Contains(g.Eligible, g.Preferred) {
		return fmt.Errorf("gateway %s is preferred but not eligible: %w", g.Preferred, ErrCommand)
	}
	return checkPeer(g.Preferred)
}
