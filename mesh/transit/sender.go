package transit

import (
	"syscall"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/udp"

	"golang.org/x/sys/unix"
)

// messageLen is the room of one message: as much as the kernel cuts at once.
const messageLen = udp.MaxDatagram

// queued is how many messages a sender collects before it sends unasked.
const queued = 16

// message is datagrams for one link, all of one length but the last.
type message struct {
	link    *Link
	remote  *remote
	buf     []byte
	len     int
	segment int
	count   int
	full    bool // the last datagram is shorter, nothing may follow
	probe   bool // a heartbeat: not to arrive is part of its job
	frames  int  // that are lost with it: one a datagram, and what is bundled
}

// lane is one target of the frame in hand.
type lane struct {
	link    *Link
	key     *txKey
	counter uint64 // of the first piece
	first   *message
	second  *message
	split   int // pieces from here on go to second
	at, at2 int // where the pieces begin in first and second
}

// Sender seals frames and sends them in batches. It belongs to one goroutine.
type Sender struct {
	// Set at construction, then constant.
	plane   *Plane
	thread  uint8
	writers []*udp.Writer

	messages []*message
	used     int
	last     *message // the one that was appended to, the likeliest to take more
	lanes    []lane
	bundles  []*bundle
	packed   *bundle         // the one that was packed last
	out      [][]udp.Message // by socket
	from     [][]*message
	nonce    secure.NonceBuffer
	meta     meta
	scratch  []byte
	control  []controlFrame // pieces for lanes without a key, last first
}

// Sender makes a sender for the calling goroutine. A plane has at most 256 of them at a time: each has its
// own counters under every key. Counters belong to the key, so whoever takes over the number of a sender
// that was closed goes on where that one stopped.
func (p *Plane) Sender() *Sender {
	s := &Sender{plane: p, thread: p.takeThread(), scratch: make([]byte, 0, 1<<16+maxMetaLen)}
	for _, c := range p.conns {
		s.writers = append(s.writers, c.Writer())
	}
	s.out = make([][]udp.Message, len(p.conns))
	s.from = make([][]*message, len(p.conns))
	for range queued {
		s.grow()
	}
	return s
}

func (p *Plane) takeThread() uint8 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.threads {
		if !p.threads[i] {
			p.threads[i] = true
			return uint8(i)
		}
	}
	panic("transit: more senders than threads that a nonce can name")
}

// Close gives the sender's number back. What was not flushed is lost; nothing may be sent any more.
func (s *Sender) Close() {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	s.plane.threads[s.thread] = false
}

func (s *Sender) grow() { s.messages = append(s.messages, &message{buf: make([]byte, messageLen)}) }

// Send takes a frame on its way: to h.Dest, or to every peer when that is 0. It is sealed, or dropped and
// counted, when Send returns, and leaves at Flush or before. Bytes of p.Frame, and up to 256 behind it
// within its capacity, may have been overwritten.
func (s *Sender) Send(h *drawbridge.Header, p *drawbridge.Packet) {
	r := s.plane.routing.Load()
	m := &s.meta
	*m = meta{hops: maxHops, vni: h.VNI, origin: s.plane.self, total: 1}
	if h.Segment != 0 {
		m.flags, m.segment, m.epoch = flagSegment, h.Segment, h.Epoch
	}
	limit := 0
	if h.Dest == 0 {
		limit = s.flood(r, m)
	} else {
		limit = s.unicast(r, m, h.Dest)
	}
	if len(s.lanes) > 0 {
		s.cut(p, limit)
	}
}

// flood makes lanes to everybody who is to pass the frame on, and answers how large a datagram may be.
func (s *Sender) flood(r *routing, m *meta) (limit int) {
	m.flags |= flagFlood
	links := r.children[s.plane.self]
	if r.flux {
		m.flags |= flagMark
		links = r.all
	}
	s.lanes = s.lanes[:0]
	limit = messageLen
	for _, l := range links {
		if s.addLane(l) {
			limit = min(limit, l.largest())
		}
	}
	if r.floodMTU > 0 {
		limit = min(limit, r.floodMTU+Overhead)
	}
	return limit
}

