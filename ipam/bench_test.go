package ipam

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// lone is a peer that owns all of a subnet.
func lone(t testing.TB, prefix string, frames ...Batch) *Peer {
	t.Helper()
	n := uint64(0)
	p, err := NewPeer(Config{Self: 1, Random: func() uint64 { n++; return n }}, 1, frames)
	if err != nil {
		t.Fatal(err)
	}
	s := subnet(t, prefix)
	d := Decided{Number: 1, Members: []Member{{Holder: p.Me()}}, Lease: 1 << 60, Longest: 1 << 60}
	d.Grounds = []Ground{{Subnet: s, Seeds: []Seed{{s.Prefix, 1, []Holder{p.Me()}}}}}
	if err := p.Decide(1, d); err != nil {
		t.Fatal(err)
	}
	p.Renewed(1, 1)
	p.Persisted(1, p.Take().Batch.Stamp)
	return p
}

// processor reports the processor time of an operation beside the wall clock's, which other programs share.
func processor(b *testing.B, run func()) {
	b.Helper()
	now := func() (ns int64) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := now()
	run()
	b.ReportMetric(float64(now()-start)/float64(b.N), "cpu-ns/op")
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("guest-%08d", i)
	}
	return out
}

// BenchmarkAllocate is allocations from own space in memory, a /8 that fills up, with a batch every 256.
func BenchmarkAllocate(b *testing.B) {
	p, owners := lone(b, "10.0.0.0/8"), names(b.N)
	subnet := netip.MustParsePrefix("10.0.0.0/8")
	b.ReportAllocs()
	b.ResetTimer()
	processor(b, func() {
		for i := range b.N {
			p.Allocate(2, Request{Number: 1, Subnet: subnet, Owner: owners[i]})
			if i%256 == 255 {
				p.Persisted(2, p.Take().Batch.Stamp)
				p.Take()
			}
		}
	})
}

// BenchmarkAllocateFull allocates and releases in a /16 of which one address in 65,534 is free.
func BenchmarkAllocateFull(b *testing.B) {
	p := lone(b, "10.1.0.0/16")
	subnet := netip.MustParsePrefix("10.1.0.0/16")
	for _, o := range names(1<<16 - 2) {
		p.Allocate(2, Request{Subnet: subnet, Owner: o})
	}
	last := netip.MustParseAddr("10.1.255.254")
	b.ReportAllocs()
	b.ResetTimer()
	processor(b, func() {
		for i := range b.N {
			if err := p.Release(2, last); err != nil {
				b.Fatal(err)
			}
			p.Allocate(2, Request{Subnet: subnet, Owner: "guest-00065533"})
			if i%256 == 255 {
				p.Persisted(2, p.Take().Batch.Stamp)
				p.Take()
			}
		}
	})
}

// BenchmarkFill releases and allocates one address in a /16 that is full to a percentage: the figures of one run are to be alike.
func BenchmarkFill(b *testing.B) {
	for _, percent := range []int{1, 50, 90, 99} {
		b.Run(fmt.Sprint(percent), func(b *testing.B) {
			p := lone(b, "10.1.0.0/16")
			subnet := netip.MustParsePrefix("10.1.0.0/16")
			owners := names((1<<16 - 2) * percent / 100)
			for _, o := range owners {
				p.Allocate(2, Request{Subnet: subnet, Owner: o})
			}
			last := p.Lookup(owners[len(owners)-1])[0]
			b.ResetTimer()
			processor(b, func() {
				for i := range b.N {
					if err := p.Release(2, last); err != nil {
						b.Fatal(err)
					}
					p.Allocate(2, Request{Subnet: subnet, Owner: owners[len(owners)-1]})
					if i%256 == 255 {
						p.Persisted(2, p.Take().Batch.Stamp)
						p.Take()
					}
				}
			})
		})
	}
}

// BenchmarkDurable is allocations on disk before they are answered, of n requests that wait at a time.
func BenchmarkDurable(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, _, err := OpenStore(filepath.Join(b.TempDir(), "state"))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			p, owners := lone(b, "10.0.0.0/8"), names(b.N)
			subnet := netip.MustParsePrefix("10.0.0.0/8")
			b.ResetTimer()
			for i := 0; i < b.N; {
				for range min(n, b.N-i) {
					p.Allocate(2, Request{Subnet: subnet, Owner: owners[i]})
					i++
				}
				batch := p.Take().Batch
				if err := s.Write(batch); err != nil {
					b.Fatal(err)
				}
				p.Persisted(2, batch.Stamp)
				p.Take()
			}
		})
	}
}

// TestMemoryFollowsEntries compares a /8 with a /16 after the same number of allocations.
func TestMemoryFollowsEntries(t *testing.T) {
	use := func(prefix string) int64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := NewSpace(subnet(t, prefix))
		for i := range s.Blocks() {
			s.hold(i)
		}
		for _, o := range names(10_000) {
			at, _ := s.pick(o)
			s.put(Entry{Use: Mine, Offset: at, Owner: o})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(s)
		return int64(after.HeapAlloc) - int64(before.HeapAlloc)
	}
	big, little := use("10.0.0.0/8"), use("10.1.0.0/16")
	if big > little+little/5+64<<10 {
		t.Errorf("10,000 entries take %d octets in a /8 and %d in a /16", big, little)
	}
}
