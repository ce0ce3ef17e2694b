package appliance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/ipam/arp"
)

// lookout is an overlay as the address management hears and asks it: a port of the switch without a device behind it. What it
// sends goes to all ports of the overlay here and at other peers, and so to the VLAN; broadcasts of all of them come in.
type lookout struct {
	// Set at construction, then constant.
	vni      drawbridge.VNI
	prefixes []netip.Prefix
	prober   *arp.Prober
	listener *arp.Listener
	out      chan drawbridge.Frame
	heard    chan arp.Sighting // who uses an address, as news
	closed   chan struct{}
	once     sync.Once
	ended    chan struct{} // closed when nothing of it runs any more
}

var _ forwarder.Port = (*lookout)(nil)

// Memory of a lookout: who spoke last, and when what was told once is told again.
const (
	rememberUsers = 16384
	repeatUse     = time.Minute
)

// lookAtMost is how long the address management is left alone between two looks at addresses in use: anybody can make up
// as many as the wire bears.
const lookAtMost = 20 * time.Millisecond

func newLookout(self drawbridge.PeerID, vni drawbridge.VNI, prefixes []netip.Prefix) *lookout {
	w := &lookout{
		vni: vni, prefixes: prefixes, listener: arp.NewListener(prefixes, rememberUsers, repeatUse),
		out: make(chan drawbridge.Frame, 64), heard: make(chan arp.Sighting, 64), closed: make(chan struct{}), ended: make(chan struct{}),
	}
	w.prober = arp.NewProber(probeMAC(self), arp.Quick, func(f drawbridge.Frame) {
		select {
		case w.out <- f:
		default: // the probe is sent again
		}
	})
	return w
}

// probeMAC is the source of probes: locally administered, another for each peer, and none of those that hellos have.
func probeMAC(self drawbridge.PeerID) (m drawbridge.MAC) {
	m[0], m[1] = 0x06, 0xdb
	binary.BigEndian.PutUint32(m[2:], uint32(self))
	return m
}

// Name implements forwarder.Port.
func (w *lookout) Name() string { return fmt.Sprintf("addresses of overlay %d", w.vni) }

// spare is what ReadBatch promises behind a frame.
const spare = 256

// ReadBatch implements forwarder.Port.
func (w *lookout) ReadBatch(ps []drawbridge.Packet) (int, error) {
	select {
	case <-w.closed:
		return 0, os.ErrClosed
	case f := <-w.out:
		ps[0] = drawbridge.Packet{Frame: append(make(drawbridge.Frame, 0, len(f)+spare), f...)}
		return 1, nil
	}
}

// WriteBatch implements forwarder.Port: it hears.
func (w *lookout) WriteBatch(ps []drawbridge.Packet) (int, error) {
	for i := range ps {
		if f := ps[i].Frame; mayResolve(f) {
			w.hear(f)
		}
	}
	return len(ps), nil
}

// mayResolve spares the rest of the look at what cannot be ARP or neighbour discovery.
func mayResolve(f drawbridge.Frame) bool {
	const etherARP, etherVLAN, etherIPv6, icmp, next = 0x0806, 0x8100, 0x86dd, 58, 14 + 6
	if len(f) < drawbridge.MinFrame {
		return false
	}
	switch f.EtherType() {
	case etherARP, etherVLAN:
		return true
	case etherIPv6:
		return len(f) > next && f[next] == icmp
	}
	return false
}

func (w *lookout) hear(f drawbridge.Frame) {
	w.prober.Hear(f)
	s, news := w.listener.Hear(time.Now(), f)
	if news == arp.Nothing {
		return
	}
	select {
	case w.heard <- s:
	default: // it is told again in a while
	}
}

// Close implements forwarder.Port.
func (w *lookout) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// lookouts are those of the overlays with a subnet.
type lookouts struct {
	node *Node
	mu   sync.Mutex // guards what follows
	all  map[drawbridge.VNI]*lookout
}

// follow opens and closes lookouts as a configuration says, and is called by one goroutine. They end with ctx.
func (m *lookouts) follow(ctx context.Context, d *netconfig.Document) {
	want := map[drawbridge.VNI][]netip.Prefix{}
	for _, s := range d.Subnets {
		if o, ok := d.Overlay(s.Overlay); ok {
			if p, err := netip.ParsePrefix(s.CIDR); err == nil {
				want[o.VNI] = append(want[o.VNI], p)
			}
		}
	}
	for _, w := range m.strike(want) {
		_ = w.Close()
		<-w.ended
	}
	for vni, prefixes := range want {
		m.open(ctx, vni, prefixes)
	}
}

// strike takes those off the list that are not wanted as they are, and leaves in want what is to be opened.
func (m *lookouts) strike(want map[drawbridge.VNI][]netip.Prefix) (gone []*lookout) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for vni, w := range m.all {
		if slices.Equal(want[vni], w.prefixes) {
			delete(want, vni)
			continue
		}
		gone = append(gone, w)
		delete(m.all, vni)
	}
	return gone
}