func (s *Sender) unicast(r *routing, m *meta, dest drawbridge.PeerID) (limit int) {
	s.lanes = s.lanes[:0]
	h, ok := r.next[dest]
	if !ok {
		s.plane.drops.add(dropNoRoute, 1)
		return 0
	}
	if !s.addLane(h.link) {
		s.plane.drops.add(dropLinkDown, 1)
		return 0
	}
	limit = h.link.largest()
	if h.pathMTU > 0 {
		limit = min(limit, h.pathMTU+Overhead)
	}
	if h.link.cfg.Peer != dest {
		m.flags |= flagDest
		m.dest = dest
	}
	return limit
}

// addLane prepares l as a target; false when it carries nothing now.
func (s *Sender) addLane(l *Link) bool {
	path := l.path.Load()
	if path == pathNone {
		return false
	}
	n := len(s.lanes)
	if n < cap(s.lanes) {
		s.lanes = s.lanes[:n+1]
	} else {
		s.lanes = append(s.lanes, lane{})
	}
	ln := &s.lanes[n]
	*ln = lane{link: l}
	if path == pathUDP {
		if ln.key = l.tx.Load(); ln.key == nil {
			s.lanes = s.lanes[:n]
			return false
		}
	}
	return true
}

// sealAll seals plain, the index-th of the pieces in hand, for every lane. room is where in each lane's
// messages the piece goes; reserve has made it.
func (s *Sender) sealAll(plain []byte, index, size int) {
	for i := range s.lanes {
		ln := &s.lanes[i]
		if ln.key == nil {
			s.byControl(ln.link, plain)
			continue
		}
		m, at := ln.first, ln.at+index*size
		if index >= ln.split {
			m, at = ln.second, ln.at2+(index-ln.split)*size
		}
		s.seal(m.buf[at:], ln.key, ln.counter+uint64(index), kindFrame, plain)
	}
}

// seal writes a datagram to the front of to.
func (s *Sender) seal(to []byte, k *txKey, counter uint64, kind byte, plain []byte) {
	putClear(to, kind, k.index, s.thread, counter)
	k.data.Nonce(&s.nonce, s.thread, counter)
	k.data.Seal(to[clearLen:clearLen], s.nonce[:], plain, to[:clearLen])
}

// reserve finds room for count datagrams in each lane: all of size bytes but the last, and takes their
// counters. Lanes that cannot have any are removed.
func (s *Sender) reserve(count, size, last int) bool {
	if s.used+3*len(s.lanes) > len(s.messages) {
		s.send()
		for len(s.messages) < 3*len(s.lanes) {
			s.grow()
		}
	}
	kept := s.lanes[:0]
	for i := range s.lanes {
		ln := s.lanes[i]
		s.settleLink(ln.link)
		if ln.key != nil && !s.reserveLane(&ln, count, size, last) {
			s.plane.drops.add(dropKeyExhausted, count)
			continue
		}
		ln.link.counted.txFrames.Add(1)
		ln.link.counted.txBytes.Add(uint64((count-1)*size + last))
		kept = append(kept, ln)
	}
	s.lanes = kept
	return len(kept) > 0
}

func (s *Sender) reserveLane(ln *lane, count, size, last int) bool {
	c := &ln.key.counters[s.thread]
	if c.n+uint64(count) > lastCounter {
		return false
	}
	ln.counter = c.n
	c.n += uint64(count)
	ln.split = count
	if m := s.find(ln.link, count, size, last); m != nil {
		ln.first, ln.at = m, m.len
		m.take(count, size, last)
		return true
	}
	if count <= udp.MaxSegments && (count-1)*size+last <= messageLen {
		ln.first = s.next(ln.link, size)
		ln.first.take(count, size, last)
		return true
	}
	// Two equal halves: the kernel at the far end joins each of them, and neither is a straggler.
	ln.split = (count + 1) / 2
	ln.first = s.next(ln.link, size)
	ln.first.take(ln.split, size, size)
	ln.second = s.next(ln.link, size)
	ln.second.take(count-ln.split, size, last)
	return true
}

