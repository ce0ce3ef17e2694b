package transit

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// silentBeats is how many heartbeats may be missing before a link is down: three lost in a row on a link
// that loses one in a hundred happen once in a day, and the half is for jitter.
const silentBeats = 3.5

// Times of the fall-back to the control link: how long UDP is given at the beginning, how often it is asked
// whether the far end lives, and how long an answer is good for. TCP holds messages back for a
// retransmission timeout, so it is given longer than UDP.
const (
	tcpAfter = 500 * time.Millisecond
	tcpFor   = 3 * time.Second
)

// Heartbeat, sealed in a datagram of its kind or whole in a control message (docs/protocol/data.md):
//
//	 0  sequence   4
//	 4  sent       8  sender's clock in µs
//	12  echo       8  the last sent that the sender heard on this path; 0: nothing yet
//	20  held       4  µs between hearing it and sending this
//	24  largest    2  largest heartbeat datagram heard of late; 0: none
//	26  lost       1  share of heartbeats that did not arrive, 255ths
//	27  padding       zeros
const heartbeatLen = 27

// leastFor is the period over which the smallest round trip is kept: long enough that one of a hundred
// heartbeats meets no queue, short enough that another path is noticed.
const leastFor = 10 * time.Second

// minRTT is the smallest round trip of the current and the previous period.
func (b *beatState) minRTT() time.Duration {
	if b.least[1] == 0 || b.least[0] != 0 && b.least[0] < b.least[1] {
		return b.least[0]
	}
	return b.least[1]
}

// lossOver is how many heartbeats the share of lost ones is taken over: 3.2 s.
const lossOver = 32

// lossMeter watches gaps in the sequence of heartbeats.
type lossMeter struct {
	any  bool
	top  uint32
	seen uint64 // bit i: top-i arrived
}

func (m *lossMeter) reset() { *m = lossMeter{} }

func (m *lossMeter) arrived(seq uint32) (newest bool) {
	ahead := int32(seq - m.top)
	switch {
	case !m.any || ahead > 64 || ahead < -64:
		*m = lossMeter{any: true, top: seq, seen: ^uint64(0)}
		return true
	case ahead > 0:
		m.seen = m.seen<<ahead | 1
		m.top = seq
		return true
	}
	m.seen |= 1 << -ahead
	return false
}

func (m *lossMeter) share() float64 {
	lost := 0
	for i := range lossOver {
		if m.seen>>i&1 == 0 {
			lost++
		}
	}
	if !m.any {
		return 0
	}
	return float64(lost) / lossOver
}

// pathClock is what one path (UDP or the control link) needs to echo.
type pathClock struct {
	theirs uint64 // the far end's clock, as it last came
	at     time.Duration
}

// beatState is the memory of heartbeats.
type beatState struct {
	seq           uint32
	sentAt        time.Duration
	askedAt       time.Duration // last heartbeat on the control link
	udp, tcp      pathClock
	echoed        bool // the far end hears us by UDP
	tcpEcho       time.Duration
	udpEnd        time.Duration // when UDP was last lost
	rtt, jitter   time.Duration
	least         [2]time.Duration // round trip of this and of the previous period
	leastPeriod   time.Duration
	lost          lossMeter
	theirLoss     float64
	largest       [2]int // of this and of the previous period
	largestPeriod time.Duration
	nextEndpoint  int
}

// tick is called by the plane's timer. late says that the timer itself was held up, so that silence is no
// proof.
func (l *Link) tick(s *Sender, now time.Duration, late bool) {
	if l.closed.Load() {
		return
	}
	l.turnKeys(now)
	l.mu.Lock()
	due := now-l.beat.sentAt >= l.plane.cfg.Heartbeat
	size := 0
	if due {
		l.beat.sentAt = now
		size = l.mtuOf.confirm(now, int(l.max.Load()))
		if period := now / largestFor; period != l.beat.largestPeriod {
			l.beat.largestPeriod = period
			l.beat.largest = [2]int{0, l.beat.largest[0]}
		}
	}
	var probes []int
	if l.beat.udp.at != 0 && l.tx.Load() != nil {
		probes = l.mtuOf.probes(now)
	}
	l.mu.Unlock()
	if due {
		l.tryEndpoints()
		s.heartbeat(l, size, false)
	}
	for _, size := range probes {
		s.heartbeat(l, size, true)
	}
	l.askControl(now)
	if !late {
		l.judge(now)
	}
}

