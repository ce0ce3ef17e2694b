package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/drawbridge-net/drawbridge"
)

// recordFormat is the first byte of a record. It moves only when old readers must not read on; what is merely
// new goes behind the last field, where they do not look.
const recordFormat = 1

// Flag bits. Those not named here are 0; new ones go into the tail.
const (
	flagGone  = 1 // of a record
	flagOpen  = 1 // of a port
	flagReady = 2
)

// Conditions under which bytes are refused.
var (
	ErrRecord       = errors.New("not a record")
	ErrRecordFormat = errors.New("record of a format that this version does not know: update this peer")
)

// AppendRecord appends the canonical form of r, numbers big endian (docs/protocol/topology.md). r.ID is not 0.
func AppendRecord(b []byte, r *Record) []byte {
	c := Canonical(*r)
	b = append(b, recordFormat)
	b = binary.BigEndian.AppendUint32(b, uint32(c.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.UID))
	b = binary.BigEndian.AppendUint64(b, c.Version)
	b = binary.BigEndian.AppendUint64(b, uint64(c.StartedAt))
	b = binary.BigEndian.AppendUint64(b, c.Features)
	b = append(b, c.Roles, flag(c.Gone, flagGone))
	b = appendText(b, string(c.Name))
	b = appendText(b, c.Software)
	b = append(b, byte(len(c.Endpoints)))
	for _, e := range c.Endpoints {
		b = appendEndpoint(b, e)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Links)))
	for _, l := range c.Links {
		b = binary.BigEndian.AppendUint32(b, uint32(l.Peer))
		b = binary.BigEndian.AppendUint32(b, l.Metric)
		b = binary.BigEndian.AppendUint16(b, l.MTU)
		b = append(b, l.Flags)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Ports)))
	for i := range c.Ports {
		b = appendPort(b, &c.Ports[i])
	}
	return b
}

func appendPort(b []byte, p *Port) []byte {
	b = append(b, p.Kind, flag(p.Open, flagOpen)|flag(p.Ready, flagReady))
	b = append(b, byte(p.VNI>>16), byte(p.VNI>>8), byte(p.VNI))
	b = binary.BigEndian.AppendUint32(b, uint32(p.Segment))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Since))
	b = appendText(b, p.Name)
	b = appendText(b, p.SegmentName)
	b = appendText(b, p.Cause)
	b = append(b, byte(len(p.Reasons)))
	for _, r := range p.Reasons {
		b = appendText(b, r)
	}
	return b
}

func appendEndpoint(b []byte, e netip.AddrPort) []byte {
	a := e.Addr().AsSlice()
	b = append(append(b, byte(len(a))), a...)
	return binary.BigEndian.AppendUint16(b, e.Port())
}