// find is an open message to the link that can take the datagrams behind what it has.
func (s *Sender) find(l *Link, count, size, last int) *message {
	m := s.last
	if m == nil || m.link != l {
		m = nil
		for i := s.used - 1; i >= 0; i-- {
			if s.messages[i].link == l {
				m = s.messages[i]
				break
			}
		}
	}
	if m == nil || m.full || m.count+count > udp.MaxSegments || m.len+(count-1)*size+last > messageLen {
		return nil
	}
	if size != m.segment && (count > 1 || last > m.segment) {
		return nil
	}
	s.last = m
	return m
}

func (s *Sender) next(l *Link, size int) *message {
	m := s.messages[s.used]
	s.used++
	m.link, m.remote, m.len, m.count, m.segment, m.full, m.probe, m.frames = l, l.remote.Load(), 0, 0, size, false, false, 0
	s.last = m
	return m
}

func (m *message) take(count, size, last int) {
	m.len += (count-1)*size + last
	m.count += count
	m.frames += count
	m.full = last < m.segment
}

// Flush sends what was collected. It ends every batch.
func (s *Sender) Flush() {
	s.settleAll()
	if s.used > 0 {
		s.send()
	}
}

func (s *Sender) send() {
	for i := range s.out {
		s.out[i], s.from[i] = s.out[i][:0], s.from[i][:0]
	}
	for _, m := range s.messages[:s.used] {
		if m.remote == nil {
			s.plane.drops.add(dropLinkDown, m.frames)
			continue
		}
		c := m.remote.conn
		s.out[c] = append(s.out[c], udp.Message{To: m.remote.addr, Data: m.buf[:m.len], Segment: m.segment})
		s.from[c] = append(s.from[c], m)
	}
	for c, out := range s.out {
		if len(out) > 0 && s.writers[c].Send(out) > 0 {
			s.explain(out, s.from[c])
		}
	}
	s.used, s.last = 0, nil
}

// explain counts what did not leave, and learns from a datagram that our own interface finds too big.
func (s *Sender) explain(out []udp.Message, from []*message) {
	for i := range out {
		switch errno, _ := out[i].Err.(syscall.Errno); {
		case out[i].Err == nil:
		case errno == unix.EMSGSIZE:
			from[i].link.refused(out[i].Segment)
			if !from[i].probe {
				s.plane.drops.add(dropTooBig, from[i].frames)
			}
		default:
			s.plane.drops.add(dropSendFailed, from[i].frames)
		}
	}
}

// refused lowers the link's datagrams when our own interface does not take them.
func (l *Link) refused(size int) {
	l.mu.Lock()
	fits, changed := l.mtuOf.refused(size, int(l.max.Load()))
	if changed {
		l.max.Store(int32(fits))
	}
	l.mu.Unlock()
}

// heartbeat sends one at once, padded to size bytes of datagram; a smaller size is as long as it must be. A
// probe asks whether that size arrives.
func (s *Sender) heartbeat(l *Link, size int, probe bool) {
	k, r := l.tx.Load(), l.remote.Load()
	if k == nil || r == nil {
		return
	}
	c := &k.counters[s.thread]
	if c.n >= lastCounter {
		return
	}
	l.mu.Lock()
	if !probe {
		l.beat.seq++
	}
	plain := l.fillHeartbeat(s.scratch[:0], &l.beat.udp, l.plane.now())
	l.mu.Unlock()
	for len(plain)+clearLen+secure.TagLen < size {
		plain = append(plain, 0)
	}
	n := clearLen + len(plain) + secure.TagLen
	if s.used == len(s.messages) {
		s.send()
	}
	m := s.next(l, n)
	m.take(1, n, n)
	m.full, m.probe = true, true // one that is too big must not take others with it
	s.seal(m.buf, k, c.n, kindHeartbeat, plain)
	c.n++
}
