package topology

import (
	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// overrideGap is how far above a foreign run's version this run puts its own. What an earlier run left behind
// arrives in pieces, an old record from one neighbour and a newer one from another; all lie within the gap
// (a million changes), so whoever overrides a second time is not dead: it answers.
const overrideGap = 1 << 20

// maxVersion bounds believable versions, so that nothing is ever counted past the end: 2^42 gaps.
const maxVersion = 1 << 62

// Merged is what hearing records led to.
type Merged struct {
	News       []wire.Record // newer than what was known: pass them on to all neighbours but the one they came from
	SelfBumped bool          // the own record has a new version: send it to all neighbours
	Clone      *CloneReport  // another process runs with this peer's identity
}

// CloneReport names a process that runs with this peer's identity at the same time: a copied state directory
// or a duplicated virtual machine. The two override each other for ever, so the mesh tells the operator and
// sends its own record no more than once a second from then on.
type CloneReport struct {
	Other wire.Record
	Times int // that it overrode this run
}

// Merge takes records that were heard, verified and as ParseRecord returned them. What is known of other
// peers afterwards depends only on which were heard, not on order or number.
func (t *Topology) Merge(records []wire.Record) (m Merged) {
	for i := range records {
		r := &records[i]
		switch {
		case r.Version > maxVersion || t.forgotten[r.ID]:
		case r.ID == t.id:
			t.hearSelf(r, &m)
		case t.accept(r):
			m.News = append(m.News, *r)
		}
	}
	t.cast()
	return m
}

// accept stores r when it is newer (rule 1), its UID with it (rule 2).
func (t *Topology) accept(r *wire.Record) bool {
	i, known := t.find(r.ID)
	if known && !r.Entry().Newer(t.records[i].Entry()) || !known && len(t.records) == wire.MaxDigest {
		return false
	}
	t.put(*r)
	return true
}

// hearSelf is rule 3: a record of this peer that this run did not write, and that would win over its own,
// is one of an earlier run, or of a clone. The own version goes above it.
func (t *Topology) hearSelf(r *wire.Record, m *Merged) {
	own := t.Self()
	mine := r.UID == own.UID && r.Version <= own.Version
	if mine || r.Version < own.Version || t.withoutHearsay {
		return
	}
	own.Version = r.Version + overrideGap
	t.put(own)
	m.SelfBumped = true
	t.overrides[r.UID]++
	if n := t.overrides[r.UID]; n > 1 || r.UID == own.UID {
		m.Clone = &CloneReport{Other: *r, Times: n}
	}
}

// Digest says which records are here, by id.
func (t *Topology) Digest() []wire.DigestEntry {
	d := make([]wire.DigestEntry, 0, len(t.records))
	for i := range t.records {
		d = append(d, t.records[i].Entry())
	}
	return d
}

// Compare tells, given a neighbour's digest, which records to send to it, and of which peers to ask it for
// its own (rule 5). The own record among the former is unsigned; the own id among the latter means that the
// neighbour holds one of another run.
func (t *Topology) Compare(digest []wire.DigestEntry) (send []wire.Record, want []drawbridge.PeerID) {
	theirs := make(map[drawbridge.PeerID]wire.DigestEntry, len(digest))
	for _, e := range digest {
		theirs[e.ID] = e
		i, known := t.find(e.ID)
		if !t.forgotten[e.ID] && (!known || e.Newer(t.records[i].Entry())) {
			want = append(want, e.ID)
		}
	}
	for i := range t.records {
		r := &t.records[i]
		if e, known := theirs[r.ID]; !known || r.Entry().Newer(e) {
			send = append(send, *r)
		}
	}
	return send, want
}
