package main

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// pace is the time between two requests: a thousand a second.
const pace = time.Millisecond

// worthTelling is how long a processor must have stood still for a trial to be marked: 2 ms is what the watch itself sleeps.
const worthTelling = 4 * time.Millisecond

const (
	before = 300 * time.Millisecond  // how long all is well first
	after  = 1200 * time.Millisecond // how long is watched afterwards; keepalived's default takes a third of it
)

// ask is one of the streams of requests during a trial.
type ask struct {
	way  string // who asks whom
	from string // namespace
	to   netip.Addr
}

// trial is what one occurrence cost those who asked.
type trial struct {
	Outage  float64 `json:"outage_ms"` // the longest time between two requests in a row that were answered
	Pause   float64 `json:"pause_ms"`  // the longest time between two answers: what is kept and then sent on is late, not lost
	Wait    float64 `json:"wait_ms"`   // the longest round trip: how late a frame became that was kept, whatever the asker's own gaps were
	Lost    int     `json:"lost"`
	Doubled int     `json:"doubled"`
	Late    int     `json:"late"`     // answered behind a later one
	Stall   float64 `json:"stall_ms"` // the longest time meanwhile for which a processor of this machine stood still
}

// watch asks while something happens, and says what that cost each who asked.
func watch(ctx context.Context, asks []ask, happens func() error) ([]trial, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, failed := make([]trial, len(asks)), make([]error, len(asks)+1)
	stalls := netlab.NewStalls(netlab.AboveAll, worthTelling)
	var at time.Time
	var group sync.WaitGroup
	group.Go(func() { stalls.Run(ctx) })
	group.Go(func() {
		<-time.After(before)
		at = time.Now()
		failed[len(asks)] = happens()
		<-time.After(after)
		cancel()
	})
	for i, a := range asks {
		group.Go(func() {
			all[i], failed[i] = a.stream(ctx)
		})
	}
	group.Wait()
	for i := range all {
		all[i].note(stalls, at)
	}
	return all, errors.Join(failed...)
}

// note keeps the longest stall from shortly before something happened until shortly after the network had recovered.
func (t *trial) note(stalls *netlab.Stalls, at time.Time) {
	const around = 50 * time.Millisecond
	until := at.Add(time.Duration(max(t.Outage, t.Pause)*float64(time.Millisecond)) + around)
	for _, s := range stalls.Between(at.Add(-around), until) {
		t.Stall = max(t.Stall, float64(s.To.Sub(s.From))/float64(time.Millisecond))
	}
}

func (a ask) stream(ctx context.Context) (trial, error) {
	ns, err := netlab.Open(a.from)
	if err != nil {
		return trial{}, err
	}
	defer func() { _ = ns.Close() }()
	s, err := ns.Stream(ctx, a.to, pace)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return trial{Outage: ms(s.Outage), Pause: ms(s.Pause), Wait: ms(s.Worst), Lost: s.Sent - s.Answered, Doubled: s.Doubled, Late: s.Late}, err
}

// until asks ok again and again, for at most limit.
func until(ctx context.Context, limit, every time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && ctx.Err() == nil; {
		if ok() {
			return true
		}
		<-time.After(every)
	}
	return false
}
