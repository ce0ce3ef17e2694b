package wire

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/drawbridge-net/drawbridge"
)

// Limits of a record. They bound the memory that a single hostile or broken peer can claim at every other
// peer; a real record of a gateway with ten links and four ports has about 600 bytes.
const (
	MaxName      = 64  // bytes of a peer's, port's or segment's name, of the software and of a cause
	MaxReason    = 128 // bytes of one reason
	MaxEndpoints = 16
	MaxLinks     = 1024
	MaxPorts     = 256
	MaxReasons   = 8 // of one port

	// MaxRecord bounds an encoded record: all of the above at their limits are 333,000 bytes, the rest is
	// room for what later versions append.
	MaxRecord = 384 << 10
)

// Record is all that a peer says of itself. Only that peer writes it; everybody else keeps and passes on the
// newest that they have heard, which is the one with the larger (Version, UID).
type Record struct {
	Name      drawbridge.PeerName
	ID        drawbridge.PeerID
	UID       drawbridge.PeerUID // which run wrote it
	Version   uint64             // counts the changes, across runs: see docs/protocol/topology.md
	StartedAt int64              // of this run, Unix seconds
	Roles     uint8              // as the certificate says; for display, never for authorisation
	Software  string
	Features  uint64
	Endpoints []netip.AddrPort // where it can be called, by TCP and UDP, best first; empty: outbound only
	Links     []Link           // by peer
	Ports     []Port           // by kind and name
	Gone      bool             // left gracefully: what it said of links and ports is void

	// Signed is the signed form as it came, for passing on unchanged. It is neither encoded nor compared.
	Signed []byte
}

// Link is one adjacency as one of its two ends sees it.
type Link struct {
	Peer   drawbridge.PeerID
	Metric uint32 // round-trip time, µs
	MTU    uint16 // largest frame, Ethernet header included, that fits one datagram
	Flags  uint8
}

// LinkTCP says that UDP is blocked and frames ride the control link.
const LinkTCP uint8 = 1

// Kinds of port.
const (
	PortGuest   uint8 = 1
	PortSegment uint8 = 2
)

// Port is one place where frames enter and leave the overlay.
type Port struct {
	Kind        uint8
	Name        string
	VNI         drawbridge.VNI
	Segment     drawbridge.SegmentID
	SegmentName string
	Open        bool
	Ready       bool
	Epoch       drawbridge.Epoch
	Cause       string   // why it is open or shut
	Since       int64    // of the last change of Open, Unix milliseconds
	Reasons     []string // why it is not ready
}

// Canonical returns r as it reads after a trip over the wire: lists sorted, each link and port once, texts and
// lists cut at their limits, addresses without zones. Two peers that mean the same then write the same bytes,
// and what the writer could not keep short (texts come from error messages) never makes a record unreadable.
func Canonical(r Record) Record {
	r.Name = drawbridge.PeerName(clip(string(r.Name), MaxName))
	r.Software = clip(r.Software, MaxName)
	r.Endpoints = canonicalEndpoints(r.Endpoints)
	r.Links = canonicalLinks(r.ID, r.Links)
	r.Ports = canonicalPorts(r.Ports)
	return r
}

func canonicalEndpoints(in []netip.AddrPort) (out []netip.AddrPort) {
	for _, e := range in {
		e = netip.AddrPortFrom(e.Addr().Unmap().WithZone(""), e.Port())
		if e.IsValid() && len(out) < MaxEndpoints && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

func canonicalLinks(self drawbridge.PeerID, in []Link) []Link {
	out := slices.DeleteFunc(slices.Clone(in), func(l Link) bool { return l.Peer == 0 || l.Peer == self })
	slices.SortStableFunc(out, func(a, b Link) int { return cmp.Compare(a.Peer, b.Peer) })
	out = slices.CompactFunc(out, func(a, b Link) bool { return a.Peer == b.Peer })
	return nonEmpty(out[:min(len(out), MaxLinks)])
}

func canonicalPorts(in []Port) []Port {
	out := slices.Clone(in)
	for i := range out {
		out[i] = canonicalPort(out[i])
	}
	slices.SortStableFunc(out, comparePorts)
	out = slices.CompactFunc(out, func(a, b Port) bool { return comparePorts(a, b) == 0 })
	return nonEmpty(out[:min(len(out), MaxPorts)])
}

func canonicalPort(p Port) Port {
	p.Name, p.SegmentName, p.Cause = clip(p.Name, MaxName), clip(p.SegmentName, MaxName), shorten(p.Cause, MaxName)
	p.VNI &= drawbridge.MaxVNI
	reasons := make([]string, 0, len(p.Reasons))
	for _, r := range p.Reasons[:min(len(p.Reasons), MaxReasons)] {
		reasons = append(reasons, clip(r, MaxReason))
	}
	p.Reasons = nonEmpty(reasons)
	return p
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// nonEmpty gives the empty list one form, so that records can be compared field by field.
func nonEmpty[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// clip makes s fit for the wire and for a log line: valid UTF-8 without control characters, at most n bytes.
func clip(s string, n int) string {
	if !clean(s) {
		s = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(s, "?"))
	}
	for len(s) > n {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// shorten is clip for a sentence: it ends between words, and what is left out is seen to be. "silent for 3" of 33 ms would be wrong.
func shorten(s string, n int) string {
	const more = "…"
	if s = clip(s, len(s)); len(s) <= n {
		return s
	}
	s = clip(s, n-len(more))
	if i := strings.LastIndexByte(s, ' '); i > n/2 {
		s = s[:i]
	}
	return s + more
}

// clean reports whether s is valid UTF-8 without control characters.
func clean(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
