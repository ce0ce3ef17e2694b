package wire

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// recordContext stands before what is signed, so that a signature over a record is one over nothing else.
const recordContext = "drawbridge record v1\x00"

// MaxCertificate bounds the DER certificate beside a record; an Ed25519 one has about 400 bytes.
const MaxCertificate = 4096

// MaxSigned bounds a signed record.
const MaxSigned = 4 + MaxRecord + 2 + MaxCertificate + ed25519.SignatureSize

// SignedRecord is a record with the proof of who wrote it. It travels through peers that could otherwise say
// in another's name that a port is open or that a link is short.
type SignedRecord struct {
	Body        []byte // what AppendRecord wrote, tail of later versions included
	Certificate []byte // DER; whoever reads it checks that it is of this network and of the record's peer
	Signature   []byte // Ed25519 (RFC 8032) over recordContext and Body
}

// SealRecord encodes and signs r: u32 length, body, u16 length, certificate, 64 bytes of signature. The
// certificate has at most MaxCertificate bytes.
func SealRecord(r *Record, certDER []byte, key ed25519.PrivateKey) []byte {
	body := AppendRecord(nil, r)
	b := make([]byte, 0, 4+len(body)+2+len(certDER)+ed25519.SignatureSize)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(body))), body...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(certDER))), certDER...)
	return append(b, ed25519.Sign(key, signedBytes(body))...)
}

// ParseSigned splits a sealed record. Its parts alias b; nothing is verified yet.
func ParseSigned(b []byte) (r SignedRecord, err error) {
	s := recordScanner{rest: b}
	s.check(len(b) <= MaxSigned)
	r.Body = s.take(s.length(int64(s.u32()), MaxRecord))
	r.Certificate = s.take(s.length(int64(s.u16()), MaxCertificate))
	r.Signature = s.take(ed25519.SignatureSize)
	s.check(len(s.rest) == 0)
	if s.bad {
		return SignedRecord{}, fmt.Errorf("signed record of %d bytes: wrong at byte %d: %w", len(b), len(b)-len(s.rest), ErrRecord)
	}
	return r, nil
}

// VerifySignature reports whether the holder of pub signed the body. Whose key that is, the certificate says.
func (r SignedRecord) VerifySignature(pub ed25519.PublicKey) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, signedBytes(r.Body), r.Signature)
}

func signedBytes(body []byte) []byte { return append([]byte(recordContext), body...) }

// length admits a length field up to limit; 0 when it is larger.
func (s *recordScanner) length(n, limit int64) int {
	s.check(n <= limit)
	if s.bad {
		return 0
	}
	return int(n)
}

// MaxDigest bounds the entries of a digest.
const MaxDigest = 8192

// DigestEntry says which record of a peer somebody holds.
type DigestEntry struct {
	ID      drawbridge.PeerID
	UID     drawbridge.PeerUID
	Version uint64
}

// Entry is r's line in a digest.
func (r *Record) Entry() DigestEntry { return DigestEntry{r.ID, r.UID, r.Version} }

// Newer reports whether the record of e replaces that of o: the larger version, then the larger UID.
func (e DigestEntry) Newer(o DigestEntry) bool {
	return e.Version > o.Version || e.Version == o.Version && e.UID > o.UID
}

// AppendDigest appends d, which is sorted by id and holds at most MaxDigest entries: u16 count, then u32 id,
// u64 uid, u64 version each.
func AppendDigest(b []byte, d []DigestEntry) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
	for _, e := range d {
		b = binary.BigEndian.AppendUint32(b, uint32(e.ID))
		b = binary.BigEndian.AppendUint64(b, uint64(e.UID))
		b = binary.BigEndian.AppendUint64(b, e.Version)
	}
	return b
}

// ParseDigest reads what AppendDigest wrote, and ignores what stands behind it.
func ParseDigest(b []byte) (d []DigestEntry, err error) {
	s := recordScanner{rest: b}
	last := drawbridge.PeerID(0)
	for range s.count(int(s.u16()), MaxDigest, 20) {
		e := DigestEntry{drawbridge.PeerID(s.u32()), drawbridge.PeerUID(s.u64()), s.u64()}
		s.check(e.ID > last)
		d, last = append(d, e), e.ID
	}
	if s.bad {
		return nil, fmt.Errorf("digest of %d bytes: wrong at byte %d: %w", len(b), len(b)-len(s.rest), ErrRecord)
	}
	return d, nil
}