func appendText(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

// ParseRecord reads what AppendRecord wrote, and ignores what a later version wrote behind it. It refuses
// everything that AppendRecord would have written differently, so one meaning has one form. The result
// shares no memory with b, and its Signed is nil.
func ParseRecord(b []byte) (Record, error) {
	if len(b) > MaxRecord {
		return Record{}, fmt.Errorf("record of %d bytes, at most %d are read: %w", len(b), MaxRecord, ErrRecord)
	}
	s := recordScanner{rest: b}
	if f := s.u8(); f != recordFormat && !s.bad {
		return Record{}, fmt.Errorf("record format %d: %w", f, ErrRecordFormat)
	}
	r := s.record()
	if s.bad {
		return Record{}, fmt.Errorf("record of %d bytes: wrong at byte %d: %w", len(b), len(b)-len(s.rest), ErrRecord)
	}
	return r, nil
}

// recordScanner reads fields from the front of rest. Once something was wrong, every further field is zero.
type recordScanner struct {
	rest []byte
	bad  bool
}

func (s *recordScanner) record() (r Record) {
	r.ID = drawbridge.PeerID(s.u32())
	r.UID = drawbridge.PeerUID(s.u64())
	r.Version = s.u64()
	r.StartedAt = int64(s.u64())
	r.Features = s.u64()
	r.Roles = s.u8()
	r.Gone = s.flags(flagGone)&flagGone != 0
	r.Name = drawbridge.PeerName(s.text(MaxName))
	r.Software = s.text(MaxName)
	s.check(r.ID != 0)
	for range s.count(int(s.u8()), MaxEndpoints, 7) {
		e := s.endpoint()
		s.check(!slices.Contains(r.Endpoints, e))
		r.Endpoints = append(r.Endpoints, e)
	}
	r.Links = s.links(r.ID)
	r.Ports = s.ports()
	return r
}

func (s *recordScanner) links(self drawbridge.PeerID) (links []Link) {
	last := drawbridge.PeerID(0)
	for range s.count(int(s.u16()), MaxLinks, 11) {
		l := Link{Peer: drawbridge.PeerID(s.u32()), Metric: s.u32(), MTU: s.u16(), Flags: s.u8()}
		s.check(l.Peer > last && l.Peer != self)
		links, last = append(links, l), l.Peer
	}
	return links
}

func (s *recordScanner) ports() (ports []Port) {
	for i := range s.count(int(s.u16()), MaxPorts, 29) {
		ports = append(ports, s.port())
		s.check(i == 0 || comparePorts(ports[i-1], ports[i]) < 0)
	}
	return ports
}

func (s *recordScanner) port() (p Port) {
	p.Kind = s.u8()
	f := s.flags(flagOpen | flagReady)
	p.Open, p.Ready = f&flagOpen != 0, f&flagReady != 0
	p.VNI = drawbridge.VNI(uint32(s.u8())<<16 | uint32(s.u16()))
	p.Segment = drawbridge.SegmentID(s.u32())
	p.Epoch = drawbridge.Epoch(s.u64())
	p.Since = int64(s.u64())
	p.Name, p.SegmentName, p.Cause = s.text(MaxName), s.text(MaxName), s.text(MaxName)
	for range s.count(int(s.u8()), MaxReasons, 1) {
		p.Reasons = append(p.Reasons, s.text(MaxReason))
	}
	return p
}

// endpoint reads an address of 4 or 16 bytes and a port. An IPv4 address has one form only, the short one.
func (s *recordScanner) endpoint() netip.AddrPort {
	a, ok := netip.AddrFromSlice(s.take(int(s.u8())))
	s.check(ok && !a.Is4In6())
	return netip.AddrPortFrom(a, s.u16())
}

// count admits a list of n entries of at least size bytes; 0 when it cannot be there.
func (s *recordScanner) count(n, limit, size int) int {
	s.check(n <= limit && n*size <= len(s.rest))
	if s.bad {
		return 0
	}
	return n
}

func (s *recordScanner) text(limit int) string {
	n := int(s.u8())
	s.check(n <= limit)
	t := string(s.take(n))
	s.check(clean(t))
	return t
}

func (s *recordScanner) flags(known byte) byte {
	f := s.u8()
	s.check(f&^known == 0)
	return f
}

func (s *recordScanner) check(ok bool) { s.bad = s.bad || !ok }

// take returns the next n bytes, or nil when they are not there.
func (s *recordScanner) take(n int) []byte {
	s.check(n <= len(s.rest))
	if s.bad {
		return nil
	}
	t := s.rest[:n]
	s.rest = s.rest[n:]
	return t
}

func (s *recordScanner) u8() byte {
	if t := s.take(1); t != nil {
		return t[0]
	}
	return 0
}

func (s *recordScanner) u16() uint16 {
	if t := s.take(2); t != nil {
		return binary.BigEndian.Uint16(t)
	}
	return 0
}

func (s *recordScanner) u32() uint32 {
	if t := s.take(4); t != nil {
		return binary.BigEndian.Uint32(t)
	}
	return 0
}

func (s *recordScanner) u64() uint64 {
	if t := s.take(8); t != nil {
		return binary.BigEndian.Uint64(t)
	}
	return 0
}
