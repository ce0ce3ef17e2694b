package transit

import "sync/atomic"

// reason says why something was dropped. The words are stable: they are shown, alerted on and documented in
// docs/protocol/data.md.
type reason int

const (
	dropShort reason = iota
	dropVersion
	dropUnknownKey
	dropForged
	dropReplayed
	dropMalformed
	dropOwn
	dropDuplicate
	dropHops
	dropNoRoute
	dropLinkDown
	dropTooBig
	dropOffload
	dropSendFailed
	dropKeyExhausted
	dropFragments
	dropControlFull
	dropTruncated
	reasons
)

var reasonNames = [reasons]string{
	dropShort:        "short_datagram",
	dropVersion:      "unknown_version",
	dropUnknownKey:   "unknown_key",
	dropForged:       "forged",
	dropReplayed:     "replayed",
	dropMalformed:    "malformed",
	dropOwn:          "own_frame",
	dropDuplicate:    "duplicate",
	dropHops:         "hop_limit",
	dropNoRoute:      "no_route",
	dropLinkDown:     "link_down",
	dropTooBig:       "too_big",
	dropOffload:      "bad_offload",
	dropSendFailed:   "send_failed",
	dropKeyExhausted: "key_exhausted",
	dropFragments:    "fragments_lost",
	dropControlFull:  "control_full",
	dropTruncated:    "truncated",
}

// drops counts by reason.
type drops [reasons]atomic.Uint64

func (d *drops) add(r reason, n int) { d[r].Add(uint64(n)) }

// Drops is how much was dropped since the start, by reason; reasons that never occurred are left out.
func (p *Plane) Drops() map[string]uint64 {
	all := map[string]uint64{}
	for r := range p.drops {
		if n := p.drops[r].Load(); n > 0 {
			all[reasonNames[r]] = n
		}
	}
	return all
}
