package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// network is a simulated mesh: peers with the part of a driver that concerns gossip, control links between
// them with delay and loss, and time in ticks. Control links are TCP and lose nothing in reality; the loss
// stands for full queues and links that break with messages inside.
type network struct {
	rng   *rand.Rand
	now   int
	peers map[drawbridge.PeerID]*peer
	ids   []drawbridge.PeerID
	links map[pair]weights
	cut   map[pair]bool // links that a partition or a crash has taken away
	queue map[int][]message

	adjacent map[drawbridge.PeerID][]drawbridge.PeerID // what neighbours found out, until a link changes

	loss        float64
	delay       int  // ticks that a message takes at most
	antiEntropy int  // ticks between digests
	old         bool // the rule before: handshakes
	paused      map[drawbridge.PeerID]bool
	withoutRule map[int]bool

	sent, drops, clones int
}

type peer struct {
	*Topology
	uid   drawbridge.PeerUID
	alive bool
}

// message is a record set, or a digest, or a wish for records, on its way.
type message struct {
	from, to drawbridge.PeerID
	uid      drawbridge.PeerUID // of the receiver when it was sent; a link does not outlive the process
	records  []wire.Record
	digest   []wire.DigestEntry
	want     []drawbridge.PeerID
}

func newNetwork(seed uint64, n int) *network {
	w := &network{
		rng: rand.New(rand.NewPCG(seed, 42)), peers: map[drawbridge.PeerID]*peer{}, links: map[pair]weights{}, cut: map[pair]bool{},
		queue: map[int][]message{}, adjacent: map[drawbridge.PeerID][]drawbridge.PeerID{}, delay: 3, antiEntropy: 30,
		paused: map[drawbridge.PeerID]bool{}, withoutRule: map[int]bool{},
	}
	for i := range n {
		w.add(drawbridge.PeerID(i+1), drawbridge.PeerUID(w.rng.Uint64()))
	}
	return w
}

func (w *network) add(id drawbridge.PeerID, uid drawbridge.PeerUID) {
	w.ids = append(w.ids, id)
	w.peers[id] = &peer{}
	w.start(id, uid)
}

// start begins a new run of a peer, which knows nothing of its last one.
func (w *network) start(id drawbridge.PeerID, uid drawbridge.PeerUID) {
	p := w.peers[id]
	p.Topology = New(wire.Record{ID: id, Name: drawbridge.PeerName(id.String()), UID: uid, StartedAt: int64(w.now)})
	p.withoutHearsay = w.withoutRule[3] || w.old
	p.uid, p.alive = uid, true
	clear(w.adjacent)
	w.tellLinks(id)
}

func pairOf(a, b drawbridge.PeerID) pair { return pair{min(a, b), max(a, b)} }

func (w *network) up(p pair) bool {
	_, ok := w.links[p]
	return ok && !w.cut[p] && w.peers[p.a].alive && w.peers[p.b].alive
}

func (w *network) neighbours(id drawbridge.PeerID) (ids []drawbridge.PeerID) {
	if ids, ok := w.adjacent[id]; ok {
		return ids
	}
	for p := range w.links {
		if (p.a == id || p.b == id) && w.up(p) {
			ids = append(ids, p.a+p.b-id)
		}
	}
	slices.Sort(ids)
	w.adjacent[id] = ids
	return ids
}

// tellLinks tells a peer which of its links are up.
func (w *network) tellLinks(id drawbridge.PeerID) {
	var links []wire.Link
	for _, n := range w.neighbours(id) {
		weights := w.links[pairOf(id, n)]
		links = append(links, wire.Link{Peer: n, Metric: weights.metric, MTU: weights.mtu})
	}
	if p := w.peers[id]; p.alive && p.SetLinks(links) {
		w.gossip(id, 0, []wire.Record{p.Self()})
	}
}

