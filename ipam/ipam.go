// Package ipam gives out addresses that stay unique through partitions, restarts and merges: the ring of
// blocks, the allocator, the state file and the machine of one peer, without clock, socket or goroutine.
// docs/protocol/ipam.md has the rules.
package ipam

import (
	"errors"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Instant is nanoseconds since 1970: the wall clock when the program started, carried on by CLOCK_BOOTTIME, so
// it never goes back while the program runs and means the same after a restart if the wall clock is right.
type Instant int64

// Add moves t by d.
func (t Instant) Add(d time.Duration) Instant { return t + Instant(d) }

// Holder is who can own space: a peer together with the life of its state file. A peer that lost its file
// is another holder, so what the lost one knew is not mistaken for nothing.
type Holder struct {
	Peer drawbridge.PeerID
	Life uint32
}

func (h Holder) String() string { return fmt.Sprintf("%v/%08x", h.Peer, h.Life) }

// before orders holders, for results that do not depend on the order of maps.
func (h Holder) before(o Holder) bool {
	return h.Peer < o.Peer || h.Peer == o.Peer && h.Life < o.Life
}

func (h Holder) compare(o Holder) int {
	switch {
	case h.before(o):
		return -1
	case o.before(h):
		return 1
	}
	return 0
}

// Generation numbers the owners of a block: the decision that seeded or adopted it in the upper half,
// donations since in the lower.
type Generation uint64

// MakeGeneration joins both halves.
func MakeGeneration(decision, count uint32) Generation {
	return Generation(decision)<<32 | Generation(count)
}

// Decision is the number of the decisions that seeded or adopted the block.
func (g Generation) Decision() uint32 { return uint32(g >> 32) }

// Count is how often the block was given away since.
func (g Generation) Count() uint32 { return uint32(g) }

func (g Generation) String() string { return fmt.Sprintf("%d.%d", g.Decision(), g.Count()) }

// Conditions behind refusals. Every error of the package wraps one of them.
var (
	ErrSubnet    = errors.New("not a subnet that addresses can be given from")
	ErrForged    = errors.New("the sender may not say this")
	ErrConflict  = errors.New("two peers claim the same space")
	ErrMessage   = errors.New("no IPAM message")
	ErrState     = errors.New("the IPAM state file cannot be used")
	ErrTaken     = errors.New("the address is taken")
	ErrOutside   = errors.New("the address is outside")
	ErrExhausted = errors.New("no free address within reach")
	ErrKept      = errors.New("the space cannot be given away")
	ErrUnable    = errors.New("not possible at present")
	ErrUnknown   = errors.New("no such allocation")
	ErrDecisions = errors.New("these decisions contradict themselves")
)
