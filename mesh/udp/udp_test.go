package udp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t testing.TB, o Options) (a, b *Conn) {
	t.Helper()
	for _, c := range []**Conn{&a, &b} {
		conn, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		*c = conn
	}
	return a, b
}

// receive collects datagrams until there are want of them.
func receive(t testing.TB, r *Reader, want int) (got [][]byte) {
	t.Helper()
	for quiet := 0; len(got) < want && quiet < 20; {
		n, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			quiet++
		}
		for i := range n {
			data, segment := r.Message(i)
			for len(data) > 0 {
				one := data[:min(segment, len(data))]
				data = data[len(one):]
				got = append(got, bytes.Clone(one))
			}
		}
	}
	return got
}

// TestDatagramsArriveAsSent sends messages of every shape with and without the kernel's help.
func TestDatagramsArriveAsSent(t *testing.T) {
	for name, o := range map[string]Options{"offload": {}, "plain": {NoOffload: true}, "one by one": {NoOffload: true, Batch: 1}} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, o)
			to, ok := a.Dest(b.Addr())
			if !ok {
				t.Fatal("no destination")
			}
			long := bytes.Repeat([]byte("0123456789"), 120)
			ms := []Message{
				{To: to, Data: []byte("single")},
				{To: to, Data: long, Segment: 500},
				{To: to, Data: []byte("exact"), Segment: 5},
				{To: to, Data: bytes.Repeat([]byte{7}, 64*1000), Segment: 1000},
			}
			if failed := a.Writer().Send(ms); failed != 0 {
				t.Fatalf("failed: %d, %v %v", failed, ms[1].Err, ms[3].Err)
			}
			got := receive(t, b.Reader(), 69)
			want := [][]byte{[]byte("single"), long[:500], long[500:1000], long[1000:], []byte("exact")}
			if len(got) != 69 {
				t.Fatalf("%d datagrams, want 69", len(got))
			}
			for i, w := range want {
				if !bytes.Equal(got[i], w) {
					t.Errorf("datagram %d: %d bytes, want %d", i, len(got[i]), len(w))
				}
			}
		})
	}
}

func TestFromIsTheSender(t *testing.T) {
	a, b := pair(t, Options{})
	to, _ := a.Dest(b.Addr())
	a.Writer().Send([]Message{{To: to, Data: []byte("x")}})
	r := b.Reader()
	for range 20 {
		if n, err := r.Read(); err != nil || n == 1 {
			break
		}
	}
	if r.From(0) != a.Addr() {
		t.Errorf("from %v, want %v", r.From(0), a.Addr())
	}
}

