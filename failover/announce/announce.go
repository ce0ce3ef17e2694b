// Package announce makes the frames by which a new active gateway tells the switches of a VLAN where the
// stations behind it are now (docs/protocol/handover.md, "Announcing").
package announce

import (
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
// first at once, and again for switches that were busy with a topology change.
const (
	Burst  = 32
	Rounds = 3
)
