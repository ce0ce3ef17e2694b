package transit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/udp"
)

// Config is what a plane needs to know once.
type Config struct {
	Self   drawbridge.PeerID
	Listen []netip.AddrPort // UDP sockets, at least one

	// Receiver is called once for each goroutine that receives, and gives it its receiver.
	Receiver func() Receiver

	Cipher    secure.Cipher // 0: AES-128-GCM
	NoOffload bool          // do without the kernel's segmentation and coalescing
	Batch     int           // messages for one system call; 0: 32
	Log       *slog.Logger

	// Heartbeat is the interval of heartbeats; 0: 100 ms. A link is down after 3.5 silent ones.
	Heartbeat time.Duration
}

// Plane is the data plane of one peer.
type Plane struct {
	// Set at construction, then constant.
	cfg   Config
	self  drawbridge.PeerID
	conns []*udp.Conn
	start time.Time
	tcp   chan controlFrame

	// Any goroutine; atomic or locked inside.
	drops    drops
	routing  atomic.Pointer[routing]
	keys     atomic.Pointer[map[uint32]*rxKey]
	unicasts atomic.Uint32 // next sequence number of frames to one peer
	flooded  atomic.Uint32 // next sequence number of frames to all
	floods   floods

	mu      sync.Mutex // guards what follows
	links   map[drawbridge.PeerID]*Link
	routes  *Routes
	threads [maxThreads]bool // which numbers of senders are taken
}

// Listen opens the sockets. Nothing is received before Run.
func Listen(cfg Config) (*Plane, error) {
	if len(cfg.Listen) == 0 || cfg.Self == 0 || cfg.Receiver == nil {
		return nil, errors.New("transit: an id, a receiver and at least one address to listen on are needed")
	}
	if cfg.Cipher == 0 {
		cfg.Cipher = secure.CipherAES128GCM
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 100 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Plane{
		cfg: cfg, self: cfg.Self, start: time.Now(), tcp: make(chan controlFrame, controlQueue),
		links: map[drawbridge.PeerID]*Link{}, routes: &Routes{},
	}
	p.keys.Store(&map[uint32]*rxKey{})
	p.routing.Store(&routing{})
	// Floods are numbered from the clock, 64 for a millisecond, so that a peer that restarts goes on above
	// where it was; see forgetAfter for a clock that went back.
	p.flooded.Store(uint32(p.start.UnixMilli() * 64))
	for _, addr := range cfg.Listen {
		c, err := udp.Listen(addr, udp.Options{NoOffload: cfg.NoOffload, Batch: cfg.Batch})
		if err != nil {
			p.closeConns()
			return nil, err
		}
		p.conns = append(p.conns, c)
	}
	return p, nil
}

func (p *Plane) closeConns() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// Addrs is where the sockets are bound.
func (p *Plane) Addrs() (addrs []netip.AddrPort) {
	for _, c := range p.conns {
		addrs = append(addrs, c.Addr())
	}
	return addrs
}

// Offload tells whether every socket has the kernel's segmentation, and whether it has its coalescing.
func (p *Plane) Offload() (gso, gro bool) {
	gso, gro = true, true
	for _, c := range p.conns {
		s, r := c.Offload()
		gso, gro = gso && s, gro && r
	}
	return gso, gro
}

// now is the time since the plane began, on the monotonic clock.
func (p *Plane) now() time.Duration { return time.Since(p.start) }

// Run receives and keeps links alive until ctx ends; then it closes links and sockets. Its goroutines: one
// reader for each socket, one for frames that ride control links, and itself for heartbeats.
func (p *Plane) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	failed := make(chan error, len(p.conns))
	for _, c := range p.conns {
		group.Go(func() {
			runtime.LockOSThread() // the thread waits in the system call and handles what wakes it
			if err := newReader(p, c).run(); err != nil && !errors.Is(err, udp.ErrClosed) {
				failed <- err
			}
		})
	}
	group.Go(func() { p.runControl(ctx) })
	err := p.beat(ctx, failed)
	stop()
	for _, c := range p.conns {
		c.Shut()
	}
	group.Wait()
	for _, l := range p.allLinks() {
		l.Close()
	}
	p.closeConns()
	return err
}

// beat drives the links' timers. It looks four times an interval, so that a link is known to be down at
// most a quarter of an interval late.
func (p *Plane) beat(ctx context.Context, failed <-chan error) error {
	s := p.Sender()
	tick := time.NewTicker(p.cfg.Heartbeat / 4)
	defer tick.Stop()
	last := p.now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return fmt.Errorf("data plane: %w", err)
		case <-tick.C:
		}
		now := p.now()
		late := now-last > p.cfg.Heartbeat || p.unread() // we were held up: silence proves nothing this time
		last = now
		for _, l := range p.allLinks() {
			l.tick(s, now, late)
		}
		s.Flush()
	}
}

// unread reports whether a reader is behind.
func (p *Plane) unread() bool {
	for _, c := range p.conns {
		if c.Pending() {
			return true
		}
	}
	return false
}

func (p *Plane) allLinks() []*Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Link, 0, len(p.links))
	for _, l := range p.links {
		all = append(all, l)
	}
	return all
}

// AddLink begins a data link beside a control link. A link to the same peer that is still there is closed.
// The caller may hand over transit messages of the far end as soon as it returns.
func (p *Plane) AddLink(cfg LinkConfig) *Link {
	l := newLink(p, cfg)
	p.mu.Lock()
	old := p.links[cfg.Peer]
	p.links[cfg.Peer] = l
	p.compile()
	p.mu.Unlock()
	if old != nil {
		old.Close()
	}
	l.begin()
	return l
}

func (p *Plane) remove(l *Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[l.cfg.Peer] == l {
		delete(p.links, l.cfg.Peer)
	}
	p.compile()
}

// addKey makes datagrams under k acceptable; false when its index is taken.
func (p *Plane) addKey(k *rxKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := p.copyKeys()
	if _, taken := keys[k.index]; taken || k.index == 0 {
		return false
	}
	keys[k.index] = k
	p.keys.Store(&keys)
	return true
}

func (p *Plane) dropKeys(gone ...*rxKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := p.copyKeys()
	for _, k := range gone {
		delete(keys, k.index)
	}
	p.keys.Store(&keys)
}

func (p *Plane) copyKeys() map[uint32]*rxKey {
	old := *p.keys.Load()
	keys := make(map[uint32]*rxKey, len(old)+1)
	for i, k := range old {
		keys[i] = k
	}
	return keys
}
