package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// pace is the time between two requests: a thousand a second.
const pace = time.Millisecond

const (
	before = 300 * time.Millisecond  // how long all is well first
	after  = 1200 * time.Millisecond // how long is watched afterwards; keepalived's default takes a third of it
)

// trial is what one occurrence cost.
type trial struct {
	Outage  float64 `json:"outage_ms"` // the longest time between two requests in a row that were answered
	Lost    int     `json:"lost"`
	Doubled int     `json:"doubled"`
	Late    int     `json:"late"` // answered behind a later one
}

// watch asks to from a namespace while something happens, and says what it cost.
func watch(ctx context.Context, from string, to netip.Addr, happens func() error) (trial, error) {
	ns, err := netlab.Open(from)
	if err != nil {
		return trial{}, err
	}
	defer func() { _ = ns.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	happened := make(chan error, 1)
	go func() {
		<-time.After(before)
		happened <- happens()
		<-time.After(after)
		cancel()
	}()
	s, err := ns.Stream(ctx, to, pace)
	if err == nil {
		err = <-happened
	}
	return trial{
		Outage: float64(s.Outage) / float64(time.Millisecond), Lost: s.Sent - s.Answered, Doubled: s.Doubled, Late: s.Late,
	}, err
}

// until asks ok every 20 ms, for at most limit.
func until(ctx context.Context, limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && ctx.Err() == nil; {
		if ok() {
			return true
		}
		<-time.After(20 * time.Millisecond)
	}
	return false
}
