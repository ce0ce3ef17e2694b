package appliance

import (
	"context"
	"time"

	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
)

// bringConfiguration has voters whose group this peer founded anew, all others being lost, go by the network configuration that this
// peer was restored with: whoever brings a network back from a backup expects the network, not its defaults. Only the founder of a
// group can lead one that has no version while it knows one itself.
func (n *Node) bringConfiguration(ctx context.Context) error {
	_, number, _ := n.network.standing()
	if number == 0 {
		return nil // there is none, or this peer is new
	}
	tick := time.NewTicker(seedEvery)
	defer tick.Stop()
	for said := ""; ; {
		if state, _ := n.voter.group.State(); state.LastVersion != 0 {
			return nil
		}
		if _, here := n.voter.group.Leader(); here {
			err := n.inheritConfiguration(ctx, number)
			if err == nil {
				return nil
			}
			if err.Error() != said && ctx.Err() == nil {
				said = err.Error()
				n.log.Error("the network configuration of the backup is not in force yet", "version", number, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *Node) inheritConfiguration(ctx context.Context, number uint64) error {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	d := n.network.inForce()
	document, err := d.JSON()
	if err != nil {
		return err
	}
	v := raftgroup.Version{Number: number, Time: time.Now(), Document: document, Follows: follows(d)}
	if err := n.voter.group.Inherit(ctx, v, string(n.creds.Name)); err != nil {
		return decision(err)
	}
	n.log.Info("the voters were founded anew, and go by the network configuration that this peer was restored with", "version", number)
	return nil
}
