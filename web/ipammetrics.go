package web

import (
	"context"
	"math"
	"time"
)

// AddressCounts is what the metrics tell of giving out addresses. Counts are of this run.
type AddressCounts struct {
	Pools     []PoolCounts
	Given     uint64
	Refused   map[string]uint64
	Donated   uint64
	Received  uint64
	Conflicts uint64
	Foreign   uint64
}

// PoolCounts is how a subnet stands at this peer.
type PoolCounts struct {
	Subnet    string
	Able      bool
	Blocks    int
	Free      uint64
	Allocated int
	Entries   int
	DryS      uint32 // 0: never
}

var (
	mPoolAble   = metric(gauge, "ipam_able", "1 when this peer may give addresses of the subnet now.", "pool")
	mPoolBlocks = metric(gauge, "ipam_blocks", "Blocks of the subnet that this peer owns.", "pool")
	mPoolFree   = metric(gauge, "ipam_free_addresses", "Addresses that this peer can give without asking others.", "pool")
	mPoolUsed   = metric(gauge, "ipam_allocated_addresses", "Addresses that this peer has given and that are not free again.", "pool")
	mPoolRing   = metric(gauge, "ipam_ring_entries", "Parts of the subnet with another owner than their neighbours.", "pool")
	mPoolDry    = metric(gauge, "ipam_exhaustion_seconds", "Until this peer has no address left at the present rate, rounded down to a power of two; +Inf: never.", "pool")

	mGiven     = metric(counter, "ipam_allocations_total", "Requests that were answered with an address, renewals included.")
	mRefused   = metric(counter, "ipam_refusals_total", "Requests that were refused, by reason.", "reason")
	mDonated   = metric(counter, "ipam_donated_blocks_total", "Blocks that changed hands; tx: given, rx: received.", "direction")
	mConflicts = metric(counter, "ipam_conflicts_total", "Addresses given by this peer that somebody else was seen to use.")
	mForeign   = metric(counter, "ipam_foreign_addresses_total", "Addresses that were found in use by somebody who was not given them.")
)

// countFor bounds a reading of the address management: a busy one is left out this time.
const countFor = time.Second

func (g gathering) addresses(node Node) {
	ctx, cancel := context.WithTimeout(context.Background(), countFor)
	defer cancel()
	c, err := node.AddressCounts(ctx)
	if err != nil {
		return
	}
	for _, p := range c.Pools {
		g.flag(mPoolAble, p.Able, p.Subnet)
		g.put(mPoolBlocks, float64(p.Blocks), p.Subnet)
		g.put(mPoolFree, float64(p.Free), p.Subnet)
		g.put(mPoolUsed, float64(p.Allocated), p.Subnet)
		g.put(mPoolRing, float64(p.Entries), p.Subnet)
		dry := math.Inf(1)
		if p.DryS > 0 {
			dry = float64(p.DryS)
		}
		g.put(mPoolDry, dry, p.Subnet)
	}
	g.put(mGiven, float64(c.Given))
	for reason, n := range c.Refused {
		g.put(mRefused, float64(n), reason)
	}
	g.put(mDonated, float64(c.Donated), "tx")
	g.put(mDonated, float64(c.Received), "rx")
	g.put(mConflicts, float64(c.Conflicts))
	g.put(mForeign, float64(c.Foreign))
}