// link puts up, changes or (with nil) takes down a link. Both ends notice, and a new link begins with an
// exchange of digests.
func (w *network) link(p pair, weights *weights) {
	was := w.up(p)
	delete(w.links, p)
	if weights != nil {
		w.links[p] = *weights
	}
	w.noticed(p, was)
}

func (w *network) noticed(p pair, was bool) {
	delete(w.adjacent, p.a)
	delete(w.adjacent, p.b)
	w.tellLinks(p.a)
	w.tellLinks(p.b)
	if !was && w.up(p) && (w.withoutRule[5] || w.old) { // at a handshake each says who it is, and no more
		w.send(message{from: p.a, to: p.b, records: []wire.Record{w.peers[p.a].Self()}})
		w.send(message{from: p.b, to: p.a, records: []wire.Record{w.peers[p.b].Self()}})
	} else if !was && w.up(p) {
		w.send(message{from: p.a, to: p.b, digest: w.peers[p.a].Digest()})
		w.send(message{from: p.b, to: p.a, digest: w.peers[p.b].Digest()})
	}
}

// setCut takes links away, or gives them back.
func (w *network) setCut(cut bool, pairs ...pair) {
	for _, p := range pairs {
		was := w.up(p)
		w.cut[p] = cut
		if was != w.up(p) {
			w.noticed(p, was)
		}
	}
}

// pairsOf are the links of a peer, up or not, in order.
func (w *network) pairsOf(id drawbridge.PeerID) []pair {
	return w.pairsThat(func(p pair) bool { return p.a == id || p.b == id })
}

