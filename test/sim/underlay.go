package sim

// link is one direction between two machines.
type link struct {
	delay int64
	loss  float64
	slow  float64 // probability that a datagram of the leases takes up to a tenth of a second
	busy  int64   // ns that frames wait for a thread at the far end
	cut   bool
	dark  bool // only leases pass: the mesh's port is filtered
}

// layLinks gives every pair a delay of its own: a LAN, or two sites of a town.
func (w *world) layLinks() {
	for i := range w.nodes {
		for k := range i {
			d := 50e3 + w.rnd.Int64N(400e3)
			w.links[i][k].delay, w.links[k][i].delay = d, d
		}
	}
}

// transmit sends a datagram, which a thread of the far end hears.
func (w *world) transmit(from, to *node, t thread, hear func()) {
	w.send(from, to, t, func() { to.enter(t, hear) })
}

// send sends a datagram for a thread, and tells when it has arrived, whether the thread runs or not.
func (w *world) send(from, to *node, t thread, arrived func()) {
	l := &w.links[from.index][to.index]
	if l.cut || l.dark && t != leases || l.loss > 0 && w.rnd.Float64() < l.loss {
		return
	}
	delay := l.delay + w.rnd.Int64N(30e3)
	if t == overlay {
		delay += l.busy
	}
	if t == leases && l.slow > 0 && w.rnd.Float64() < l.slow {
		delay = w.rnd.Int64N(100 * ms)
	}
	w.queue.push(w.now+delay, arrived)
}

// busy lets the frames of a node wait at every other peer for that long.
func (w *world) busy(from *node, d int64) {
	from.others(func(o *node) { w.links[from.index][o.index].busy = d })
	w.note("frames of %s wait for %d ms", from.name, d/ms)
}

// cut takes a direction away or gives it back.
func (w *world) cut(from, to *node, cut bool) {
	w.links[from.index][to.index].cut = cut
	w.note("%s to %s cut: %v", from.name, to.name, cut)
}

func (w *world) cutBoth(a, b *node, cut bool) {
	w.cut(a, b, cut)
	w.cut(b, a, cut)
}

// darken filters the mesh's datagrams between a node and all others, or ends that. What the voters say of decisions passes.
func (w *world) darken(n *node, dark bool) {
	n.others(func(o *node) {
		w.links[n.index][o.index].dark, w.links[o.index][n.index].dark = dark, dark
	})
	w.note("%s reaches nobody over the overlay: %v", n.name, dark)
}

// reach reports whether datagrams pass both ways between two running processes.
func (w *world) reach(a, b *node) bool {
	return a == b || a.alive() && b.alive() && !b.stopped[control] && !a.stopped[control] &&
		!w.links[a.index][b.index].cut && !w.links[b.index][a.index].cut
}
