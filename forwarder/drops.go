package forwarder

import "sync/atomic"

// reason says why a frame was dropped. The words are stable: docs/protocol/forwarding.md lists them.
type reason int

const (
	dropShort reason = iota
	dropBadSource
	dropLinkLocal
	dropEcho
	dropStaleEpoch
	dropEpochConflict
	dropNotGateway
	dropSplitHorizon
	dropGateShut
	dropStorm
	dropNoGateway
	dropUnknownVNI
	dropTooBig
	dropPort
	dropMACLimit // the frame went on, its source was not learned
	dropMisdirected
	dropForeign
	dropSuspended
	reasons
)

var reasonNames = [reasons]string{
	dropShort:         "short_frame",
	dropBadSource:     "bad_source",
	dropLinkLocal:     "link_local",
	dropEcho:          "echo",
	dropStaleEpoch:    "stale_epoch",
	dropEpochConflict: "epoch_conflict",
	dropNotGateway:    "not_a_gateway",
	dropSplitHorizon:  "split_horizon",
	dropGateShut:      "gate_shut",
	dropStorm:         "storm",
	dropNoGateway:     "no_active_gateway",
	dropUnknownVNI:    "unknown_vni",
	dropTooBig:        "told_too_big",
	dropPort:          "port_refused",
	dropMACLimit:      "mac_limit",
	dropMisdirected:   "misdirected",
	dropForeign:       "foreign_dhcp",
	dropSuspended:     "other_engine",
}

// drops counts by reason.
type drops [reasons]atomic.Uint64

func (d *drops) add(r reason, n int) { d[r].Add(uint64(n)) }

func (d *drops) counts(into map[string]uint64) {
	for r := range d {
		if n := d[r].Load(); n > 0 {
			into[reasonNames[r]] += n
		}
	}
}
