package mesh_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// counting is a plane whose links count what they get.
type counting struct {
	got   atomic.Int64
	added chan transit.LinkConfig
}

func (c *counting) AddLink(l transit.LinkConfig) mesh.DataLink {
	c.added <- l
	return c
}

func (c *counting) SetRoutes(*transit.Routes) {}
func (c *counting) Addrs() []netip.AddrPort   { return nil }
func (c *counting) HandleControl(b []byte)    { c.got.Add(1) }
func (c *counting) State() transit.LinkState  { return transit.LinkState{} }
func (c *counting) Close()                    {}

func startCounting(b *testing.B, ctx context.Context, all *sync.WaitGroup, c *secure.Credentials, config mesh.Config) *counting {
	b.Helper()
	p := &counting{added: make(chan transit.LinkConfig, 1)}
	config.Credentials, config.Plane = c, p
	config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	r, err := mesh.New(config)
	if err != nil {
		b.Fatal(err)
	}
	all.Go(func() { r.Run(ctx) })
	<-r.Ready()
	return p
}

// BenchmarkFramesOverControlLink is the way of frames where UDP is blocked: 1,400 octets over queue, yamux, TLS
// and loopback.
func BenchmarkFramesOverControlLink(b *testing.B) {
	one, err := secure.Found(b.TempDir(), "lab", "host1", time.Now())
	if err != nil {
		b.Fatal(err)
	}
	defer one.Close()
	two := admit(b, one, "host2")
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	defer all.Wait()
	defer cancel()
	at := make(chan string, 1)
	far := startCounting(b, ctx, &all, one, mesh.Config{Listen: []string{"127.0.0.1:0"}, ListenFunc: func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		if err == nil {
			at <- l.Addr().String()
		}
		return l, err
	}})
	near := startCounting(b, ctx, &all, two, mesh.Config{Join: []string{<-at}})
	link := <-near.added
	frame := make([]byte, 1400)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	sent := int64(0)
	for b.Loop() {
		for link.Control(frame) != nil {
			runtime.Gosched() // the queue is full
		}
		sent++
	}
	for far.got.Load() < sent {
		runtime.Gosched()
	}
}
