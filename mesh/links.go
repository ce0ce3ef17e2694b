package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

var (
	errFull    = errors.New("this peer has as many links as it may have")
	errLeaving = errors.New("this peer is leaving the network")
)

// maxSeen bounds the addresses that a peer learns of itself.
const maxSeen = 4

// claim reserves the right to call a peer, and numbers the hello. Two calls to one peer at a time, from two
// addresses of it, would replace each other at the far end.
func (r *Router) claim(id drawbridge.PeerID) (serial uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.leaving:
		return 0, errLeaving
	case r.links[id] != nil || r.calling[id]:
		return 0, errDuplicate
	}
	r.calling[id] = true
	r.serial++
	return r.serial, nil
}

func (r *Router) unclaim(id drawbridge.PeerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calling, id)
}

// install makes l the link to its peer, or says why not. It numbers the hello that answers.
//
// When two peers call each other at once, the call of the smaller id is kept by both: the larger accepts it,
// the smaller refuses the other. A caller never says hello while it has a link, so a hello with a larger
// serial than the one that made the present link says that the far end has lost that one.
func (r *Router) install(l *link) (serial uint64, err error) {
	r.mu.Lock()
	old := r.links[l.id()]
	if err := r.mayInstall(l, old); err != nil {
		r.mu.Unlock()
		return 0, err
	}
	r.links[l.id()] = l
	r.serial++
	serial = r.serial
	r.learn(l)
	r.mu.Unlock()
	if old != nil {
		old.end(errReplaced)
		<-old.gone
	}
	return serial, nil
}

var errReplaced = errors.New("the far end made a newer link")

// mayInstall is called with mu held.
func (r *Router) mayInstall(l, old *link) error {
	switch {
	case r.leaving || r.ctx.Err() != nil:
		return errLeaving
	case l.id() == r.id && l.hello.UID == r.uid:
		return ErrSelf
	case l.id() == r.id:
		return ErrClone
	case r.config.Credentials.Revocations.Revoked(l.id()): // since the handshake
		return fmt.Errorf("peer %s: %w", l.peer.Name, secure.ErrRevoked)
	case old != nil && old.hello.UID == l.hello.UID && l.hello.Serial < old.hello.Serial:
		return errDuplicate
	case old == nil && !l.dialled && r.calling[l.id()] && r.id < l.id():
		return errDuplicate
	case old == nil && len(r.links) >= r.config.MaxLinks:
		return errFull
	}
	return nil
}

// learn takes from a link where others can call us. A caller says where it has called us, through whatever
// forwards ports to us. One that we called says from where we came: when that is our own address there is no
// NAT between, and our listener can be called at it. Called with mu held.
func (r *Router) learn(l *link) {
	if r.config.Advertise != nil {
		return
	}
	at := l.hello.Seen
	if l.dialled {
		here, _ := addrPort(l.local)
		i := slices.IndexFunc(r.listens, func(a netip.AddrPort) bool { return a.Addr().IsUnspecified() })
		if i < 0 || at.Addr() != here.Addr() {
			return
		}
		at = netip.AddrPortFrom(at.Addr(), r.listens[i].Port())
	}
	if !at.Addr().IsGlobalUnicast() || slices.Contains(r.seen, at) || slices.Contains(r.listens, at) {
		return
	}
	r.seen = append(r.seen[max(0, len(r.seen)-maxSeen+1):], at)
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	ap, err := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), err == nil
}

// endpoints is where others can call us; called with mu held.
func (r *Router) endpoints() (out []netip.AddrPort) {
	if r.config.Advertise != nil {
		return r.fixed
	}
	for _, a := range r.listens {
		if !a.Addr().IsUnspecified() {
			out = append(out, a)
		}
	}
	return append(out, r.seen...)
}

// hello introduces us to the far end at remote.
func (r *Router) hello(serial uint64, remote net.Addr) *wire.Hello {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, _ := addrPort(remote)
	c := r.config.Credentials
	return &wire.Hello{
		ID: r.id, UID: r.uid, Network: c.Network.ID, Serial: serial, Features: r.config.Features,
		Name: c.Name, Software: r.config.Software, Endpoints: r.endpoints(), Seen: seen,
	}
}

// serve runs an installed link, and cleans up after it.
func (r *Router) serve(ctx context.Context, l *link) {
	data := r.config.Plane.AddLink(transit.LinkConfig{
		Peer: l.id(), Name: l.peer.Name, Exporter: l.secret, Dialler: l.dialled,
		Control:   func(msg []byte) error { return l.queue.push(wire.KindTransit, msg) },
		Endpoints: udpEndpoints(l),
		Changed:   func(s transit.LinkState) { r.linkChanged(l, s) },
	})
	r.mu.Lock()
	l.data = data
	r.mu.Unlock()
	r.journal.tell("link_up", l.peer.Name, "control link is up, "+l.describe())
	r.all.Go(func() {
		defer close(l.gone)
		r.linkBegins(l)
		reason := l.run(ctx, handler{r.receive, func(s net.Conn) { r.all.Go(func() { r.serveStream(s) }) }})
		l.data.Close()
		r.uninstall(l)
		if ctx.Err() == nil {
			r.journal.tell("link_down", l.peer.Name, fmt.Sprintf("control link is down: %v", reason))
		}
	})
}

func (l *link) describe() string {
	if l.dialled {
		return fmt.Sprintf("called at %s", l.remote)
	}
	return fmt.Sprintf("called from %s", l.remote)
}

// udpEndpoints is where the far end may hear datagrams: where we called it, and where it says.
func udpEndpoints(l *link) (out []netip.AddrPort) {
	if a, ok := addrPort(l.remote); ok && l.dialled {
		out = append(out, a)
	}
	for _, e := range l.hello.Endpoints {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// linkBegins tells a new neighbour what it may not know.
func (r *Router) linkBegins(l *link) {
	r.mu.Lock()
	own := r.sign()
	digest := wire.Digest{Answer: true, Entries: r.topo.Digest()}
	r.touch()
	r.mu.Unlock()
	if len(r.config.Credentials.Revocations.List()) > 0 { // first, so that no records of removed peers come back
		r.send(l, wire.KindRevocations, r.config.Credentials.Revocations.Snapshot())
	}
	r.sendRecords(l, [][]byte{own})
	r.send(l, wire.KindDigest, digest.Append(nil))
	r.members.join(l.id())
	r.maker.wake()
}

// linkChanged hears of the data link.
func (r *Router) linkChanged(l *link, s transit.LinkState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.state = s
	r.touch()
	r.wake()
}

func (r *Router) uninstall(l *link) {
	r.mu.Lock()
	if r.links[l.id()] == l {
		delete(r.links, l.id())
	}
	l.state.Up = false
	r.touch()
	r.mu.Unlock()
	r.wake()
	r.maker.wake()
}

// receive handles one message of a link. An error ends the link.
func (r *Router) receive(l *link, k wire.Kind, body []byte) error {
	switch k {
	case wire.KindTransit:
		l.data.HandleControl(body)
		return nil
	case wire.KindRecords:
		return r.receiveRecords(l, body)
	case wire.KindDigest:
		return r.receiveDigest(l, body)
	case wire.KindPacket, wire.KindChannel:
		return r.receiveRouted(k, body)
	case wire.KindRevocations:
		return r.receiveRevocations(l, body)
	case wire.KindLeave:
		return errLeft
	case wire.KindRefuse:
		return r.refused(l, body)
	case wire.KindHello:
		return fmt.Errorf("a second hello: %w", wire.ErrMessage)
	}
	r.drop("message: unknown kind") // of a later version
	return nil
}

var errLeft = errors.New("the peer has left")
