package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease/warden"
	"github.com/drawbridge-net/drawbridge/failover/raftgroup"
	"github.com/drawbridge-net/drawbridge/failover/steward"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
	"github.com/drawbridge-net/drawbridge/web"
)

// FounderFile in the state directory says that this peer founded the network, and has yet to found the group
// of its voters.
const FounderFile = "found-voters"

// MarkFounder notes in a state directory that its peer is the first voter. The command that founds the
// network calls it; the group itself is founded when the peer first runs.
func MarkFounder(stateDir string) error {
	return os.WriteFile(filepath.Join(stateDir, FounderFile), nil, 0o600)
}

// voter is this peer's part in the decisions of the network.
type voter struct {
	group   *raftgroup.Group
	steward *steward.Steward
	agent   *warden.Warden
	changes chan warden.Change // of tenures here
}

// votersPort is beside the port of the mesh: 6631 when that is 6630.
func votersPort(mesh netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(mesh.Addr(), mesh.Port()+1)
}

// openVoter opens this peer's part in the Raft group, if its certificate makes it a voter.
func (n *Node) openVoter() (*voter, error) {
	if !n.creds.Self().Roles.Has(secure.Voter) {
		return nil, nil
	}
	listen, err := netip.ParseAddrPort(n.cfg.Listen[0])
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", n.cfg.Listen[0], err)
	}
	address, err := n.votersAddress(listen)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", votersPort(listen).String())
	if err != nil {
		return nil, fmt.Errorf("listen for voters: %w", err)
	}
	dir := filepath.Join(n.creds.Dir(), "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		_ = l.Close()
		return nil, err
	}
	g, err := raftgroup.Open(raftgroup.Config{
		Self: n.creds.Name, Address: address, Dir: dir, Listener: l, Log: n.log, Accept: n.acceptVoter, Dial: n.dialVoter,
	})
	if err != nil {
		return nil, err
	}
	if err := n.foundVoters(g); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	a, err := n.openAgent(listen)
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	v := &voter{group: g, agent: a, changes: make(chan warden.Change, 1024)}
	v.steward = steward.New(steward.Config{Self: n.creds.Name, Group: g, View: n.stewardView, Log: n.log})
	return v, nil
}

// current waits until this voter knows all that was decided before it started, for so long as who asks it something would. A voter that
// has just started knows nothing of that for a tenth of a second, or what its snapshot has; false: no majority has told it yet.
func (v *voter) current(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, awaitReach)
	defer cancel()
	select {
	case <-v.group.Current():
		return true
	case <-ctx.Done():
		return v.isCurrent()
	}
}

// isCurrent does not wait.
func (v *voter) isCurrent() bool {
	select {
	case <-v.group.Current():
		return true
	default:
		return false
	}
}

// unknowing is the answer of a voter to what it cannot know before it is current. Who asks may ask another one, or again.
func (n *Node) unknowing() error {
	return fmt.Errorf("%w: voter %s has started and no majority of the voters has told it yet what was decided: look at drawbridge voters", web.ErrUnavailable, n.creds.Name)
}

// foundVoters founds the group if this peer founded the network and has not done so yet.
func (n *Node) foundVoters(g *raftgroup.Group) error {
	marker := filepath.Join(n.creds.Dir(), FounderFile)
	if _, err := os.Stat(marker); err != nil {
		return nil
	}
	if err := g.Found(); err != nil && !errors.Is(err, raftgroup.ErrFounded) {
		return fmt.Errorf("found the group of voters: %w", err)
	}
	return os.Remove(marker)
}

// votersAddress is where other voters reach this one: on the host that it advertises, or listens on, or on the
// first address of this host that others could reach.
func (n *Node) votersAddress(listen netip.AddrPort) (string, error) {
	for _, a := range n.cfg.Advertise {
		host, _, err := net.SplitHostPort(a)
		if err == nil {
			return net.JoinHostPort(host, fmt.Sprint(votersPort(listen).Port())), nil
		}
	}
	if !listen.Addr().IsUnspecified() {
		return votersPort(listen).String(), nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("addresses of this host: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			addr, _ := netip.AddrFromSlice(ip.IP)
			return votersPort(netip.AddrPortFrom(addr.Unmap(), listen.Port())).String(), nil
		}
	}
	return "", errors.New("this host has no address that other voters could reach: set advertise in the node file")
}

// errNoVoter refuses a peer that may not take part in decisions.
var errNoVoter = errors.New("only voters take part in decisions")

func (n *Node) acceptVoter(ctx context.Context, raw net.Conn) (net.Conn, error) {
	conn, peer, err := n.creds.Accept(ctx, raw, nil)
	if err != nil {
		return nil, err
	}
	if !peer.Roles.Has(secure.Voter) { // a joining connection has nobody, and no role
		_ = conn.Close()
		return nil, fmt.Errorf("%s calls: %w", raw.RemoteAddr(), errNoVoter)
	}
	return conn, nil
}

func (n *Node) dialVoter(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, peer, err := n.creds.Connect(ctx, raw, nil)
	if err != nil {
		return nil, err
	}
	if !peer.Roles.Has(secure.Voter) {
		_ = conn.Close()
		return nil, fmt.Errorf("%s answers as %s: %w", addr, peer.Name, errNoVoter)
	}
	return conn, nil
}

// run keeps the voters in step until ctx ends, and then leaves the group's connections.
func (v *voter) run(ctx context.Context) error {
	err := v.steward.Run(ctx)
	return errors.Join(err, v.group.Close())
}

// stewardView is what the mesh knows of voters and segments.
func (n *Node) stewardView(state raftgroup.State) steward.View {
	v := steward.View{Removed: map[drawbridge.PeerID]drawbridge.PeerName{}, FloorHeld: -1, TimersHeld: n.timersHeld(&state)}
	for id, r := range state.Revoked {
		v.Removed[id] = r.Name
	}
	for _, r := range n.creds.Revocations.List() {
		v.Removed[r.ID] = r.Name
	}
	if len(state.Sets.Former) > 0 {
		if since, ok := n.voter.agent.FloorSince(state.Sets.Former, state.Sets.Floor); ok {
			v.FloorHeld = gate.Now().Sub(since)
		}
	}
	for _, p := range n.router.Peers() {
		if p.Roles.Has(secure.Voter) {
			m := steward.Member{Name: p.Name, ID: p.ID, Reachable: p.State != mesh.StateUnreachable && p.State != mesh.StateLeft}
			if len(p.Endpoints) > 0 {
				m.Address = votersPort(p.Endpoints[0]).String()
			}
			v.Members = append(v.Members, m)
		}
		for _, port := range p.Ports {
			known := slices.ContainsFunc(v.Segments, func(w steward.Wanted) bool { return w.Name == port.SegmentName })
			if port.Kind == wire.PortSegment && !known {
				v.Segments = append(v.Segments, steward.Wanted{Name: port.SegmentName, VNI: port.VNI})
			}
		}
	}
	return v
}
