package appliance

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/ipam"
)

// nearby is address space that a peer's host reaches without the mesh: a subnet with the same addresses would be reached the
// wrong way there.
type nearby struct {
	Prefix netip.Prefix `json:"prefix"`
	What   string       `json:"what"` // "route", "neighbour", onMesh, inNetwork
	On     string       `json:"on"`   // the interface
	Peer   string       `json:"peer,omitempty"`
}

// What an address is that is not one of a host.
const (
	onMesh    = "mesh"   // the mesh runs on it
	inNetwork = "subnet" // the network has the subnet already
)

func (s nearby) String() string {
	switch s.What {
	case onMesh:
		return fmt.Sprintf("%s, by which the mesh reaches peer %s", s.Prefix.Addr(), s.Peer)
	case inNetwork:
		return fmt.Sprintf("%s, a subnet of the network already", s.Prefix)
	}
	return fmt.Sprintf("%s, a %s on %s of peer %s", s.Prefix, s.What, s.On, s.Peer)
}

// maxNearby bounds what a peer tells: a host with a full table of the Internet's routes is no place to look for more.
const maxNearby = 4096

// surroundings are the routes and neighbours of this host. What is behind the ports of the switch is left out: that is the
// overlay itself.
func (n *Node) surroundings() (out []nearby) {
	own := n.ownInterfaces()
	for _, source := range []struct {
		path string
		read func(io.Reader) []nearby
	}{{"/proc/net/route", routes4}, {"/proc/net/ipv6_route", routes6}, {"/proc/net/arp", neighbours4}} {
		f, err := os.Open(source.path)
		if err != nil {
			continue // a kernel without that family
		}
		for _, s := range source.read(f) {
			if !own[s.On] && len(out) < maxNearby {
				s.Peer = string(n.creds.Name)
				out = append(out, s)
			}
		}
		_ = f.Close()
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

// rows are the fields of the lines after the first skip ones.
func rows(r io.Reader, skip int) (out [][]string) {
	for lines := bufio.NewScanner(r); lines.Scan(); skip-- {
		if skip <= 0 {
			out = append(out, strings.Fields(lines.Text()))
		}
	}
	return out
}

// routes4 reads /proc/net/route: interface, destination, gateway, five numbers, mask; addresses in the order of the host,
// which is little endian on all that we run on.
func routes4(r io.Reader) (out []nearby) {
	for _, f := range rows(r, 1) {
		if len(f) < 8 {
			continue
		}
		to, err1 := hex.DecodeString(f[1])
		mask, err2 := hex.DecodeString(f[7])
		if err1 != nil || err2 != nil || len(to) != 4 || len(mask) != 4 {
			continue
		}
		slices.Reverse(to)
		slices.Reverse(mask)
		length := 0
		for length < 32 && mask[length/8]&(0x80>>(length%8)) != 0 {
			length++
		}
		if length > 0 {
			out = append(out, nearby{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte(to)), length).Masked(), What: "route", On: f[0]})
		}
	}
	return out
}

// routes6 reads /proc/net/ipv6_route: destination, its length in hexadecimal, seven more, interface.
func routes6(r io.Reader) (out []nearby) {
	for _, f := range rows(r, 0) {
		if len(f) < 10 {
			continue
		}
		to, err := hex.DecodeString(f[0])
		length, err2 := strconv.ParseUint(f[1], 16, 8)
		if err != nil || err2 != nil || len(to) != 16 || length == 0 || length > 128 {
			continue
		}
		if a := netip.AddrFrom16([16]byte(to)); !a.IsLinkLocalUnicast() && !a.IsMulticast() {
			out = append(out, nearby{Prefix: netip.PrefixFrom(a, int(length)).Masked(), What: "route", On: f[9]})
		}
	}
	return out
}

// neighbours4 reads /proc/net/arp: address, type, flags, hardware address, mask, interface.
func neighbours4(r io.Reader) (out []nearby) {
	for _, f := range rows(r, 1) {
		if len(f) < 6 || f[3] == "00:00:00:00:00:00" {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil && a.Is4() {
			out = append(out, nearby{Prefix: netip.PrefixFrom(a, 32), What: "neighbour", On: f[5]})
		}
	}
	return out
}

// everybodysSurroundings are those of all peers that answer in time, and the addresses that the mesh runs on.
func (n *Node) everybodysSurroundings(ctx context.Context) []nearby {
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
func (n *Node) underlay() (out []nearby) {
	for _, p := range n.router.Peers() {
		for _, e := range append(slices.Clone(p.Endpoints), p.Remote) {
			if a := e.Addr().Unmap(); a.IsValid() && !a.IsUnspecified() {
				out = append(out, nearby{Prefix: netip.PrefixFrom(a.WithZone(""), a.BitLen()), What: onMesh, Peer: string(p.Name)})
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
