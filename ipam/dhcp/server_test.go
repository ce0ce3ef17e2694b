package dhcp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/drawbridge-net/drawbridge"
)

func TestBindRefuses(t *testing.T) {
	for name, change := range map[string]func(*Link){
		"no subnet":           func(l *Link) { l.Four, l.Six = nil, nil },
		"group MAC":           func(l *Link) { l.MAC = drawbridge.Broadcast },
		"no MAC":              func(l *Link) { l.MAC = drawbridge.MAC{} },
		"host bits":           func(l *Link) { l.Four.Prefix = netip.MustParsePrefix("192.0.2.1/24") },
		"server elsewhere":    func(l *Link) { l.Four.Server = addr("198.51.100.1") },
		"server is broadcast": func(l *Link) { l.Four.Server = addr("192.0.2.255") },
		"router of IPv6":      func(l *Link) { l.Four.Routers = []netip.Addr{addr("fe80::1")} },
		"route":               func(l *Link) { l.Four.Routes = []Route{{netip.MustParsePrefix("10.1.2.3/8"), addr("192.0.2.1")}} },
		"MTU":                 func(l *Link) { l.Four.MTU = 20 },
		"lease of a second":   func(l *Link) { l.Four.Lease = time.Second },
		"MTU of IPv6":         func(l *Link) { l.Six.MTU = 1000 },
		"global router":       func(l *Link) { l.Six.Router = addr("2001:db8::1") },
		"IPv4 as IPv6":        func(l *Link) { l.Six.Prefix = netip.MustParsePrefix("192.0.2.0/24") },
		"resolver of IPv4":    func(l *Link) { l.Six.DNS = []netip.Addr{addr("192.0.2.1")} },
	} {
		l := Link{MAC: serverMAC, Four: subnet4(), Six: subnet6()}
		change(&l)
		s := New(Config{Leases: newBook()})
		if err := s.Bind("guest", l); err == nil || len(s.Ports()) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWants(t *testing.T) {
	r := newRig(t, Link{Four: subnet4()})
	discover := message(dhcpv4.MessageTypeDiscover, alice)
	for name, c := range map[string]struct {
		packet drawbridge.Packet
		want   bool
	}{
		"discover":              {frame4(discover), true},
		"renewal":               {frame4(discover, func(d *datagram) { d.dst, d.to = serverMAC, addr("192.0.2.2") }), true},
		"renewal elsewhere":     {frame4(discover, func(d *datagram) { d.dst, d.to = bob, addr("192.0.2.1") }), false},
		"broadcast to another":  {frame4(discover, func(d *datagram) { d.to = addr("192.0.2.1") }), false},
		"in a VLAN":             {drawbridge.Packet{Frame: tagged(frame4(discover).Frame, 0x8100)}, false},
		"IPv6 is not served":    {frame6(say6(dhcpv6.MessageTypeSolicit, nil)), false},
		"nor are solicitations": {rs(linkLocal(alice)), false},
	} {
		if got := r.Wants(c.packet.Frame, "guest"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	priority := slices.Clone(tagged(frame4(discover).Frame, 0x8100))
	priority[14], priority[15] = 0xe0, 0
	if !r.Wants(priority, "guest") {
		t.Error("a priority tag hides a message")
	}
}

// slow is a Leases of which nothing comes.
type slow struct{ *book }

func (s slow) Allocate(ctx context.Context, _ netip.Prefix, _ Client, _ netip.Addr, _ time.Duration) (netip.Addr, time.Time, error) {
	<-ctx.Done()
	return netip.Addr{}, time.Time{}, ctx.Err()
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Leases: slow{newBook()}})
		if err := s.Bind("guest", Link{MAC: serverMAC, Four: subnet4()}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, ok := s.Serve(t.Context(), frame4(message(dhcpv4.MessageTypeDiscover, alice)), "guest", began); ok || time.Since(began) != 3*time.Second || s.Counts()[Unreachable] != 1 {
			t.Errorf("%v after %s: %v", ok, time.Since(began), s.Counts())
		}
	})
}

type sent struct {
	mu     sync.Mutex
	frames map[string][]drawbridge.Frame
}

func (s *sent) inject(port string, f drawbridge.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames[port] = append(s.frames[port], f)
}

func (s *sent) count(port string, want Answer) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.frames[port] {
		if AnswerOf(f) == want {
			n++
		}
	}
	return n
}

