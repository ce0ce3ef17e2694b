package lease

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// quorum is the voters of a configuration in one table, and its sets as bits of that table.
type quorum struct {
	peers []drawbridge.PeerID
	sets  []uint16
}

func newQuorum(sets [][]drawbridge.PeerID) (q quorum, err error) {
	if len(sets) == 0 {
		return q, fmt.Errorf("no set of voters: %w", ErrConfig)
	}
	for _, set := range sets {
		mask := uint16(0)
		for _, peer := range set {
			i := q.index(peer)
			if i < 0 {
				i = len(q.peers)
				q.peers = append(q.peers, peer)
			}
			if peer == 0 || i >= MaxVoters || mask&(1<<i) != 0 {
				return q, fmt.Errorf("voter %v is nobody, named twice or beyond the %dth: %w", peer, MaxVoters, ErrConfig)
			}
			mask |= 1 << i
		}
		if mask == 0 {
			return q, fmt.Errorf("empty set of voters: %w", ErrConfig)
		}
		q.sets = append(q.sets, mask)
	}
	return q, nil
}

func (q *quorum) index(peer drawbridge.PeerID) int { return slices.Index(q.peers, peer) }

// reached is the latest instant up to which a majority of every set has gone, given how far each voter has.
func (q *quorum) reached(at *[MaxVoters]Instant) Instant {
	least := Never
	for _, set := range q.sets {
		least = min(least, majorityOf(set, at))
	}
	return least
}

// majorityOf is the k-th largest of the set's instants, k being its majority.
func majorityOf(set uint16, at *[MaxVoters]Instant) Instant {
	var sorted [MaxVoters]Instant
	n := 0
	for rest := set; rest != 0; rest &= rest - 1 {
		v := at[bits.TrailingZeros16(rest)]
		i := n
		for ; i > 0 && sorted[i-1] < v; i-- {
			sorted[i] = sorted[i-1]
		}
		sorted[i] = v
		n++
	}
	return sorted[n/2]
}

// possible reports whether a majority of every set remains without the refusing voters.
func (q *quorum) possible(refusing uint16) bool {
	for _, set := range q.sets {
		if left := bits.OnesCount16(set &^ refusing); left <= bits.OnesCount16(set)/2 {
			return false
		}
	}
	return true
}
