package alone

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Reports travel over the mesh, which says who sent them (docs/protocol/alone.md, "Comparing").
const (
	reportHead   = 12
	placeSize    = 8
	sightingSize = 8

	reportFit     = 1
	reportRecused = 2
	// maxPlaces is how many neighbours a report names: more gateways on one wire than have ever been seen.
	maxPlaces = 32
)

// ErrReport is a report that cannot be read.
var ErrReport = errors.New("a report of another version, or cut short")

// Append writes r behind b.
func (r *Report) Append(b []byte) []byte {
	flags := byte(0)
	if r.Fit {
		flags |= reportFit
	}
	if r.Recused {
		flags |= reportRecused
	}
	places, stations := r.Hears[:min(len(r.Hears), maxPlaces)], r.Stations[:min(len(r.Stations), maxSightings)]
	be := binary.BigEndian
	b = append(b, 1, flags, byte(len(places)), byte(len(stations)))
	b = be.AppendUint32(b, uint32(r.Segment))
	b = be.AppendUint32(b, uint32(r.From.Port))
	for _, p := range places {
		b = be.AppendUint32(be.AppendUint32(b, uint32(p.Peer)), uint32(p.Port))
	}
	for _, s := range stations {
		b = be.AppendUint16(append(b, s.MAC[:]...), uint16(min(s.Ago/time.Millisecond, 1<<16-1)))
	}
	return b
}

// ParseReport reads what a peer has sent.
func ParseReport(from drawbridge.PeerID, b []byte) (r Report, err error) {
	if len(b) < reportHead || b[0] != 1 || b[2] > maxPlaces || b[3] > maxSightings ||
		len(b) != reportHead+int(b[2])*placeSize+int(b[3])*sightingSize {
		return r, ErrReport
	}
	be := binary.BigEndian
	r = Report{
		From:    Place{from, PortID(be.Uint32(b[8:]))},
		Segment: drawbridge.SegmentID(be.Uint32(b[4:])), Fit: b[1]&reportFit != 0, Recused: b[1]&reportRecused != 0,
	}
	places, stations := int(b[2]), int(b[3])
	for b = b[reportHead:]; places > 0; places-- {
		r.Hears = append(r.Hears, Place{drawbridge.PeerID(be.Uint32(b)), PortID(be.Uint32(b[4:]))})
		b = b[placeSize:]
	}
	for ; stations > 0; stations-- {
		r.Stations = append(r.Stations, Sighting{drawbridge.MAC(b[:6]), time.Duration(be.Uint16(b[6:])) * time.Millisecond})
		b = b[sightingSize:]
	}
	return r, nil
}
