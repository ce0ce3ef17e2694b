package transit

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/udp"
)

// Sizes of the memory that a batch is opened into. A frame is laid down with room in front for the headers
// that travel behind it, and room behind for what stands there until it is cut off.
const (
	arenaLen  = 4 << 20
	frontRoom = 256
	maxFrame  = 1 << 16 // payload of a super-frame, or a whole other frame
	backRoom  = maxHeaderLen + maxMetaLen + secure.TagLen
)

// reader opens what one socket receives. It belongs to one goroutine.
type reader struct {
	// Set at construction, then constant.
	plane *Plane
	conn  int
	in    *udp.Reader
	recv  Receiver
	relay *Sender // for what goes on to others

	arena   []byte
	head    int // where free memory begins
	pending []*assembly
	spare   []*assembly
	pieces  fragments
	nonce   secure.NonceBuffer
	scratch []byte
	meta    meta
	header  drawbridge.Header
	packet  drawbridge.Packet
	now     time.Duration
	message int // of the batch, that is being opened; -1: none
}

// assembly is the run of slices of one frame that arrived in order so far. It lies in the arena, headers
// in front, and the next slice is opened right behind it.
type assembly struct {
	link       *Link
	meta       meta // of the first slice
	start, end int  // of the payload
	limit      int  // end of the memory that is reserved
	slice      int  // payload of the first slice: of all but the last of the frame
	next       uint8
	nextSeq    uint32
	message    int // of the batch, that the first slice came in
}

func newReader(p *Plane, c *udp.Conn) *reader {
	r := &reader{plane: p, in: c.Reader(), recv: p.cfg.Receiver(), relay: p.Sender(), arena: make([]byte, arenaLen), scratch: make([]byte, 1<<16)}
	for i := range p.conns {
		if p.conns[i] == c {
			r.conn = i
		}
	}
	return r
}

// run receives until the socket is shut.
func (r *reader) run() error {
	for {
		n, err := r.in.Read()
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		r.now = r.plane.now()
		for i := range n {
			r.take(i)
		}
		r.finish()
	}
}

// finish hands over what is complete and what will not get more complete, and begins with empty memory.
func (r *reader) finish() {
	for len(r.pending) > 0 {
		r.close(r.pending[0])
	}
	r.recv.Flush()
	r.relay.Flush()
	r.head = 0
}

// take opens the datagrams of one message.
func (r *reader) take(i int) {
	data, segment := r.in.Message(i)
	if data == nil {
		r.plane.drops.add(dropTruncated, 1)
		return
	}
	if len(data) == 0 {
		r.plane.drops.add(dropShort, 1)
	}
	for len(data) > 0 {
		one := data[:min(segment, len(data))]
		data = data[len(one):]
		r.datagram(one, i)
	}
}

func (r *reader) datagram(d []byte, i int) {
	r.message = i
	if len(d) < clearLen+secure.TagLen {
		r.plane.drops.add(dropShort, 1)
		return
	}
	if d[0]>>4 != version {
		r.plane.drops.add(dropVersion, 1)
		return
	}
	k := r.key(clearIndex(d))
	if k == nil {
		r.plane.drops.add(dropUnknownKey, 1)
		return
	}
	switch d[0] & 0xf {
	case kindFrame:
		r.frame(d, k)
	case kindBundle:
		r.bundle(d, k)
	case kindHeartbeat:
		r.heartbeat(d, k)
	default:
		r.plane.drops.add(dropVersion, 1)
	}
}

func (r *reader) key(index uint32) *rxKey { return (*r.plane.keys.Load())[index] }

// open authenticates d and lays its plain text behind dst; nil when it is forged or was seen.
func (r *reader) open(dst, d []byte, k *rxKey) []byte {
	thread, counter := clearCounter(d)
	k.data.Nonce(&r.nonce, thread, counter)
	plain, err := k.data.Open(dst, r.nonce[:], d[clearLen:], d[:clearLen])
	if err != nil {
		r.plane.drops.add(dropForged, 1)
		return nil
	}
	if !k.window(thread).Accept(counter) {
		r.plane.drops.add(dropReplayed, 1)
		return nil
	}
	if counter > k.high.Load() {
		k.high.Store(counter)
	}
	if !k.used.Load() {
		k.used.Store(true)
	}
	return plain
}

func (r *reader) heartbeat(d []byte, k *rxKey) {
	plain := r.open(r.scratch[:0], d, k)
	if plain == nil {
		return
	}
	from := netip.AddrPort{}
	if r.message >= 0 {
		from = r.in.From(r.message)
	}
	if k.link.takeHeartbeat(plain, from, r.conn, len(d), r.now) {
		r.relay.heartbeat(k.link, 0, false)
	}
}

