package failover

import "time"

// usualTerm is the lease's term for which the times of this tree are made: the default (docs/protocol/lease.md, "Timers").
const usualTerm = 40 * time.Millisecond

// Patience is how long the silence of a machine is borne in a network whose leases last for term, where usual is right
// for the default one. A term says for how long a machine that is well may stand still, so a longer one adds by how much
// it is longer; a shorter one takes nothing away. See docs/protocol/lease.md, "Machines that stand still".
func Patience(usual, term time.Duration) time.Duration { return usual + max(0, term-usualTerm) }
