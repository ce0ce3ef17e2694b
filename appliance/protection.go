package appliance

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/forwarder/wireguard"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// protection is the WireGuard device below the overlays that ask for it (docs/adr/0022). followEngines owns it.
type protection struct {
	node   *Node
	device *wireguard.Device
	card   *wireguard.Card
	tried  time.Time
	broken string // why there is no device
	looked time.Time

	blocked []engine.Blocked // neighbours that frames would not reach through it
	ways    engine.Patience
}

// wantProtection reports whether an overlay asks for the device, or a kernel engine stands on it still.
func (e *engines) wantProtection() bool {
	for _, o := range e.node.network.inForce().Overlays {
		if o.Protected() {
			return true
		}
	}
	for _, p := range e.all() {
		if p.kernel != nil && p.protected {
			return true
		}
	}
	return false
}

// protect keeps the device in step with the neighbours, or away. Before a device goes, no engine stands on it any more: its frames would
// leave in clear text.
func (e *engines) protect(now time.Time) {
	p := &e.protection
	if !e.wantProtection() {
		e.expose(nil, now)
		p.broken, p.tried = "", time.Time{}
		return
	}
	if p.device == nil {
		if p.broken != "" && now.Sub(p.tried) < probeAgain {
			return
		}
		p.open(now)
	}
	if p.device == nil || now.Sub(p.looked) < quiet/3 { // every look costs a signature check for each neighbour
		return
	}
	p.looked = now
	if err := p.set(now); err != nil {
		e.expose(err, now)
	}
}

// expose takes the device away, because of err or because nobody wants it.
func (e *engines) expose(err error, now time.Time) {
	p := &e.protection
	if p.device == nil {
		return
	}
	for _, path := range e.all() {
		if path.kernel != nil && path.protected {
			path.fail(cmp.Or(err, errors.New("the WireGuard device goes")), now)
		}
	}
	if err != nil {
		p.fail(err, now)
	}
	if err := p.device.Close(); err != nil {
		p.node.log.Error("the WireGuard device was not removed: drawbridge doctor --clean", "err", err)
	}
	p.device, p.card, p.blocked, p.looked = nil, nil, nil, time.Time{}
}

// fail notes why there is no device, and says it once.
func (p *protection) fail(err error, now time.Time) {
	if why := firstLine(err); why != p.broken {
		p.node.log.Warn("this host cannot protect the underlay by WireGuard", "err", err)
		p.broken = why
	}
	p.tried = now
}

func (p *protection) open(now time.Time) {
	d, err := wireguard.Open(p.node.creds.ID())
	if err != nil {
		p.fail(err, now)
		return
	}
	p.device, p.broken = d, ""
	p.node.log.Info("WireGuard protects the underlay of the kernel engine", "device", wireguard.Name, "key", d.Key())
}

// set plans the device and does it.
func (p *protection) set(now time.Time) error {
	p.sign()
	peers, blocked := p.neighbours()
	plan, shared := wireguard.Make(p.node.creds.ID(), p.device.Key(), peers)
	if err := p.device.Set(plan); err != nil {
		return err
	}
	last, err := p.device.Handshakes()
	if err != nil {
		return err
	}
	for _, o := range peers {
		why := wireguard.Plan{Peers: []wireguard.Peer{o}}.Unheard(last, now)
		if !slices.ContainsFunc(plan.Peers, func(q wireguard.Peer) bool { return q.ID == o.ID }) {
			why = shared
		}
		if why != "" {
			blocked = append(blocked, engine.Blocked{Peer: o.ID, Why: why})
		}
	}
	p.blocked = blocked
	return nil
}

// sign makes the card that the others are told, anew when the certificate is.
func (p *protection) sign() {
	cert := p.node.creds.Certificate().Raw
	if p.card != nil && bytes.Equal(p.card.Certificate, cert) {
		return
	}
	card := wireguard.Sign(p.node.creds.ID(), p.device.Key(), cert, p.node.creds.Private)
	p.card = &card
}

// neighbours are the peers that frames can be handed to directly, and why one cannot be among them.
func (p *protection) neighbours() (all []wireguard.Peer, blocked []engine.Blocked) {
	for _, o := range p.node.router.Peers() {
		if o.State != mesh.StateDirect || o.Path != transit.PathUDP || !o.Remote.IsValid() {
			continue // underlayBlocks says so
		}
		key, err := p.keyOf(o.ID)
		switch {
		case err != nil:
			blocked = append(blocked, engine.Blocked{Peer: o.ID, Why: fmt.Sprintf("%s: %s", o.Name, firstLine(err))})
			continue
		case o.Remote.Addr().IsLinkLocalUnicast():
			blocked = append(blocked, engine.Blocked{Peer: o.ID, Why: fmt.Sprintf("%s is reached at a link-local address, which WireGuard cannot be given", o.Name)})
			continue
		}
		w := wireguard.Peer{ID: o.ID, Name: o.Name, Key: key, Endpoint: o.Remote.Addr()}
		if o.MTU > 0 {
			w.Datagram = o.MTU + transit.Overhead
		}
		all = append(all, w)
	}
	return all, blocked
}

var errNoCard = errors.New("no WireGuard key of it has come: it is new here, lacks WireGuard, or its software is older")

// keyOf is the key that a peer has signed.
func (p *protection) keyOf(id drawbridge.PeerID) (wireguard.Key, error) {
	card := p.node.engineWord(id).WireGuard
	if card == nil {
		return wireguard.Key{}, errNoCard
	}
	key, err := card.Open(id, func(der []byte) (drawbridge.PeerID, ed25519.PublicKey, error) {
		holder, err := p.node.creds.VerifyCertificate(der, time.Now())
		return holder.ID, holder.Key, err
	})
	return key, err
}

// against is why an overlay that asks for protection cannot have it here; empty: it can.
func (p *protection) against() string {
	if p.device == nil {
		return cmp.Or(p.broken, "WireGuard is being set up")
	}
	return ""
}