// tryEndpoints goes through the addresses that the far end listens on until it is heard from one.
func (l *Link) tryEndpoints() {
	if l.path.Load() == pathUDP || len(l.cfg.Endpoints) < 2 {
		return
	}
	l.mu.Lock()
	l.beat.nextEndpoint++
	next := l.cfg.Endpoints[l.beat.nextEndpoint%len(l.cfg.Endpoints)]
	heard := l.beat.udp.at != 0
	l.mu.Unlock()
	if !heard {
		l.adopt(next)
	}
}

// askControl sends heartbeats over the control link while UDP is silent: a peer that answers there lives,
// and UDP is blocked.
func (l *Link) askControl(now time.Duration) {
	l.mu.Lock()
	ask := l.path.Load() != pathUDP && now-l.born > tcpAfter && now-l.beat.askedAt >= unansweredAsks
	if !ask {
		l.mu.Unlock()
		return
	}
	l.beat.askedAt = now
	msg := l.fillHeartbeat([]byte{controlHeartbeat}, &l.beat.tcp, now)
	l.mu.Unlock()
	_ = l.cfg.Control(msg) // a full queue is as good as a lost heartbeat
}

// fillHeartbeat writes a heartbeat behind b. Only regular ones on UDP have a sequence number of their own:
// gaps are loss, and probes are meant to get lost. The caller holds l.mu.
func (l *Link) fillHeartbeat(b []byte, path *pathClock, now time.Duration) []byte {
	b = binary.BigEndian.AppendUint32(b, l.beat.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(now.Microseconds()))
	b = binary.BigEndian.AppendUint64(b, path.theirs)
	b = binary.BigEndian.AppendUint32(b, uint32(min((now-path.at).Microseconds(), 1<<32-1)))
	b = binary.BigEndian.AppendUint16(b, uint16(max(l.beat.largest[0], l.beat.largest[1])))
	return append(b, uint8(l.beat.lost.share()*255))
}

// takeHeartbeat handles a heartbeat that was authenticated. conn is -1 when it came over the control link.
// It answers whether the far end should hear from us at once.
func (l *Link) takeHeartbeat(b []byte, from netip.AddrPort, conn, size int, now time.Duration) (answer bool) {
	if len(b) < heartbeatLen {
		l.plane.drops.add(dropMalformed, 1)
		return false
	}
	seq, sent, echo := binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint64(b[12:])
	held := time.Duration(binary.BigEndian.Uint32(b[20:])) * time.Microsecond
	largest, lost := int(binary.BigEndian.Uint16(b[24:])), float64(b[26])/255
	if echo > uint64(now.Microseconds()) { // we never said that
		l.plane.drops.add(dropMalformed, 1)
		return false
	}

	l.mu.Lock()
	path := &l.beat.udp
	if conn < 0 {
		path = &l.beat.tcp
	} else {
		newest := l.beat.lost.arrived(seq)
		l.beat.largest[0] = max(l.beat.largest[0], size)
		l.beat.theirLoss = lost
		if newest {
			l.follow(from, conn)
			l.beat.echoed = echo != 0 // the far end says 0 again when it no longer hears us
		}
		answer = echo == 0 || path.theirs == 0
	}
	if sent > path.theirs {
		path.theirs, path.at = sent, now
	}
	if echo != 0 {
		l.heardEcho(conn, time.Duration(echo)*time.Microsecond, held, now)
	}
	if conn >= 0 && largest > 0 {
		if size, changed := l.mtuOf.heard(now, largest, int(l.max.Load())); changed {
			l.max.Store(int32(size))
		}
	}
	l.mu.Unlock()
	if conn >= 0 {
		l.heard.Store(int64(now))
	}
	l.judge(now)
	return answer
}

