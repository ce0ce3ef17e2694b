package mesh

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/topology"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// digestEvery is the pace of anti-entropy. It repairs what a full queue or a lost link has cost, which is
// rare, and it makes the rules of topology converge at all.
const digestEvery = time.Second

// rumour is a record that others may not have heard.
type rumour struct {
	signed []byte
	from   drawbridge.PeerID // who told us; 0: we say so ourselves
}

// sign returns the own record, signed; called with mu held.
func (r *Router) sign() []byte {
	self := r.topo.Self()
	c := r.config.Credentials
	cert := c.Certificate()
	if r.own == nil || r.announce.version != self.Version || r.announce.cert != cert {
		r.own = wire.SealRecord(&self, cert.Raw, c.Private)
		r.announce.version, r.announce.cert = self.Version, cert
	}
	return r.own
}

// sendRecords sends signed records, in as many messages as they need.
func (r *Router) sendRecords(l *link, signed [][]byte) {
	for len(signed) > 0 {
		var body []byte
		body, signed = wire.AppendRecords(nil, signed)
		r.send(l, wire.KindRecords, body)
	}
}

// receiveRecords takes in what a neighbour tells, and prepares to pass on what is news.
func (r *Router) receiveRecords(l *link, body []byte) error {
	signed, err := wire.ParseRecords(body)
	if err != nil {
		return err
	}
	var good []wire.Record
	for _, b := range signed {
		rec, err := r.verify(b)
		switch {
		case errors.Is(err, errOld):
		case err != nil:
			r.warn("record: "+dropReason(err), "a record was dropped", "peer", l.peer.Name, "err", err)
		default:
			good = append(good, rec)
		}
	}
	if len(good) > 0 {
		r.merge(l, good)
	}
	return nil
}

var (
	errOld       = errors.New("nothing new")
	errSignature = errors.New("the signature is not its peer's")
	errClaim     = errors.New("the record claims what its certificate does not")
)

// verify reads a signed record, and believes it when its peer signed it and belongs to the network. Records
// that are not news are not worth a signature check.
func (r *Router) verify(b []byte) (wire.Record, error) {
	s, err := wire.ParseSigned(b)
	if err != nil {
		return wire.Record{}, err
	}
	rec, err := wire.ParseRecord(s.Body)
	if err != nil {
		return rec, err
	}
	if !r.news(&rec) {
		return rec, errOld
	}
	rec.Signed = slices.Clone(b) // b is the link's buffer; what is verified must not change afterwards
	if s, err = wire.ParseSigned(rec.Signed); err != nil {
		return rec, err
	}
	p, err := r.config.Credentials.VerifyCertificate(s.Certificate, time.Now())
	if err != nil {
		return rec, fmt.Errorf("record of peer %s: %w", rec.Name, err)
	}
	if err := p.Claims(rec.Name, rec.ID); err != nil {
		return rec, fmt.Errorf("%w: %w", errClaim, err)
	}
	if !s.VerifySignature(p.Key) {
		return rec, fmt.Errorf("record of peer %s: %w", rec.Name, errSignature)
	}
	return rec, nil
}

func (r *Router) news(rec *wire.Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.topo.Get(rec.ID)
	return !ok || rec.Entry().Newer(known.Entry()) || rec.ID == r.id && rec.UID != r.uid
}

// dropReason is the kind of err, for a counter.
func dropReason(err error) string {
	kinds := []struct {
		err  error
		name string
	}{
		{errSignature, "signature"},
		{errClaim, "claim"},
		{secure.ErrForged, "forged"},
		{secure.ErrRevoked, "revoked"},
		{secure.ErrExpired, "expired"},
		{secure.ErrClock, "clock"},
		{wire.ErrRecordFormat, "format"},
		{wire.ErrRecord, "malformed"},
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return "certificate"
}

func (r *Router) merge(l *link, records []wire.Record) {
	r.mu.Lock()
	m := r.topo.Merge(records)
	for _, rec := range m.News {
		r.outbox = append(r.outbox, rumour{rec.Signed, l.id()})
	}
	if m.Clone != nil {
		r.announce.cloned = true
		r.clone = "run " + m.Clone.Other.UID.String()
	}
	r.mu.Unlock()
	r.wake()
	if m.Clone != nil {
		r.reportClone(m.Clone)
	}
}

func (r *Router) reportClone(c *topology.CloneReport) {
	if c.Times&(c.Times-1) == 0 { // 1, 2, 4, 8: said again, but not for ever
		r.journal.tell("clone", c.Other.Name, fmt.Sprintf("%v (it is run %s, started %s, at %v; this is run %s)",
			ErrClone, c.Other.UID, time.Unix(c.Other.StartedAt, 0).UTC().Format(time.RFC3339), c.Other.Endpoints, r.uid))
	}
}

// receiveDigest sends what the neighbour lacks, and asks for what we lack by sending our own digest.
func (r *Router) receiveDigest(l *link, body []byte) error {
	d, err := wire.ParseDigestMessage(body)
	if err != nil {
		return err
	}
	r.mu.Lock()
	send, want := r.topo.Compare(d.Entries)
	signed := make([][]byte, 0, len(send))
	for _, rec := range send {
		if rec.ID == r.id {
			rec.Signed = r.sign()
		}
		signed = append(signed, rec.Signed)
	}
	var answer []byte
	if d.Answer && len(want) > 0 {
		answer = wire.Digest{Entries: r.topo.Digest()}.Append(nil)
	}
	r.mu.Unlock()
	r.sendRecords(l, signed)
	if answer != nil {
		r.send(l, wire.KindDigest, answer)
	}
	return nil
}

// reconcile compares notes with one neighbour.
func (r *Router) reconcile() {
	r.mu.Lock()
	links := r.linksNow()
	digest := wire.Digest{Answer: true, Entries: r.topo.Digest()}
	r.mu.Unlock()
	if len(links) > 0 {
		r.send(links[rand.IntN(len(links))], wire.KindDigest, digest.Append(nil))
	}
}

// spread passes rumours on to everybody but who told us.
func (r *Router) spread(rumours []rumour, links []*link) {
	for _, l := range links {
		var signed [][]byte
		for _, m := range rumours {
			if m.from != l.id() {
				signed = append(signed, m.signed)
			}
		}
		r.sendRecords(l, signed)
	}
}

// receiveRevocations takes in who was removed from the network.
func (r *Router) receiveRevocations(l *link, body []byte) error {
	news, err := r.config.Credentials.Revocations.Merge(body)
	if err != nil {
		r.warn("revocations: "+dropReason(err), "revocations", "peer", l.peer.Name, "err", err) // when the disk is full they count all the same
	}
	r.removed(news, l)
	return nil
}

// removed forgets peers that were removed from the network, and tells all neighbours but one.
func (r *Router) removed(news []secure.Revocation, except *link) {
	if len(news) == 0 {
		return
	}
	r.mu.Lock()
	for _, v := range news {
		r.topo.Forget(v.ID)
	}
	links := r.linksNow()
	r.touch()
	r.mu.Unlock()
	r.members.forget(news)
	r.wake()
	snapshot := r.config.Credentials.Revocations.Snapshot()
	for _, l := range links {
		switch {
		case r.config.Credentials.Revocations.Revoked(l.id()):
			l.send(wire.KindRefuse, wire.Refuse{Reason: wire.RefuseRevoked, Text: secure.ErrRevoked.Error()}.Append(nil))
			l.finish(secure.ErrRevoked)
		case l != except:
			r.send(l, wire.KindRevocations, snapshot)
		}
	}
	for _, v := range news {
		r.journal.tell("forget", v.Name, "was removed from the network")
	}
}
