package access

import (
	"net/http"
	"net/netip"
	"time"
)

// OneTimeCode lets whoever has seen it on the machine's own screen set the machine up. It is guarded like the one that makes the first
// admin: five wrong tries from an address, then one a minute, and ten of them draw another code.
type OneTimeCode struct {
	first   *firstRun
	limiter *limiter
}

// NewOneTimeCode makes one. announce shows a new code on the machine.
func NewOneTimeCode(announce func(code string)) *OneTimeCode {
	return &OneTimeCode{&firstRun{announce: announce}, newLimiter()}
}

// Current is the code that is valid; whoever calls it now and then has a new one shown when its time is over.
func (c *OneTimeCode) Current(now time.Time) string { return c.first.current(now) }

// Check is a refusal unless the code is right.
func (c *OneTimeCode) Check(typed string, from netip.Addr, now time.Time) error {
	if wait := c.limiter.take(firstRunAccount, from, now); wait > 0 {
		return &Refusal{Status: http.StatusTooManyRequests, Kind: KindSlow, Wait: wait, Detail: "too many wrong tries: wait " + wait.Round(time.Second).String()}
	}
	if !c.first.matches(typed, now) {
		return wrong("the code is wrong or has ended: the newest one is on the screen of the machine")
	}
	c.limiter.right(firstRunAccount, from, now)
	return nil
}
