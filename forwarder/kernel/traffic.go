package kernel

import (
	"fmt"
	"time"
)

// Traffic is what crossed a port since it was added: super-frames count as one. Frames to a port without a gate are not counted.
type Traffic struct {
	RxFrames, RxBytes uint64 // taken in
	TxFrames, TxBytes uint64 // given out
}

// Since is what was counted after before.
func (t Traffic) Since(before Traffic) Traffic {
	return Traffic{t.RxFrames - before.RxFrames, t.RxBytes - before.RxBytes, t.TxFrames - before.TxFrames, t.TxBytes - before.TxBytes}
}

// Traffic adds up the processors' counts of a port.
func (e *Engine) Traffic(ifindex int) (sum Traffic, err error) {
	a, err := e.portAt(ifindex)
	if err != nil {
		return sum, err
	}
	var each []traffic
	if err := a.own[mapTraffic].Lookup(uint32(0), &each); err != nil {
		return sum, fmt.Errorf("interface %d: count frames: %w", ifindex, err)
	}
	for _, t := range each {
		sum.RxFrames, sum.RxBytes = sum.RxFrames+t.RxFrames, sum.RxBytes+t.RxBytes
		sum.TxFrames, sum.TxBytes = sum.TxFrames+t.TxFrames, sum.TxBytes+t.TxBytes
	}
	return sum, nil
}

// stormBurst is the part of a second whose floods may come at once, as in the user-space engine.
const stormBurst = time.Second / 5

// SetStormLimit says how many frames the port may flood in a second; 0: any number. A port begins without a limit.
func (e *Engine) SetStormLimit(ifindex, perSecond int) error {
	a, err := e.portAt(ifindex)
	if err != nil {
		return err
	}
	var s storm
	if perSecond > 0 {
		s.Each = uint64(time.Second) / uint64(perSecond)
		s.Burst = max(uint64(stormBurst), s.Each)
	}
	if err := a.own[mapStorm].Put(uint32(0), s); err != nil {
		return fmt.Errorf("interface %d: limit floods: %w", ifindex, err)
	}
	return nil
}

func (e *Engine) portAt(ifindex int) (*attachment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.ports[ifindex]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("interface %d is no port", ifindex)
}