// TestRun: what Take keeps is answered, the frame may be overwritten meanwhile, routers are advertised at once and then
// regularly, and Run leaves nothing behind.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sent{frames: map[string][]drawbridge.Frame{}}
		s := New(Config{Leases: newBook(), Inject: out.inject})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		if err := s.Bind("guest", Link{MAC: serverMAC, Four: subnet4(), Six: subnet6()}); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			p := frame4(message(dhcpv4.MessageTypeDiscover, drawbridge.MAC{2, 0, 0, 0, 1, byte(i)}))
			if !s.Take(p, "guest") {
				t.Fatal("not taken")
			}
			clear(p.Frame)
		}
		synctest.Wait()
		if n := out.count("guest", Answer4); n != 5 {
			t.Errorf("%d offers: %v", n, s.Counts())
		}
		if n := out.count("guest", AnswerRouter); n != 1 {
			t.Errorf("%d advertisements at once", n)
		}
		<-time.After(601 * time.Second) // of fake time
		synctest.Wait()
		if n := out.count("guest", AnswerRouter); n != 4 {
			t.Errorf("%d advertisements after ten minutes", n)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestFullQueueIsCounted(t *testing.T) {
	s := New(Config{Leases: newBook()})
	if err := s.Bind("guest", Link{MAC: serverMAC, Four: subnet4()}); err != nil {
		t.Fatal(err)
	}
	p := frame4(message(dhcpv4.MessageTypeDiscover, alice))
	for range queueLength + 5 {
		if !s.Take(p, "guest") {
			t.Fatal("forwarded")
		}
	}
	if n := s.Counts()[QueueFull]; n != 5 {
		t.Errorf("%d", n)
	}
}

func TestEveryOutcomeHasAName(t *testing.T) {
	for o := Ignored; o < outcomes; o++ {
		if o.String() == "" {
			t.Errorf("outcome %d has no name", o)
		}
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte(frame4(message(dhcpv4.MessageTypeDiscover, alice)).Frame), true)
	f.Add([]byte(frame4(message(dhcpv4.MessageTypeRequest, alice, wants("192.0.2.10"))).Frame), true)
	f.Add([]byte(frame4(message(dhcpv4.MessageTypeDiscover, alice, dhcpv4.WithGeneric(dhcpv4.OptionFQDN, []byte("\x04\x00\x00\x05alice\x00")))).Frame), true)
	f.Add([]byte(frame6(say6(dhcpv6.MessageTypeSolicit, nil)).Frame), true)
	f.Add([]byte(frame6(say6(dhcpv6.MessageTypeRenew, selfID, "2001:db8::77")).Frame), true)
	f.Add([]byte(rs(linkLocal(alice)).Frame), true)
	f.Fuzz(func(t *testing.T, b []byte, owed bool) {
		r := newRig(t, Link{Four: subnet4(), Six: subnet6()})
		p := drawbridge.Packet{Frame: b}
		if owed {
			p.Offload.Flags = drawbridge.NeedsChecksum
		}
		wanted := r.Wants(b, "guest")
		reply, ok := r.Serve(t.Context(), p, "guest", start)
		if ok && (!wanted || len(reply) < 42 || len(reply) > 1514 || reply.Src() != serverMAC) {
			t.Fatalf("answer to %x: %x", b, reply)
		}
	})
}

func BenchmarkServe(b *testing.B) {
	now := start
	for name, p := range map[string]drawbridge.Packet{
		"discover": frame4(message(dhcpv4.MessageTypeDiscover, alice)),
		"solicit":  frame6(say6(dhcpv6.MessageTypeSolicit, nil)),
	} {
		b.Run(name, func(b *testing.B) {
			book := newBook()
			s := New(Config{Leases: book})
			if err := s.Bind("guest", Link{MAC: serverMAC, Four: subnet4(), Six: subnet6()}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				if _, ok := s.Serve(b.Context(), p, "guest", now); !ok {
					b.Fatal(s.Counts())
				}
				book.calls = book.calls[:0]
			}
		})
	}
}
