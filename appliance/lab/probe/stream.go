package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// Stream asks one host from another at a steady pace until ctx ends, and says how long it was interrupted: that is
// what a person on the phone would hear of a failover.
func Stream(ctx context.Context, from Host, to netip.Addr, interval time.Duration) (netlab.Stream, error) {
	n, err := netlab.Open(from.Netns)
	if err != nil {
		return netlab.Stream{}, fmt.Errorf("host %s: %w", from.Name, err)
	}
	defer n.Close()
	return n.Stream(ctx, to, interval)
}

// Throughput sends as much as one TCP connection takes from one host to an address of another until ctx ends.
func Throughput(ctx context.Context, from, to Host, addr netip.Addr) (netlab.Rate, error) {
	spaces, err := open([]Host{from, to})
	if err != nil {
		return netlab.Rate{}, err
	}
	r, err := spaces[0].Transfer(ctx, spaces[1], addr)
	return r, errors.Join(err, closeAll(spaces))
}
