package secure

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Revocation says that a peer is no longer of the network.
type Revocation struct {
	ID        drawbridge.PeerID
	Name      drawbridge.PeerName // as it was called; a new peer may take the name
	At        time.Time           // to the second
	signature [ed25519.SignatureSize]byte
}

const (
	revocationVersion = 1
	revocationContext = "drawbridge revocation v1\x00" // so that no other signature of the authority passes for one
	revocationFixed   = 4 + 8 + 1 + ed25519.SignatureSize

	// maxRevocations keeps a snapshot within one gossip message of 1 MiB.
	maxRevocations = 7000
)

// Revocations is the set of removed peers. It only grows, and every entry carries the authority's signature,
// so peers may pass it on in any order and any number of times and all end with the same bytes.
type Revocations struct {
	network Network
	save    func([]byte) error

	mu    sync.RWMutex
	set   map[drawbridge.PeerID]Revocation
	saved []byte // the set as it was last saved
}

func newRevocations(n Network, save func([]byte) error) *Revocations {
	return &Revocations{network: n, save: save, set: map[drawbridge.PeerID]Revocation{}, saved: encodeRevocations(nil)}
}

// Revoked reports whether the key behind id was removed from the network.
func (r *Revocations) Revoked(id drawbridge.PeerID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.set[id]
	return ok
}

// List is every revocation, oldest first.
func (r *Revocations) List() []Revocation {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.SortedFunc(maps.Values(r.set), func(a, b Revocation) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
}

// Snapshot is the whole set, in order of id: equal sets have equal bytes.
func (r *Revocations) Snapshot() []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return encodeRevocations(r.set)
}

// Merge takes in a snapshot of another peer and reports the peers that were news, after they have been
// saved. One bad entry refuses all of it: an honest peer never passes one on.
func (r *Revocations) Merge(b []byte) (news []Revocation, err error) {
	theirs, err := parseRevocations(b)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := maps.Clone(r.set)
	for _, v := range theirs {
		mine, known := r.set[v.ID]
		if known && v == mine {
			continue // gossip repeats itself: no signature check for what was checked
		}
		if !v.signedBy(r.network) {
			return nil, fmt.Errorf("revocation of peer %s (%s) for network %s: %w", v.Name, v.ID, r.network, ErrForged)
		}
		if !known {
			news = append(news, v)
		}
		if !known || v.before(mine) {
			next[v.ID] = v
		}
	}
	return news, r.replace(next)
}

// replace is called with mu held.
func (r *Revocations) replace(next map[drawbridge.PeerID]Revocation) error {
	if len(next) > maxRevocations {
		return fmt.Errorf("%d revocations are more than the %d that fit: found a new network", len(next), maxRevocations)
	}
	// A revocation counts even when the disk is full: the error is for the log, not an excuse, and the next
	// merge saves again.
	r.set = next
	b := encodeRevocations(next)
	if bytes.Equal(b, r.saved) {
		return nil
	}
	if err := r.save(b); err != nil {
		return err
	}
	r.saved = b
	return nil
}

// load takes the set from our own disk.
func (r *Revocations) load(b []byte) error {
	save := r.save
	defer func() { r.save = save }()
	r.save = func([]byte) error { return nil }
	_, err := r.Merge(b)
	return err
}

// before picks one of two revocations of the same peer, the same one everywhere.
func (v Revocation) before(o Revocation) bool {
	return bytes.Compare(v.append(nil), o.append(nil)) < 0
}

func (v Revocation) signedBy(n Network) bool {
	return ed25519.Verify(n.Authority.PublicKey.(ed25519.PublicKey), v.message(n.ID), v.signature[:])
}

// message is what the authority signs.
func (v Revocation) message(n drawbridge.NetworkID) []byte {
	b := append([]byte(revocationContext), n[:]...)
	return v.appendBody(b)
}

func (v Revocation) appendBody(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(v.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(v.At.Unix()))
	b = append(b, byte(len(v.Name)))
	return append(b, v.Name...)
}

func (v Revocation) append(b []byte) []byte {
	return append(v.appendBody(b), v.signature[:]...)
}

// revoke signs the removal of one peer, as a snapshot of one entry.
func (a *Authority) revoke(name drawbridge.PeerName, id drawbridge.PeerID, now time.Time) []byte {
	v := Revocation{ID: id, Name: name, At: now.UTC().Truncate(time.Second)}
	copy(v.signature[:], ed25519.Sign(a.key, v.message(a.network.ID)))
	return encodeRevocations(map[drawbridge.PeerID]Revocation{id: v})
}

func encodeRevocations(set map[drawbridge.PeerID]Revocation) []byte {
	b := []byte{revocationVersion}
	b = binary.BigEndian.AppendUint16(b, uint16(len(set)))
	for _, id := range slices.Sorted(maps.Keys(set)) {
		b = set[id].append(b)
	}
	return b
}

// parseRevocations reads what Snapshot wrote. It checks the form, not the signatures.
func parseRevocations(b []byte) ([]Revocation, error) {
	if len(b) < 3 || b[0] != revocationVersion {
		return nil, fmt.Errorf("revocations of %d bytes are not version %d: %w", len(b), revocationVersion, ErrProtocol)
	}
	count := int(binary.BigEndian.Uint16(b[1:]))
	if b = b[3:]; count > maxRevocations || len(b) < count*revocationFixed {
		return nil, fmt.Errorf("%d revocations in %d bytes: %w", count, len(b), ErrProtocol)
	}
	all := make([]Revocation, count)
	for i := range all {
		var err error
		if b, err = all[i].parse(b); err != nil {
			return nil, fmt.Errorf("revocation %d of %d: %w", i+1, count, err)
		}
		if i > 0 && all[i].ID <= all[i-1].ID { // two entries of one peer: which counts would depend on who reads
			return nil, fmt.Errorf("revocation %d of %d: not in order of id: %w", i+1, count, ErrProtocol)
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d bytes after the last revocation: %w", len(b), ErrProtocol)
	}
	return all, nil
}

func (v *Revocation) parse(b []byte) (rest []byte, err error) {
	if len(b) < revocationFixed || len(b) < revocationFixed+int(b[12]) {
		return nil, fmt.Errorf("truncated: %w", ErrProtocol)
	}
	end := 13 + int(b[12])
	v.ID = drawbridge.PeerID(binary.BigEndian.Uint32(b))
	v.At = time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0).UTC()
	v.Name = drawbridge.PeerName(b[13:end])
	if err := drawbridge.CheckName(string(v.Name)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	copy(v.signature[:], b[end:])
	return b[end+ed25519.SignatureSize:], nil
}
