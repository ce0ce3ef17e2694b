package transit

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/udp"
)

// Transit messages, the first byte of what Control carries.
const (
	controlKey       = 1 // RxKey: seal what you send me under this
	controlFrameMsg  = 2 // the plain text of a datagram, when UDP is blocked
	controlHeartbeat = 3 // a heartbeat, when UDP is silent
)

// Rotation of keys: after two minutes, or when half of the counters that GCM is good for are used (2^32 by
// NIST SP 800-38D §8.3, halved so that the change has time). A replaced key is good for lateFor more, for
// what is still on its way.
const (
	rekeyAfter     = 2 * time.Minute
	rekeyCounter   = 1 << 31
	lastCounter    = 1 << 32
	lateFor        = 10 * time.Second
	announceAgain  = time.Second
	keptKeys       = 3
	maxThreads     = 256
	unansweredAsks = 250 * time.Millisecond
)

// rxKey is a key that we asked the far end to seal with.
type rxKey struct {
	link  *Link
	index uint32
	data  *secure.DataKey
	ask   secure.RxKey
	born  time.Duration

	used    atomic.Bool // something came under it
	usedAt  time.Duration
	high    atomic.Uint64 // highest counter seen
	windows [maxThreads]atomic.Pointer[secure.Window]
}

// window is the replay window of one sending thread.
func (k *rxKey) window(thread uint8) *secure.Window {
	if w := k.windows[thread].Load(); w != nil {
		return w
	}
	k.windows[thread].CompareAndSwap(nil, &secure.Window{})
	return k.windows[thread].Load()
}

// txKey is a key that the far end asked us to seal with. Each sending thread counts for itself.
type txKey struct {
	index    uint32
	data     *secure.DataKey
	born     time.Duration
	counters [maxThreads]struct {
		n uint64
		_ [56]byte // a cache line each
	}
}

// Link is the data link to one adjacent peer.
type Link struct {
	// Set at construction, then constant.
	plane *Plane
	cfg   LinkConfig
	born  time.Duration

	// Any goroutine; atomic.
	tx      atomic.Pointer[txKey]
	remote  atomic.Pointer[remote]
	path    atomic.Int32 // pathNone, pathUDP, pathTCP
	max     atomic.Int32 // largest datagram that is known to arrive
	heard   atomic.Int64 // when anything authentic last came by UDP
	closed  atomic.Bool
	counted struct{ rxFrames, rxBytes, txFrames, txBytes atomic.Uint64 }

	mu    sync.Mutex // guards what follows
	rx    []*rxKey   // newest first
	asked time.Duration
	beat  beatState
	mtuOf pathMTU
	since time.Time
	told  LinkState // what Changed last heard, or is about to

	untold, telling bool
}

const (
	pathNone = iota
	pathUDP
	pathTCP
)

var pathNames = [...]string{PathNone, PathUDP, PathTCP}

// remote is where datagrams to the far end go, and by which socket.
type remote struct {
	conn int
	addr *udp.Addr
}

func newLink(p *Plane, cfg LinkConfig) *Link {
	l := &Link{plane: p, cfg: cfg, born: p.now(), since: time.Now()}
	l.max.Store(baseDatagram)
	l.beat.lost.reset()
	l.mtuOf.begin()
	return l
}

// begin announces the first key and calls the far end.
func (l *Link) begin() {
	l.rotate(l.plane.now())
	if len(l.cfg.Endpoints) > 0 {
		l.adopt(l.cfg.Endpoints[0])
	}
}

// adopt makes addr the far end's, over the first socket that can reach it.
func (l *Link) adopt(addr netip.AddrPort) bool {
	for i, c := range l.plane.conns {
		if a, ok := c.Dest(addr); ok {
			l.remote.Store(&remote{conn: i, addr: a})
			return true
		}
	}
	return false
}

// rotate draws a new key and asks the far end to use it.
func (l *Link) rotate(now time.Duration) {
	k := l.drawKey(now)
	for !l.plane.addKey(k) {
		k = l.drawKey(now)
	}
	l.mu.Lock()
	gone := []*rxKey{k}
	closed := l.closed.Load()
	if !closed {
		l.rx, gone = append(gone, l.rx...), nil
		if len(l.rx) > keptKeys {
			l.rx, gone = l.rx[:keptKeys], l.rx[keptKeys:]
		}
		l.asked = now
	}
	l.mu.Unlock()
	l.plane.dropKeys(gone...)
	if !closed {
		l.announce(k)
	}
}

// drawKey makes a key of a random index.
func (l *Link) drawKey(now time.Duration) *rxKey {
	ask := secure.NewRxKey(rand.Uint32(), l.plane.cfg.Cipher)
	data, err := ask.Derive(l.cfg.Exporter, l.cfg.Dialler, l.plane.cfg.Cipher)
	if err != nil { // HKDF with constant lengths
		panic(err)
	}
	return &rxKey{link: l, index: ask.Index, data: data, ask: ask, born: now}
}

