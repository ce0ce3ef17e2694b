// Package announce makes the frames by which a new active gateway tells the switches of a VLAN where the
// stations behind it are now (docs/protocol/handover.md, "Announcing").
package announce

import (
	"encoding/binary"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// etherTypeRARP is reverse ARP (RFC 903). Hypervisors announce a moved machine with it: any frame with the
// right source teaches a switch, and this one asks for nothing that anybody answers.
const etherTypeRARP = 0x8035

// minFrame is the shortest Ethernet frame without its check sequence; short ones are padded.
const minFrame = 60

// Frame is a reverse-ARP request "who am I?" of the station, broadcast, so that every switch on the way
// learns it.
func Frame(station drawbridge.MAC) drawbridge.Frame {
	f := make(drawbridge.Frame, 0, minFrame+256)
	f = append(f, drawbridge.Broadcast[:]...)
	f = append(f, station[:]...)
	f = append(f, etherTypeRARP>>8, etherTypeRARP&0xff)
	f = append(f, 0, 1, 8, 0, 6, 4, 0, 3) // Ethernet, IPv4, request reverse
	f = append(f, station[:]...)
	f = append(f, 0, 0, 0, 0)
	f = append(f, station[:]...)
	f = append(f, 0, 0, 0, 0)
	return f[:minFrame]
}

// Burst is how many announcements are sent at once, and Rounds how often each station is announced: the
// first at once, and again for switches that were busy with a topology change. Planned is the burst of a planned
// move, which waits for it: 0.7 ms on a wire of 1 Gbit/s. Most bounds what is announced at all.
const (
	Burst   = 64
	Rounds  = 3
	Planned = 1024
	Most    = 20000
)

// markerTarget is the target protocol address by which a marker is known: no host has it, nor asks for it.
var markerTarget = [4]byte{0xdb, 1, 0, 1}

// Marker is the frame after which a switch sends nothing more the old way (docs/protocol/handover.md): a reverse-ARP
// request of the gateway's own interface that carries the number of the move.
func Marker(own drawbridge.MAC, id uint32) drawbridge.Frame {
	f := Frame(own)
	binary.BigEndian.PutUint32(f[senderProtocol:], id)
	copy(f[targetProtocol:], markerTarget[:])
	return f
}

// Where the two protocol addresses are in a reverse-ARP frame (RFC 826).
const (
	senderProtocol = 28
	targetProtocol = 38
)

// MarkerID reports whether a frame is a marker, and of which move.
func MarkerID(f drawbridge.Frame) (id uint32, ok bool) {
	if len(f) < targetProtocol+4 || f.EtherType() != etherTypeRARP || [4]byte(f[targetProtocol:]) != markerTarget {
		return 0, false
	}
	return binary.BigEndian.Uint32(f[senderProtocol:]), true
}
