package kernel

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

	"github.com/drawbridge-net/drawbridge"
)

// maxAge is how long an address is kept after its last frame (IEEE 802.1Q §8.8.3), as in forwarder/table.go.
const maxAge = 300 * time.Second

// Place is where an address is.
type Place struct {
	Origin  Short                // attachment through which it speaks
	Port    int                  // interface here; 0: elsewhere
	Segment drawbridge.SegmentID // segment that it is behind; 0: a guest
}

// Station is an address with its place.
type Station struct {
	MAC drawbridge.MAC
	Place
	Seen  time.Duration // since its last frame, exact to 1/16 s
	Moves uint32
}

// SetMAC tells the kernel where an address is, as if it had spoken there now.
func (e *Engine) SetMAC(m drawbridge.MAC, p Place) error {
	now, err := coarse()
	if err != nil {
		return err
	}
	row := place{Origin: uint32(p.Origin), Port: uint32(p.Port), Segment: uint32(p.Segment), Seen: uint64(now)}
	if err := e.maps[mapMACs].Put(mac{MAC: m}, row); err != nil {
		return fmt.Errorf("address %s: %w", m, err)
	}
	return nil
}

// MACs lists the addresses that are known. Those that come and go meanwhile may be missed.
func (e *Engine) MACs() ([]Station, error) {
	now, err := coarse()
	if err != nil {
		return nil, err
	}
	var all []Station
	var key mac
	var row place
	rows := e.maps[mapMACs].Iterate()
	for rows.Next(&key, &row) {
		all = append(all, Station{
			MAC: key.MAC, Place: Place{Short(row.Origin), int(row.Port), drawbridge.SegmentID(row.Segment)},
			Seen: max(now-time.Duration(row.Seen), 0), Moves: row.Moves,
		})
	}
	if err := rows.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return all, nil
}

// Forget removes the addresses that match and answers how many they were.
func (e *Engine) Forget(match func(Station) bool) (n int, err error) {
	all, err := e.MACs()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if !match(s) {
			continue
		}
		if err := absent(e.maps[mapMACs].Delete(mac{MAC: s.MAC})); err != nil {
			return n, fmt.Errorf("forget %s: %w", s.MAC, err)
		}
		n++
	}
	return n, nil
}

// Age forgets addresses that have been silent for long.
func (e *Engine) Age() (int, error) {
	return e.Forget(func(s Station) bool { return s.Seen > maxAge })
}