// TestIPv4OverAnIPv6Socket checks that a dual-stack socket names IPv4 peers as they are.
func TestIPv4OverAnIPv6Socket(t *testing.T) {
	c, err := Listen(netip.MustParseAddrPort("[::]:0"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	b, _ := pair(t, Options{})
	to, ok := c.Dest(b.Addr())
	if !ok || to.AddrPort() != b.Addr() {
		t.Fatalf("destination %v %v", to, ok)
	}
	if failed := c.Writer().Send([]Message{{To: to, Data: []byte("x")}}); failed != 0 {
		t.Fatal("not sent")
	}
	r := b.Reader()
	receive(t, r, 1)
	if !r.From(0).Addr().Is4() {
		t.Errorf("from %v, want an IPv4 address", r.From(0))
	}
	if _, ok := b.Dest(netip.MustParseAddrPort("[::1]:1")); ok {
		t.Error("an IPv4 socket claims to reach IPv6")
	}
}

// TestTooBigIsSaid checks that the kernel never fragments for us: what exceeds the interface is refused.
func TestTooBigIsSaid(t *testing.T) {
	a, b := pair(t, Options{})
	to, _ := a.Dest(b.Addr())
	ms := []Message{{To: to, Data: make([]byte, 1<<17)}, {To: to, Data: []byte("next")}}
	if failed := a.Writer().Send(ms); failed != 1 || ms[0].Err == nil || ms[1].Err != nil {
		t.Errorf("failed %d: %v, %v", failed, ms[0].Err, ms[1].Err)
	}
	if got := receive(t, b.Reader(), 1); len(got) != 1 || string(got[0]) != "next" {
		t.Error("the message behind the refused one did not arrive")
	}
}

func TestShutEndsAReader(t *testing.T) {
	a, _ := pair(t, Options{})
	done := make(chan error)
	go func() {
		r := a.Reader()
		for {
			if _, err := r.Read(); err != nil {
				done <- err
				return
			}
		}
	}()
	a.Shut()
	if err := <-done; err != ErrClosed {
		t.Errorf("ended with %v", err)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	a, b := pair(t, Options{})
	to, _ := a.Dest(b.Addr())
	w, r := a.Writer(), b.Reader()
	ms := []Message{{To: to, Data: make([]byte, 64*100), Segment: 100}}
	if n := testing.AllocsPerRun(100, func() {
		w.Send(ms)
		_, _ = r.Read()
		r.Arrived(0)
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

// TestAWriterOfAClosedSocket sends when the socket is gone and its descriptor's number would be another's.
func TestAWriterOfAClosedSocket(t *testing.T) {
	a, b := pair(t, Options{})
	to, _ := a.Dest(b.Addr())
	w := a.Writer()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	other, _ := pair(t, Options{})
	ms := []Message{{To: to, Data: []byte("x")}, {To: to, Data: []byte("xyxy"), Segment: 2}}
	if failed := w.Send(ms); failed != 2 {
		t.Errorf("%d failed: sent from %v", failed, other.Addr())
	}
	if err := a.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	again, err := Listen(a.Addr(), Options{})
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = again.Close()
}

// TestWhoCutsAfterAFailure has the kernel refuse a cut message: we cut ourselves from then on if that is any
// better, and not when the segments are too wide for the interface or the address leads nowhere.
func TestWhoCutsAfterAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		to      string
		segment int
		want    error
		kernel  bool
	}{
		"a device that cannot": {"", 100, nil, false},
		"too wide":             {"", MaxDatagram + 1, unix.EMSGSIZE, true},
		"nowhere":              {"127.0.0.1:0", 100, unix.EINVAL, true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Options{})
			a.gso.Store(true)
			to, _ := a.Dest(b.Addr())
			if tc.to != "" {
				to, _ = a.Dest(netip.MustParseAddrPort(tc.to))
			}
			m := Message{To: to, Data: make([]byte, 3*tc.segment), Segment: tc.segment}
			a.Writer().failed(&m, unix.EINVAL)
			if m.Err != tc.want || a.gso.Load() != tc.kernel {
				t.Errorf("%v, the kernel cuts: %v", m.Err, a.gso.Load())
			}
			if tc.want == nil && len(receive(t, b.Reader(), 3)) != 3 {
				t.Error("the message that was refused did not arrive")
			}
		})
	}
}

// TestArrivalIsBeforeTheWait: a message that waits in the socket is not younger for it.
func TestArrivalIsBeforeTheWait(t *testing.T) {
	for name, o := range map[string]Options{"offload": {}, "plain": {NoOffload: true}} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, o)
			to, _ := a.Dest(b.Addr())
			w, r := a.Writer(), b.Reader()
			for batch := range 2 {
				before := readClocks().boot
				w.Send([]Message{{To: to, Data: []byte("waits")}})
				came := readClocks().boot
				w.Send([]Message{{To: to, Data: bytes.Repeat([]byte("later"), 10), Segment: 5}})
				n := 0
				for n == 0 {
					n, _ = r.Read()
				}
				first, second := r.Arrived(0), r.Arrived(n-1)
				if minute := int64(time.Minute); first > came || first < before-minute || n < 2 || second <= first {
					t.Errorf("batch %d of %d: arrived at %d and %d, sent between %d and %d", batch, n, first, second, before, came)
				}
				if data, segment := r.Message(1); o.NoOffload != (segment == len(data)) || segment != 5 {
					t.Errorf("segments of %d in %d", segment, len(data))
				}
			}
		})
	}
}