// frame opens a datagram that carries a frame or a piece of one. It goes right behind the run of its link
// if there is one, in the hope that it continues it.
func (r *reader) frame(d []byte, k *rxKey) {
	a := r.assemblyOf(k.link)
	if a != nil && a.end+len(d) > a.limit {
		r.close(a)
		a = nil
	}
	at := r.head + frontRoom
	if a != nil {
		at = a.end
	} else if at+len(d)+backRoom > len(r.arena) {
		r.finish()
		at = frontRoom
	}
	plain := r.open(r.arena[at:at:len(r.arena)], d, k)
	if plain == nil {
		return
	}
	k.link.heard.Store(int64(r.now))
	k.link.counted.rxFrames.Add(1)
	k.link.counted.rxBytes.Add(uint64(len(d)))
	m := &r.meta
	payload, ok := m.parse(plain)
	if !ok {
		r.plane.drops.add(dropMalformed, 1)
		return
	}
	if !r.forward(plain, k.link) {
		return
	}
	r.place(payload, at, a, k.link)
}

// forward passes the frame on where others want it, and answers whether this peer wants it too.
func (r *reader) forward(plain []byte, from *Link) (mine bool) {
	m := &r.meta
	switch {
	case m.origin == r.plane.self:
		r.plane.drops.add(dropOwn, 1)
		return false
	case m.flags&flagFlood != 0:
		if !r.plane.floods.first(m.origin, m.seq, r.now) {
			r.plane.drops.add(dropDuplicate, 1)
			return false
		}
		r.relay.passFlood(plain, m, from)
		return true
	case m.flags&flagDest != 0 && m.dest != r.plane.self:
		r.relay.passOn(plain, m)
		return false
	}
	return true
}

// place puts a payload that was opened at at where it belongs: behind the run a, or into a new one, or
// straight out when it is a whole frame.
func (r *reader) place(payload []byte, at int, a *assembly, l *Link) {
	m := &r.meta
	if a != nil && a.continues(m) {
		a.end += len(payload) - int(m.headerLen)
		a.next++
		a.nextSeq++
		if a.next == a.meta.total {
			r.close(a)
		}
		return
	}
	if a != nil { // not what we hoped for: out of the way, or the next slice would overwrite it
		to := r.head + frontRoom
		if to+len(payload)+backRoom > len(r.arena) {
			r.spill(payload, l)
			return
		}
		copy(r.arena[to:], payload)
		payload = r.arena[to : to+len(payload)]
		at = to
	}
	if m.flags&flagPiece == 0 {
		r.head = at + len(payload)
		r.deliverWhole(payload)
		return
	}
	if a != nil {
		r.close(a)
	}
	r.beginRun(payload, at, l)
}

// spill is the last resort when the memory of a batch is used up in the middle of a run: the batch ends
// here.
func (r *reader) spill(payload []byte, l *Link) {
	kept := append(r.scratch[:0], payload...)
	m := r.meta
	r.finish()
	r.meta = m
	copy(r.arena[frontRoom:], kept)
	r.place(r.arena[frontRoom:frontRoom+len(kept)], frontRoom, nil, l)
}

func (r *reader) deliverWhole(f []byte) {
	r.packet.Frame = f[:len(f):len(f)]
	r.meta.getOffload(&r.packet.Offload)
	r.deliver(&r.meta, r.message, r.packet.Offload.GSO == drawbridge.GSONone)
}

// deliver hands the packet on, of which m tells and which came in that message, if it is what it was described as, and sound.
func (r *reader) deliver(m *meta, message int, described bool) {
	if !described || !sound(&r.packet) {
		r.plane.drops.add(dropMalformed, 1)
		return
	}
	m.header(r.plane.self, &r.header)
	if r.header.Dest == 0 && message >= 0 {
		r.header.Arrived = r.in.Arrived(message)
	}
	r.recv.Deliver(&r.header, &r.packet)
}

// sound reports whether p is a frame, and what the far end says is owed can be done to it: a port hands it
// to its kernel.
func sound(p *drawbridge.Packet) bool {
	o := &p.Offload
	if len(p.Frame) < drawbridge.MinFrame {
		return false
	}
	if o.Flags&drawbridge.NeedsChecksum == 0 {
		return o.GSO == drawbridge.GSONone
	}
	if int(o.ChecksumStart)+int(o.ChecksumOffset)+2 > len(p.Frame) {
		return false
	}
	switch o.GSO {
	case drawbridge.GSONone:
		return o.SegmentSize == 0
	case drawbridge.GSOTCPv4, drawbridge.GSOTCPv6, drawbridge.GSOUDP,
		drawbridge.GSOTCPv4 | drawbridge.GSOECN, drawbridge.GSOTCPv6 | drawbridge.GSOECN:
		return o.SegmentSize != 0 && o.HeaderLen != 0 && int(o.HeaderLen) < len(p.Frame)
	}
	return false
}

