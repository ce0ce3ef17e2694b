package forwarder

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Guests are served addresses at their own port: what they ask goes to the server beside the switch, and not to one that
// somebody else has put on the network; and what such a one answers does not cross.

// served reports whether a frame from a guest port was for the server beside the switch, which has it then.
func (a *Attached) served(p *drawbridge.Packet) bool {
	return a.cfg.Serve != nil && a.cfg.Serve(p)
}

// foreign reports whether a frame must not cross.
func (s *Switch) foreign(vni drawbridge.VNI, f drawbridge.Frame) bool {
	return s.cfg.Foreign != nil && s.cfg.Foreign(vni, f)
}