func (w *network) pairsThat(match func(pair) bool) (pairs []pair) {
	for _, p := range slices.SortedFunc(maps.Keys(w.links), func(x, y pair) int {
		return slices.Compare([]drawbridge.PeerID{x.a, x.b}, []drawbridge.PeerID{y.a, y.b})
	}) {
		if match(p) {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// crash ends a run without a word; its neighbours notice that the links are gone.
func (w *network) crash(id drawbridge.PeerID) {
	neighbours := w.neighbours(id)
	w.peers[id].alive = false
	clear(w.adjacent)
	for _, n := range neighbours {
		w.tellLinks(n)
	}
}

// restart begins a new run; its links come up again, unless they are cut.
func (w *network) restart(id drawbridge.PeerID, uid drawbridge.PeerUID) {
	if w.peers[id].alive {
		w.crash(id)
	}
	if w.old {
		w.setCut(true, w.pairsOf(id)...)
	}
	w.start(id, uid)
	for _, p := range w.pairsOf(id) {
		if w.up(p) {
			w.noticed(p, false)
		}
	}
}

func (w *network) gossip(from, except drawbridge.PeerID, records []wire.Record) {
	if len(records) == 0 {
		return
	}
	for _, n := range w.neighbours(from) {
		if n != except {
			w.send(message{from: from, to: n, records: records})
		}
	}
}

func (w *network) send(m message) {
	w.sent++
	if w.rng.Float64() < w.loss || w.paused[m.from] || w.paused[m.to] {
		return
	}
	m.uid = w.peers[m.to].uid
	at := w.now + 1 + w.rng.IntN(w.delay)
	w.queue[at] = append(w.queue[at], m)
}

// step lets one tick pass.
func (w *network) step() {
	w.now++
	arrived := w.queue[w.now]
	delete(w.queue, w.now)
	for _, m := range arrived {
		if p := w.peers[m.to]; w.up(pairOf(m.from, m.to)) && p.uid == m.uid {
			w.receive(p, m)
		}
	}
	if w.old {
		w.handshakes()
	}
	for _, id := range w.ids {
		if !w.withoutRule[5] && (w.now+int(id))%w.antiEntropy == 0 && w.peers[id].alive {
			w.reconcile(id)
		}
	}
}

func (w *network) run(ticks int) {
	for range ticks {
		w.step()
	}
}

func (w *network) receive(p *peer, m message) {
	merged := p.Merge(m.records)
	w.gossip(m.to, m.from, merged.News)
	if merged.SelfBumped {
		w.gossip(m.to, 0, []wire.Record{p.Self()})
	}
	if merged.Clone != nil {
		w.clones++
	}
	if m.digest != nil {
		w.answer(m, p)
	}
	var asked []wire.Record
	for _, id := range m.want {
		if r, ok := p.Get(id); ok {
			asked = append(asked, r)
		}
	}
	if asked != nil {
		w.send(message{from: m.to, to: m.from, records: asked})
	}
}

func (w *network) answer(m message, p *peer) {
	if records, want := p.Compare(m.digest); records != nil || want != nil {
		w.send(message{from: m.to, to: m.from, records: records, want: want})
	}
}

// reconcile is one round of anti-entropy with a random neighbour.
func (w *network) reconcile(id drawbridge.PeerID) {
	if n := w.neighbours(id); len(n) > 0 {
		w.send(message{from: id, to: n[w.rng.IntN(len(n))], digest: w.peers[id].Digest()})
	}
}

// handshakes is the old rule at work: two peers of which one knows another UID of its neighbour refuse the
// link, now and at every further call. Who cannot be reached any more is garbage, and only when that was
// collected the new run is believed.
func (w *network) handshakes() {
	w.collect()
	for _, p := range w.pairsThat(func(pair) bool { return true }) {
		refused := w.conflict(p.a, p.b) || w.conflict(p.b, p.a)
		if refused {
			w.drops++
		}
		if refused != w.cut[p] {
			w.setCut(refused, p)
		}
	}
}

func (w *network) collect() {
	for _, p := range w.peers {
		p.Routes()
		p.records = slices.DeleteFunc(p.records, func(r wire.Record) bool { return !p.Reachable(r.ID) })
		p.stale = true
	}
}

func (w *network) conflict(at, of drawbridge.PeerID) bool {
	r, known := w.peers[at].Get(of)
	return known && r.UID != w.peers[of].uid
}

// fault tells why the network has not converged: somebody knows another record of a living peer that he can
// reach over links than that peer has itself.
func (w *network) fault() error {
	for _, part := range w.parts() {
		for _, at := range part {
			for _, of := range part {
				r, known := w.peers[at].Get(of)
				if want := w.peers[of].Self(); !known || r.Entry() != want.Entry() {
					return fmt.Errorf("%v holds %v of %v, which is at %v", at, r.Entry(), of, want.Entry())
				}
			}
		}
	}
	return nil
}

// parts are the sets of living peers that links connect.
func (w *network) parts() (parts [][]drawbridge.PeerID) {
	seen := map[drawbridge.PeerID]bool{}
	for _, id := range w.ids {
		if seen[id] || !w.peers[id].alive {
			continue
		}
		seen[id] = true
		part := []drawbridge.PeerID{id}
		for i := 0; i < len(part); i++ {
			for _, n := range w.neighbours(part[i]) {
				if !seen[n] {
					seen[n] = true
					part = append(part, n)
				}
			}
		}
		parts = append(parts, part)
	}
	return parts
}

// settle runs until the network has converged and tells how many ticks that took; false after the limit.
func (w *network) settle(limit int) (int, bool) {
	for i := range limit {
		if w.fault() == nil {
			return i, true
		}
		w.step()
	}
	return limit, w.fault() == nil
}

// routeFault is routeFault for each part of the network.
func (w *network) routeFault() error {
	for _, part := range w.parts() {
		peers := map[drawbridge.PeerID]*Topology{}
		for _, id := range part {
			peers[id] = w.peers[id].Topology
		}
		for _, id := range part {
			if got := len(peers[id].Routes().Next); got != len(part)-1 {
				return fmt.Errorf("%v has routes to %d peers, links lead to %d", id, got, len(part)-1)
			}
		}
		if err := routeFault(peers); err != nil {
			return err
		}
	}
	return nil
}
