package alone

import "github.com/drawbridge-net/drawbridge"

// BridgeGroup is where 802.1D bridges speak to each other.
var BridgeGroup = drawbridge.MAC{0x01, 0x80, 0xc2, 0, 0, 0}

// What bridge protocol frames look like, behind the two addresses and the length (IEEE 802.1D-2004 §9.3): the LLC header of
// three octets, protocol 0 in two, a version, a type, and in all but the notification the flags.
const (
	bpduLLC      = 14
	bpduProtocol = 17
	bpduType     = 20
	bpduFlags    = 21

	bpduConfiguration = 0x00
	bpduRapid         = 0x02 // also of multiple trees
	bpduNotification  = 0x80
	flagChange        = 0x01
)

// BridgeProtocol reports whether a frame is one that switches build their tree with.
func BridgeProtocol(f drawbridge.Frame) bool {
	return len(f) >= drawbridge.MinFrame && f.Dst() == BridgeGroup
}

// TopologyChange reports whether a bridge protocol frame tells that the tree has changed, so that switches forget where
// stations are: a notification, or the flag that the root and rapid bridges set for a while. Nothing authenticates such a frame;
// whoever acts on it must bear a liar.
func TopologyChange(f drawbridge.Frame) bool {
	if !BridgeProtocol(f) || len(f) <= bpduType || [3]byte(f[bpduLLC:bpduProtocol]) != [3]byte{0x42, 0x42, 0x03} || f[bpduProtocol] != 0 || f[bpduProtocol+1] != 0 {
		return false
	}
	switch f[bpduType] {
	case bpduNotification:
		return true
	case bpduConfiguration, bpduRapid:
		return len(f) > bpduFlags && f[bpduFlags]&flagChange != 0
	}
	return false
}