// beginRun starts an assembly with a piece that was opened at at.
func (r *reader) beginRun(payload []byte, at int, l *Link) {
	m := &r.meta
	n := len(payload) - int(m.headerLen)
	left := int(m.total-m.index) * n
	if n == 0 || left-n > maxFrame { // the last may be shorter
		r.plane.drops.add(dropMalformed, 1)
		return
	}
	copy(r.arena[at-int(m.headerLen):at], payload[n:])
	a := r.newAssembly()
	*a = assembly{link: l, meta: *m, start: at, end: at + n, slice: n, next: m.index + 1, nextSeq: m.seq + 1, message: r.message}
	a.limit = min(at+left+backRoom+clearLen+secure.TagLen, len(r.arena))
	r.head = a.limit
	if a.next == a.meta.total {
		r.close(a)
	}
}

// continues reports whether m is the next piece of the same frame.
func (a *assembly) continues(m *meta) bool {
	const same = flagPiece | flagFlood | flagOffload | flagMSS | flagSegment
	return m.flags&flagPiece != 0 && m.index == a.next && m.seq == a.nextSeq && m.total == a.meta.total &&
		m.origin == a.meta.origin && m.headerLen == a.meta.headerLen && (m.flags^a.meta.flags)&same == 0 &&
		m.vni == a.meta.vni && m.epoch == a.meta.epoch && m.segment == a.meta.segment
}

func (r *reader) assemblyOf(l *Link) *assembly {
	for _, a := range r.pending {
		if a.link == l {
			return a
		}
	}
	return nil
}

func (r *reader) newAssembly() *assembly {
	var a *assembly
	if n := len(r.spare); n > 0 {
		a, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		a = &assembly{}
	}
	r.pending = append(r.pending, a)
	return a
}

// close takes a run off the pending ones and delivers it: as the frame that it was, or, when pieces are
// missing, as a frame of those that are here.
func (r *reader) close(a *assembly) {
	for i := range r.pending {
		if r.pending[i] == a {
			r.pending = append(r.pending[:i], r.pending[i+1:]...)
			break
		}
	}
	r.spare = append(r.spare, a)
	if a.end-a.start > maxFrame {
		r.plane.drops.add(dropMalformed, 1)
		return
	}
	if a.meta.headerLen == 0 {
		r.closeFragments(a)
		return
	}
	r.packet.Frame = r.arena[a.start-int(a.meta.headerLen) : a.end : a.limit]
	r.deliver(&a.meta, a.message, a.describe(&r.packet))
}

// describe makes headers and offload of p true for the run, if they can be.
func (a *assembly) describe(p *drawbridge.Packet) bool {
	m, o := &a.meta, &p.Offload
	m.getOffload(o)
	payload := a.end - a.start
	slice, ok := a.sliceLen(p.Frame)
	if !ok {
		return false
	}
	mss := slice
	if m.flags&flagMSS != 0 {
		mss = int(m.mss)
	}
	first, last := m.index == 0, a.next == m.total
	if o.GSO == drawbridge.GSONone || o.Flags == 0 || int(o.ChecksumStart)+8 > int(m.headerLen) {
		return false
	}
	if (!first || !last) && !shorten(p.Frame, o, int(m.index)*slice, int(m.index)*slice/mss, first, last) {
		return false
	}
	o.SegmentSize, o.HeaderLen = uint16(mss), uint16(m.headerLen)
	if !first {
		o.GSO &^= drawbridge.GSOECN
	}
	if payload <= mss {
		o.GSO, o.SegmentSize, o.HeaderLen = drawbridge.GSONone, 0, 0
	}
	return true
}

// sliceLen is the payload of all slices but the last. A last slice that arrives alone does not show it; the
// headers, which tell the length of the whole, do.
func (a *assembly) sliceLen(f []byte) (n int, ok bool) {
	m := &a.meta
	if m.index == 0 || m.index+1 < m.total {
		return a.slice, true
	}
	at, etherType, ok := networkStart(f)
	if !ok || len(f) < at+20 {
		return 0, false
	}
	whole := at + int(binary.BigEndian.Uint16(f[at+2:]))
	if etherType == 0x86dd {
		whole = at + 40 + int(binary.BigEndian.Uint16(f[at+4:]))
	}
	n = (whole - int(m.headerLen) - a.slice) / int(m.index)
	return n, n >= a.slice
}

// closeFragments delivers a frame all of whose fragments came in one batch, and keeps them otherwise.
func (r *reader) closeFragments(a *assembly) {
	whole, m := r.arena[a.start:a.end:a.limit], &a.meta
	if m.index != 0 || a.next != m.total {
		var ok bool
		if whole, ok = r.pieces.put(a, whole, r.now, &r.plane.drops); !ok {
			return
		}
	}
	r.packet.Frame = whole
	m.getOffload(&r.packet.Offload)
	if o := &r.packet.Offload; o.GSO != drawbridge.GSONone {
		n, _ := headerLen(&r.packet)
		o.SegmentSize, o.HeaderLen = m.mss, uint16(n)
	}
	r.deliver(m, a.message, true)
}

func (m *meta) String() string {
	return fmt.Sprintf("origin %s seq %d piece %d of %d flags %07b", m.origin, m.seq, m.index+1, m.total, m.flags)
}
