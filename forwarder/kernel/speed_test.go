package kernel

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
)

// What from_port takes for one frame to a neighbour, without the way out: the difference of the first two is the gate's price.
func BenchmarkFromPort(b *testing.B) {
	d := newDry(b)
	d.gate.Open(1, gate.Now().Add(time.Hour))
	check(b, d.e.SetMAC(guest(1), Place{Origin: dryFirst}))
	b.Run("guest", func(b *testing.B) { timed(b, d.guest, 1) })
	b.Run("segment", func(b *testing.B) { timed(b, d.segment, 2) })
	for i := range 10_000 {
		check(b, d.e.SetMAC(drawbridge.MAC{2, 8, 0, 0, byte(i >> 8), byte(i)}, Place{Origin: dryFirst}))
	}
	b.Run("guest with 10,000 addresses", func(b *testing.B) { timed(b, d.guest, 1) })
}

// timed lets the kernel repeat the program and takes its own measurement.
func timed(b *testing.B, p *ebpf.Program, from byte) {
	f := dryFrame(guest(1), drawbridge.MAC{2, 7, 0, 0, 0, from})
	best := time.Hour // of many: the rest is what the machine did besides
	for b.Loop() {
		_, each, err := p.Benchmark(f, 20_000, b.ResetTimer)
		check(b, err)
		best = min(best, each)
	}
	b.ReportMetric(float64(best), "ns/frame")
}
