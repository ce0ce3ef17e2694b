package kernel

import "fmt"

// countNames are the counters of bpf/maps.h in its order. Reasons of drops have the names that package forwarder
// gives them where it has them.
var countNames = [...]string{
	"short_frame", "bad_source", "link_local", "echo", "stale_epoch", "split_horizon", "gate_shut", "no_active_gateway",
	"told_too_big", "port_refused", "misdirected", "unknown_peer", "wrong_parent", "hop_limit", "tunnel_refused",
	"not_renewed", "storm",
	"captured", "received", "relayed", "injected", "sent", "lost_events",
}

// notDrops is how many counters at the end of the list are none.
const notDrops = 6

// Drops are the counters of frames that went nowhere.
func (e *Engine) Drops() (map[string]uint64, error) {
	all, err := e.Counters()
	for _, name := range countNames[len(countNames)-notDrops:] {
		delete(all, name)
	}
	return all, err
}

// Counters adds up the processors' counts. Names that count nothing are left out.
func (e *Engine) Counters() (map[string]uint64, error) {
	sums := map[string]uint64{}
	for i, name := range countNames {
		var each []uint64
		if err := e.maps[mapCounts].Lookup(uint32(i), &each); err != nil {
			return nil, fmt.Errorf("counter %s: %w", name, err)
		}
		for _, n := range each {
			sums[name] += n
		}
		if sums[name] == 0 {
			delete(sums, name)
		}
	}
	return sums, nil
}
