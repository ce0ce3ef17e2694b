package segment

import (
	"encoding/binary"

	"github.com/drawbridge-net/drawbridge"
)

// Complete finishes p's partial checksum in place, so that the frame is right as it stands. A super-frame is refused:
// its sum means nothing before it is cut (see Splitter).
func Complete(p *drawbridge.Packet) error {
	if p.Offload.GSO != drawbridge.GSONone {
		return ErrOffload
	}
	if p.Offload.Flags&drawbridge.NeedsChecksum != 0 {
		if err := fits(p); err != nil {
			return err
		}
		from := p.Frame[p.Offload.ChecksumStart:]
		// The field itself holds the pseudo-header's part of the sum, so it is added like any other bytes.
		value := drawbridge.TransportChecksum(drawbridge.InternetSum(0, from))
		binary.BigEndian.PutUint16(from[p.Offload.ChecksumOffset:], value)
	}
	p.Offload = drawbridge.Offload{}
	return nil
}
