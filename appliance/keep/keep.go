// Package keep keeps the frames of a segment port while the segment moves from one gateway to another on purpose: each frame is forwarded
// once, by one of the two, and in its order, although for some moments neither gate is open and for others both gateways are sent it
// (docs/protocol/handover.md). The Giver has the segment before the move, the Taker after it. Neither opens a gate.
package keep

import (
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/handover"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// Port is the segment port whose frames are kept.
type Port struct {
	Attached *forwarder.Attached // nil: the port does not work, and nothing is kept
	Gate     *failover.Gate
	Self     drawbridge.MAC // of the interface
	// Where is what the switch knows of an address: whether anything, and whether it is behind a segment.
	Where func(drawbridge.MAC) (known, behind bool)
	Now   func() time.Duration // the clock of the move
}

// works reports whether there is anything to keep.
func (p *Port) works() bool { return p.Attached != nil }

// elsewhere reports whether an address is known to be somewhere in the overlay, not behind the segment.
func (p *Port) elsewhere(m drawbridge.MAC) bool {
	known, behind := p.Where(m)
	return known && !behind
}

// hold has the gate read frames that it does not let pass. It ends by the kernel's clock, also when this process does not end it.
func (p *Port) hold() { p.Gate.Hold(gate.Now().Add(handover.HoldFor + handover.SettleFor)) }

// index of a direction.
func index(direction uint8) int { return int(direction - handover.Captured) }