// follow sends to where the newest heartbeat came from: the address of a peer behind NAT changes when its
// router forgets it. The caller holds l.mu.
func (l *Link) follow(from netip.AddrPort, conn int) {
	r := l.remote.Load()
	if r != nil && r.conn == conn && r.addr.AddrPort() == from {
		return
	}
	if a, ok := l.plane.conns[conn].Dest(from); ok {
		l.remote.Store(&remote{conn, a})
		l.mtuOf.begin() // another path, perhaps a narrower one
	}
}

// heardEcho measures the round trip. The caller holds l.mu.
func (l *Link) heardEcho(conn int, echo, held, now time.Duration) {
	rtt := max(now-echo-held, 0)
	if conn < 0 {
		l.beat.tcpEcho = now
	}
	if conn < 0 && l.path.Load() == pathUDP {
		return
	}
	if period := now / leastFor; period != l.beat.leastPeriod {
		l.beat.leastPeriod = period
		l.beat.least = [2]time.Duration{0, l.beat.least[0]}
	}
	if l.beat.least[0] == 0 || rtt < l.beat.least[0] {
		l.beat.least[0] = rtt
	}
	if l.beat.rtt == 0 {
		l.beat.rtt, l.beat.jitter = rtt, rtt/2
		return
	}
	diff := rtt - l.beat.rtt
	l.beat.rtt += diff / 8 // RFC 6298 §2
	l.beat.jitter += (diff.Abs() - l.beat.jitter) / 4
}

// judge decides which path works and tells when something moved.
func (l *Link) judge(now time.Duration) {
	silence := time.Duration(silentBeats * float64(l.plane.cfg.Heartbeat))
	heard := time.Duration(l.heard.Load())
	l.mu.Lock()
	if l.closed.Load() {
		l.mu.Unlock()
		return
	}
	if now-heard >= silence {
		l.beat.echoed, l.beat.udp = false, pathClock{}
	}
	path := int32(pathNone)
	switch {
	case heard != 0 && now-heard < silence && l.beat.echoed && l.tx.Load() != nil:
		path = pathUDP
	case l.beat.tcpEcho > l.beat.udpEnd && now-l.beat.tcpEcho < tcpFor:
		path = pathTCP
	}
	if old := l.path.Swap(path); old != path {
		l.since = time.Now()
		if old == pathUDP {
			l.beat.udpEnd = now
		}
		if path == pathUDP {
			l.beat.tcp, l.beat.tcpEcho = pathClock{}, 0
		}
	}
	state := l.state()
	if l.worthTelling(&state) {
		l.told, l.untold = state, l.cfg.Changed != nil
	}
	l.tell()
	l.mu.Unlock()
}

// tell calls Changed, one goroutine at a time, so that what it hears last is how the link is. The caller holds
// l.mu, which is released meanwhile.
func (l *Link) tell() {
	if l.telling {
		return // whoever is at it goes on with what is untold
	}
	l.telling = true
	for l.untold {
		l.untold = false
		state := l.told
		l.mu.Unlock()
		l.cfg.Changed(state)
		l.mu.Lock()
	}
	l.telling = false
}

// worthTelling says whether the mesh should hear: of every change of path and MTU, and of a round trip
// that moved by more than a quarter. The caller holds l.mu.
func (l *Link) worthTelling(s *LinkState) bool {
	moved := (s.MinRTT - l.told.MinRTT).Abs()
	return s.Path != l.told.Path || s.MTU != l.told.MTU || s.Up && moved > l.told.MinRTT/4 && moved > 100*time.Microsecond
}
