package warden

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// BenchmarkLeases measures what the leases of one pair of gateways and a witness cost over loopback at the default
// timers, in per cent of a core, for the gateway that holds all of them, the one that holds none, and the witness. Give
// it -benchtime 10s.
func BenchmarkLeases(b *testing.B) {
	for _, segments := range []int{1, 64} {
		b.Run(fmt.Sprintf("segments=%d", segments), func(b *testing.B) { benchmark(b, segments) })
	}
}

func benchmark(b *testing.B, segments int) {
	var all []*Warden
	addrs := map[drawbridge.PeerID]netip.AddrPort{}
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	lapses := make(chan Change, 10000)
	for id := drawbridge.PeerID(1); id <= 3; id++ {
		w, err := New(Config{
			Self: id, Listen: netip.MustParseAddrPort("127.0.0.1:0"), Command: []string{"/usr/bin/env", role + "=agent", exe},
			Key: func(drawbridge.PeerID) ([]byte, bool) { return secret, true }, Log: slog.New(slog.DiscardHandler),
			Tell: func(c Change) { lapses <- c },
		})
		if err != nil {
			b.Fatal(err)
		}
		addrs[id] = w.Addr()
		all = append(all, w)
	}
	for i, w := range all {
		w.SetPeers(addrs)
		for s := range segments {
			if i == 2 {
				break
			}
			g, err := gate.NewSoft()
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			if err := w.AddGate(drawbridge.SegmentID(s+1), g, func(drawbridge.Epoch) bool { return true }); err != nil {
				b.Fatal(err)
			}
			w.SetCandidate(drawbridge.SegmentID(s+1), i, true)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		defer func() {
			stop()
			<-ended
		}()
	}
	configure(all)
	for open := 0; open < segments; {
		if c := <-lapses; c.Held {
			open++
		}
	}
	measure(b, all, lapses)
}

func configure(all []*Warden) {
	for _, w := range all {
		life, changed := w.Life()
		for life == 0 {
			<-changed
			life, changed = w.Life()
		}
		w.SetConfig(life, lease.Config{
			Generation: 1, Sets: [][]drawbridge.PeerID{{1, 2, 3}}, Timing: lease.Default, Longest: lease.Default.Term,
		})
	}
}

// measure lets time pass, a fifth of a second for every iteration.
func measure(b *testing.B, all []*Warden, changes <-chan Change) {
	<-time.After(time.Second / 2)
	var pids []int
	for _, w := range all {
		pids = append(pids, w.Status().Process)
	}
	was, began := spent(b, pids), time.Now()
	for b.Loop() {
		<-time.After(time.Second / 5)
	}
	passed, is := time.Since(began), spent(b, pids)
	for i, name := range []string{"%holder", "%standby", "%witness"} {
		b.ReportMetric(100*float64(is[i]-was[i])/float64(passed), name)
	}
	for i, name := range []string{"turns/s-holder", "turns/s-standby", "turns/s-witness"} {
		s := all[i].Status()
		b.ReportMetric(float64(s.Turns)/(passed.Seconds()+1), name)
	}
	b.ReportMetric(float64(len(changes)), "changes")
	b.ReportMetric(0, "ns/op")
}

// spent is the time on a processor of each process, all threads together.
func spent(b *testing.B, pids []int) (all []time.Duration) {
	for _, pid := range pids {
		var sum time.Duration
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil {
			b.Fatal(err)
		}
		for _, t := range tasks {
			var ns int64
			if text, err := os.ReadFile(t); err == nil {
				_, _ = fmt.Fscan(strings.NewReader(string(text)), &ns) // a thread that has ended has nothing to tell
			}
			sum += time.Duration(ns)
		}
		all = append(all, sum)
	}
	return all
}
