package appliance

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/appliance/subnets"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/web"
)

// checkSubnets reports what is wrong with the subnets of a document that only this network can know.
func (n *Node) checkSubnets(ctx context.Context, d *netconfig.Document) error {
	decided, err := decisions{n}.Known(ctx)
	if err != nil {
		n.log.Debug("subnets are checked without what is decided", "err", err)
	}
	return subnets.Check(d.Subnets, decided, func() []subnets.Nearby { return n.everybodysSurroundings(ctx) })
}

// SuggestSubnet implements web.Addresser.
func (n *Node) SuggestSubnet(ctx context.Context, from []string) (web.SubnetSuggestion, error) {
	return subnets.Suggest(from, configured(n.network.inForce()), n.everybodysSurroundings(ctx))
}

// maxNearby bounds what a peer tells: a host with a full table of the Internet's routes is no place to look for more.
const maxNearby = 4096

// surroundings are the routes and neighbours of this host. What is behind the ports of the switch is left out: that is the
// overlay itself.
func (n *Node) surroundings() (out []subnets.Nearby) {
	own := n.ownInterfaces()
	for _, r := range hostnet.Reached() {
		if !own[r.On] && len(out) < maxNearby {
			out = append(out, subnets.Nearby{Prefix: r.Prefix, What: r.What, On: r.On, Peer: string(n.creds.Name)})
		}
	}
	return out
}

// ownInterfaces are those of the ports, and the bridges that they are in.
func (n *Node) ownInterfaces() map[string]bool {
	own := map[string]bool{"lo": true}
	for _, p := range n.ports {
		own[p.name()], own[p.interfaceName()] = true, true
		if p.guest != nil && p.guest.Bridge != "" {
			own[p.guest.Bridge] = true
		}
	}
	return own
}

// everybodysSurroundings are those of all peers that answer in time, and the addresses that the mesh runs on.
func (n *Node) everybodysSurroundings(ctx context.Context) []subnets.Nearby {
	ctx, cancel := context.WithTimeout(ctx, wantedFor)
	defer cancel()
	out := append(n.underlay(), n.surroundings()...)
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, p := range n.reachablePeers() {
		group.Go(func() {
			r, err := n.askAddresses(ctx, p.ID, addressQuestion{Op: opNearby})
			if err != nil {
				n.log.Debug("routes of a peer not heard", "peer", p.Name, "err", err)
			}
			mu.Lock()
			defer mu.Unlock()
			out = append(out, r.Nearby[:min(len(r.Nearby), maxNearby)]...)
		})
	}
	group.Wait()
	return out
}

// underlay is every address by which a peer is or may be reached.
func (n *Node) underlay() (out []subnets.Nearby) {
	for _, p := range n.router.Peers() {
		for _, e := range append(slices.Clone(p.Endpoints), p.Remote) {
			if a := e.Addr().Unmap(); a.IsValid() && !a.IsUnspecified() {
				out = append(out, subnets.Nearby{Prefix: netip.PrefixFrom(a.WithZone(""), a.BitLen()), What: subnets.OnMesh, Peer: string(p.Name)})
			}
		}
	}
	return out
}

// unusedEvery is how often all peers are asked whether they still use a subnet that is on its way out.
const unusedEvery = 5 * time.Second

// unused reports whether all of these peers say, under decisions at least so new, that they have promised nothing of a subnet.
func (n *Node) unused(ctx context.Context, members []drawbridge.PeerID, subnet netip.Prefix, decision uint32) bool {
	n.addresses.mu.Lock()
	early := time.Since(n.addresses.askedUnused) < unusedEvery
	if !early {
		n.addresses.askedUnused = time.Now()
	}
	n.addresses.mu.Unlock()
	if early {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, anyFor)
	defer cancel()
	q := addressQuestion{Op: opUnused, Subnet: subnet.String()}
	answers := make(chan bool, len(members))
	for _, id := range members {
		go func() {
			var r addressReply
			var err error
			if id == n.creds.ID() {
				r, err = n.usedHere(ctx, q)
			} else {
				r, err = n.askAddresses(ctx, id, q)
			}
			answers <- err == nil && r.Decision >= decision && r.Used == 0
		}()
	}
	all := true
	for range members {
		all = <-answers && all
	}
	return all
}

// usedHere answers such a question.
func (n *Node) usedHere(ctx context.Context, q addressQuestion) (r addressReply, err error) {
	subnet, err := netip.ParsePrefix(q.Subnet)
	if err != nil {
		return r, err
	}
	err = n.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) { r.Decision, r.Used = p.InUse(subnet) })
	return r, err
}
