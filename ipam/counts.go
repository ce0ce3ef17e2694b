package ipam

import "errors"

// Counts is what happened since the program started, for metrics.
type Counts struct {
	Given    uint64            // requests that were answered with an address, the same again included
	Refused  map[string]uint64 // requests that were not, by reason
	Blocks   uint64            // blocks given to other peers
	Received uint64            // blocks received from other peers
	Conflict uint64            // addresses of ours that somebody else was seen to use
	Foreign  uint64            // addresses that were marked as used by somebody who did not get them from us
}

// Counts is a copy.
func (p *Peer) Counts() Counts {
	out := p.counts
	out.Refused = map[string]uint64{}
	for _, c := range refusals {
		out.Refused[c.name] = p.refusedFor[c.name]
	}
	return out
}

// refusals are the conditions by which refused requests are told apart, the first that fits.
var refusals = []struct {
	name string
	is   error
}{{"taken", ErrTaken}, {"exhausted", ErrExhausted}, {"unable", ErrUnable}, {"outside", ErrOutside}, {"invalid", ErrUnknown}}

func (p *Peer) countAnswer(err error) {
	if err == nil {
		p.counts.Given++
		return
	}
	for _, c := range refusals {
		if errors.Is(err, c.is) {
			p.refusedFor[c.name]++
			return
		}
	}
}

// PoolCounts is how a subnet stands at this peer.
type PoolCounts struct {
	Subnet     string
	Able       bool
	Blocks     int    // held
	Free       uint64 // addresses that can be given without asking
	Allocated  int    // addresses that guests of this peer have
	Entries    int    // of the ring; never more than the subnet has blocks
	Exhaustion uint32 // seconds; the largest number: never
}

// Pools are the counts of all subnets.
func (p *Peer) Pools() (out []PoolCounts) {
	for _, pl := range p.pools {
		c := PoolCounts{
			Subnet: pl.ground.Prefix.String(), Able: p.Unable() == nil && !pl.ground.Closed, Free: pl.space.free,
			Allocated: len(pl.space.owners), Entries: len(pl.ring.Shares()), Exhaustion: exhaustion(pl.space.free, pl.rate),
		}
		for _, held := range pl.space.held {
			if held {
				c.Blocks++
			}
		}
		out = append(out, c)
	}
	return out
}
