package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// HoldFor is how long a table goes on to name attachments that cannot be reached any more, not by anybody else either: as long as
// the programs of a peer forward whose daemon is gone. If it is back in that time nobody has lost a frame; otherwise nothing could
// have come through anyway.
const HoldFor = 3 * time.Second

// Hold keeps in a table for a while what has just gone from it. It belongs to one goroutine.
type Hold struct {
	last kernel.Table // as it was given out
	gone map[kernel.Short]time.Time
}

// Seed has the first table follow one of an earlier process.
func (h *Hold) Seed(t kernel.Table) { h.last, h.gone = t, nil }

// Table is that of a view, and what it does not reach at all any more. What is reached another way goes that way at once, a segment
// that has another gateway is that one's, and who has left the network or was revoked has no number.
//
// What somebody floods who is there goes by the view alone, unless it reaches nobody: a dead neighbour's programs would pass
// it on to peers to whom it goes another way now, and one whose parent changes meanwhile takes both.
func (h *Hold) Table(d Decisions, v View, now time.Time) kernel.Table {
	return h.table(d.Table(v), d.named, now)
}

func (d Decisions) named(short kernel.Short) bool {
	return slices.ContainsFunc(d.Attachments, func(a Attachment) bool { return a.Short == short })
}

func (h *Hold) table(t kernel.Table, named func(kernel.Short) bool, now time.Time) kernel.Table {
	held := h.missing(t, named, now)
	all := kernel.Table{Peers: maps.Clone(t.Peers), Children: maps.Clone(t.Children), Gateways: maps.Clone(t.Gateways)}
	for short, p := range held {
		if _, other := t.Gateways[p.Segment]; p.Segment != 0 {
			if p.MaySend = p.MaySend && !other; p.MaySend {
				all.Gateways[p.Segment] = short
			}
		}
		all.Peers[short] = p
	}
	alone := isAlone(t)
	for origin, children := range h.last.Children {
		_, dead := held[origin]
		if _, reached := all.Peers[origin]; dead || alone && reached {
			all.Children[origin] = neighbours(t, held, children)
		}
	}
	h.last = all
	return all
}

// missing are the attachments that were reached and are not, for not too long, by neighbours who are the same.
func (h *Hold) missing(t kernel.Table, named func(kernel.Short) bool, now time.Time) map[kernel.Short]kernel.Peer {
	gone, held := map[kernel.Short]time.Time{}, map[kernel.Short]kernel.Peer{}
	for short, p := range h.last.Peers {
		if _, reached := t.Peers[short]; reached || p.Local || !named(short) {
			continue
		}
		since, known := h.gone[short]
		if !known {
			since = now
		}
		gone[short] = since
		if now.Sub(since) < HoldFor {
			held[short] = p
		}
	}
	h.gone = gone
	for dropped := true; dropped; {
		before := len(held)
		maps.DeleteFunc(held, func(short kernel.Short, p kernel.Peer) bool {
			via, parent := hop(t, held, p.Via), hop(t, held, p.Parent)
			return via != p.Remote || !parent.IsValid() || p.Via == short && taken(t, p.Remote)
		})
		dropped = len(held) < before
	}
	return held
}

// hop is the address of a neighbour; none: it is no neighbour.
func hop(t kernel.Table, held map[kernel.Short]kernel.Peer, short kernel.Short) netip.Addr {
	p, ok := t.Peers[short]
	if !ok {
		p = held[short]
	}
	if p.Local || p.Apart || p.Via != short {
		return netip.Addr{}
	}
	return p.Remote
}

// taken reports whether a neighbour in t has the address: then it is the same peer under another number.
func taken(t kernel.Table, remote netip.Addr) bool {
	for short, p := range t.Peers {
		if !p.Local && p.Via == short && p.Remote == remote {
			return true
		}
	}
	return false
}

// isAlone reports whether a table reaches nobody else.
func isAlone(t kernel.Table) bool {
	for _, p := range t.Peers {
		if !p.Local && !p.Apart {
			return false
		}
	}
	return true
}

// neighbours are those of an origin's children that still are.
func neighbours(t kernel.Table, held map[kernel.Short]kernel.Peer, children []kernel.Short) (all []kernel.Short) {
	for _, c := range children {
		if hop(t, held, c).IsValid() {
			all = append(all, c)
		}
	}
	return all
}
