package forwarder

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// EtherTypes and address blocks of protocols that speak between neighbours on one wire. Carried across they
// would make distant switches believe that they are connected: spanning trees would merge, trunks form,
// and a pause frame would stop somebody else's port.
const (
	etherTypeALONE = 0x88b6 // our own loop avoidance; IEEE local experimental 2
	etherTypeLLDP  = 0x88cc
	etherTypeSlow  = 0x8809 // LACP, OAM
	etherTypePause = 0x8808
)

// linkLocal reports whether f must stay on its wire: the bridge group 01:80:c2:00:00:00 to 0f (IEEE 802.1Q
// table 8-1), Cisco's 01:00:0c:cc:cc:cc (CDP, VTP, DTP, UDLD, PAgP) and …cd (PVST+), and the EtherTypes
// above whatever their destination, also behind VLAN tags: a port that carries tags has ALONE in each of its VLANs.
func linkLocal(f drawbridge.Frame) bool {
	switch _, etherType := network(f); etherType {
	case etherTypeALONE, etherTypeLLDP, etherTypeSlow, etherTypePause:
		return true
	}
	if f[0] != 0x01 {
		return false
	}
	switch {
	case f[1] == 0x80 && f[2] == 0xc2 && f[3] == 0 && f[4] == 0 && f[5] < 0x10:
		return true
	case f[1] == 0x00 && f[2] == 0x0c && f[3] == 0xcc && f[4] == 0xcc && f[5]|1 == 0xcd:
		return true
	}
	return false
}

// badSource reports whether the source address can belong to nobody.
func badSource(f drawbridge.Frame) bool {
	return f[6]&1 != 0 || f.Src() == drawbridge.MAC{}
}

// admit tells why a frame that came from a port or a peer is not forwarded at all.
func admit(f drawbridge.Frame) (reason, bool) {
	switch {
	case len(f) < drawbridge.MinFrame:
		return dropShort, false
	case badSource(f):
		return dropBadSource, false
	case linkLocal(f):
		return dropLinkLocal, false
	}
	return 0, true
}

// network is where the network header begins, behind up to two VLAN tags.
func network(f drawbridge.Frame) (at int, etherType uint16) {
	at, etherType = drawbridge.MinFrame, f.EtherType()
	for range 2 {
		if etherType != 0x8100 && etherType != 0x88a8 || len(f) < at+4 {
			break
		}
		at, etherType = at+4, binary.BigEndian.Uint16(f[at+2:])
	}
	return at, etherType
}