// open makes a lookout and what runs on it.
func (m *lookouts) open(ctx context.Context, vni drawbridge.VNI, prefixes []netip.Prefix) {
	w := newLookout(m.node.creds.ID(), vni, prefixes)
	a, err := m.node.sw.Attach(forwarder.PortConfig{Port: w, VNI: vni})
	if err != nil {
		m.node.log.Error("addresses are given without asking on the wire who uses them", "err", err)
		return
	}
	m.mu.Lock()
	if m.all == nil {
		m.all = map[drawbridge.VNI]*lookout{}
	}
	m.all[vni] = w
	m.mu.Unlock()
	var group sync.WaitGroup
	group.Go(func() { _ = a.Run(ctx) })
	group.Go(func() { m.watch(ctx, w) })
	go func() {
		defer close(w.ended)
		defer context.AfterFunc(ctx, func() { _ = w.Close() })()
		group.Wait()
		a.Detach()
	}()
}

// wait returns when all lookouts have ended.
func (m *lookouts) wait() {
	for _, w := range m.strike(nil) {
		<-w.ended
	}
}

// on is the lookout for an address; nil when there is none.
func (m *lookouts) on(a netip.Addr) *lookout {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.all {
		if slices.ContainsFunc(w.prefixes, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return w
		}
	}
	return nil
}

// forget drops what was heard of an address whose user has given it up.
func (m *lookouts) forget(a netip.Addr) {
	if w := m.on(a); w != nil {
		w.listener.Forget(a)
	}
}

// watch looks at addresses that are heard in use: one that this peer gave to somebody else is asked for, and if it is
// really in use there, it is foreign from then on, and its owner gets another one when it asks next.
func (m *lookouts) watch(ctx context.Context, w *lookout) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.closed:
			return
		case s := <-w.heard:
			m.look(ctx, w, s)
		}
		pause(ctx, lookAtMost)
	}
}

func (m *lookouts) look(ctx context.Context, w *lookout, s arp.Sighting) {
	var owner string
	var given bool
	if err := m.node.addresses.Do(ctx, func(p *ipam.Peer, _ ipam.Instant) { owner, given = p.Owner(s.Addr) }); err != nil || !given {
		return
	}
	user, known := m.node.macOf(owner)
	if !known || user == s.MAC {
		return
	}
	if v, err := w.prober.Ask(ctx, s.Addr, user); err == nil && v.State == arp.Taken && !v.Rival {
		m.node.foreign(ctx, s.Addr, v.By, true)
	}
}

// errInUse says that somebody on the wire has the address.
var errInUse = fmt.Errorf("somebody else uses it: %w", ipam.ErrTaken)

// probe asks on the wire whether anybody but the guest uses an address that was just allocated for it (RFC 5227 §2.1,
// RFC 4862 §5.4). An address in use is foreign from then on; one of which nothing is known, as there was no time, is
// given back.
func (n *Node) probe(ctx context.Context, subnet netip.Prefix, a netip.Addr, guest ...drawbridge.MAC) error {
	w := n.addresses.lookouts.on(a)
	if w == nil {
		return nil // the subnet is of no overlay: there is nobody to ask
	}
	if u, ok := w.listener.Lookup(a); ok && time.Since(u.Last) < repeatUse && !slices.Contains(guest, u.MAC) && !n.isGuest(u.MAC) {
		n.foreign(ctx, a, u.MAC, false)
		return fmt.Errorf("%s on %s: %w", a, subnet, errInUse)
	}
	v, err := w.prober.Ask(ctx, a, guest...)
	switch {
	case err != nil:
		n.takeBack(a)
		return fmt.Errorf("%s was not looked for on the wire: %w", a, err)
	case v.State == arp.Taken && v.Rival:
		n.takeBack(a)
		return fmt.Errorf("%s is wanted by %s as well: %w", a, v.By, ipam.ErrTaken)
	case v.State == arp.Taken:
		n.foreign(ctx, a, v.By, false)
		return fmt.Errorf("%s on %s: %w", a, subnet, errInUse)
	}
	return nil
}

// takeBack frees an address of which nobody was told.
func (n *Node) takeBack(a netip.Addr) {
	ctx, cancel := context.WithTimeout(context.Background(), wantedFor)
	defer cancel()
	if err := n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) { _ = p.Release(now, a) }); err != nil {
		n.log.Debug("address not freed; it is when its time is over", "err", err)
	}
}

// foreign marks an address that somebody uses who did not get it from us; told says whether somebody else was told it.
func (n *Node) foreign(ctx context.Context, a netip.Addr, by drawbridge.MAC, told bool) {
	var failed error
	err := n.addresses.Do(ctx, func(p *ipam.Peer, now ipam.Instant) { failed = p.Foreign(now, a, by.String(), told) })
	if err = errors.Join(err, failed); err != nil {
		n.log.Warn("an address in use was not marked", "mac", by, "err", err)
	}
	n.changed.tell()
}