func (l *Link) announce(k *rxKey) {
	msg := k.ask.Append([]byte{controlKey})
	if err := l.cfg.Control(msg); err != nil {
		l.plane.cfg.Log.Debug("data key not announced", "peer", l.cfg.Name, "err", err)
	}
}

// HandleControl takes a transit message of the far end. msg is not kept.
func (l *Link) HandleControl(msg []byte) {
	switch {
	case l.closed.Load():
		l.plane.drops.add(dropLinkDown, 1)
		return
	case len(msg) == 0:
		l.plane.drops.add(dropMalformed, 1)
		return
	}
	switch msg[0] {
	case controlKey:
		l.takeKey(msg[1:])
	case controlFrameMsg:
		l.plane.takeControlFrame(l, msg[1:])
	case controlHeartbeat:
		l.takeHeartbeat(msg[1:], netip.AddrPort{}, -1, len(msg), l.plane.now())
	default:
		l.plane.drops.add(dropVersion, 1) // a later version may say more; it asks first what we know
	}
}

// takeKey seals with a new key from now on.
func (l *Link) takeKey(b []byte) {
	ask, err := secure.ParseRxKey(b)
	if err == nil {
		if k := l.tx.Load(); k != nil && k.index == ask.Index {
			return // announced again
		}
		var data *secure.DataKey
		if data, err = ask.Derive(l.cfg.Exporter, !l.cfg.Dialler, l.plane.cfg.Cipher); err == nil {
			l.tx.Store(&txKey{index: ask.Index, data: data, born: l.plane.now()})
			return
		}
	}
	l.plane.drops.add(dropMalformed, 1)
	if errors.Is(err, secure.ErrCipher) {
		l.plane.cfg.Log.Error("data link refused", "peer", l.cfg.Name, "err", err)
	}
}

// turnKeys rotates when it is time, repeats an announcement that may have been lost, and forgets keys that
// nobody uses any more.
func (l *Link) turnKeys(now time.Duration) {
	l.mu.Lock()
	if len(l.rx) == 0 {
		l.mu.Unlock()
		return
	}
	k := l.rx[0]
	used := k.used.Load()
	var gone []*rxKey
	if used && k.usedAt == 0 {
		k.usedAt = now
	}
	if used && len(l.rx) > 1 && now-k.usedAt > lateFor {
		gone, l.rx = l.rx[1:], l.rx[:1:1]
	}
	again := !used && now-l.asked > announceAgain
	if again {
		l.asked = now
	}
	l.mu.Unlock()
	if len(gone) > 0 {
		l.plane.dropKeys(gone...)
	}
	if again {
		l.announce(k)
	}
	if used && (now-k.born > rekeyAfter || k.high.Load() > rekeyCounter) {
		l.rotate(now)
	}
}

// mtu is the largest frame that fits a datagram on this link; 0 when it carries nothing.
func (l *Link) mtu() int {
	switch l.path.Load() {
	case pathUDP:
		return int(l.max.Load()) - Overhead
	case pathTCP:
		return controlDatagram - Overhead
	}
	return 0
}

// largest is how much plain text and tag a datagram, or a message of the control link, may have.
func (l *Link) largest() int {
	if l.path.Load() == pathTCP {
		return controlDatagram
	}
	return int(l.max.Load())
}

// State is how the link does.
func (l *Link) State() LinkState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state()
}

func (l *Link) state() LinkState {
	path := l.path.Load()
	s := LinkState{
		Up: path != pathNone, Path: pathNames[path], RTT: l.beat.rtt, MinRTT: l.beat.minRTT(), Jitter: l.beat.jitter,
		Loss: max(l.beat.lost.share(), l.beat.theirLoss), MTU: l.mtu(), Since: l.since,
		RxFrames: l.counted.rxFrames.Load(), RxBytes: l.counted.rxBytes.Load(),
		TxFrames: l.counted.txFrames.Load(), TxBytes: l.counted.txBytes.Load(),
	}
	if r := l.remote.Load(); r != nil {
		s.Remote = r.addr.AddrPort()
		s.GSO, s.GRO = l.plane.conns[r.conn].Offload()
	}
	if k := l.tx.Load(); k != nil {
		s.KeyAge = l.plane.now() - k.born
	}
	return s
}

// Close ends the link. Nothing is received over it any more.
func (l *Link) Close() {
	if l.closed.Swap(true) {
		return
	}
	l.mu.Lock()
	l.path.Store(pathNone)
	gone := l.rx
	l.rx = nil
	l.mu.Unlock()
	l.plane.dropKeys(gone...)
	l.plane.remove(l)
}
