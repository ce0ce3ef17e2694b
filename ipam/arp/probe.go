package arp

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Timing says how long a probe asks.
type Timing struct {
	Wait     time.Duration // at most this long, drawn at random, before the first probe: many that start at once spread out
	Min, Max time.Duration // between two probes, drawn at random
	Settle   time.Duration // of silence after the last probe, before the address counts as free
	Probes   int
}

// Timings. The standards' own suit a station that starts; a DHCP client that waits for an offer asks again after 4 s
// (RFC 2131 §4.1), so who hands out addresses asks faster. Three probes bear the loss of two; stations in power-save
// that sleep longer than half a second are what the passive Listener is for.
var (
	RFC5227 = Timing{Wait: time.Second, Min: time.Second, Max: 2 * time.Second, Settle: 2 * time.Second, Probes: 3}
	RFC4862 = Timing{Wait: time.Second, Settle: time.Second, Probes: 1}
	Quick   = Timing{Min: 100 * time.Millisecond, Max: 150 * time.Millisecond, Settle: 300 * time.Millisecond, Probes: 3}
)

// State is how far a Probe is.
type State uint8

// States are only ever appended.
const (
	Asking State = iota
	Free
	Taken
)

func (s State) String() string { return [...]string{"asking", "free", "taken"}[min(s, Taken)] }

// Verdict is what is known of the address that is probed.
type Verdict struct {
	State State
	By    drawbridge.MAC // who has it, when Taken
	Rival bool           // Taken by somebody who probes for it at the same time, not by a user
}

// Probe asks whether an address is in use (RFC 5227 §2.1; RFC 4862 §5.4). It is not safe for concurrent use.
type Probe struct {
	addr    netip.Addr
	own     drawbridge.MAC
	ignore  []drawbridge.MAC
	timing  Timing
	draw    *rand.Rand
	nonce   [6]byte
	started bool
	sent    int
	next    time.Time
	verdict Verdict
}

// NewProbe prepares a probe for addr, sent from own. Messages from the stations in ignore are no conflict: the guest
// that is about to get the address may use it already. The draw spreads probes in time; its seed should differ from
// peer to peer.
func NewProbe(addr netip.Addr, own drawbridge.MAC, ignore []drawbridge.MAC, timing Timing, draw *rand.Rand) *Probe {
	p := &Probe{addr: addr.Unmap(), own: own, ignore: slices.Clone(ignore), timing: timing, draw: draw}
	for i := range p.nonce {
		p.nonce[i] = byte(draw.Uint32())
	}
	return p
}

// Step tells the probe what time it is and which frame was heard; nil for none. It answers the frame to send now, nil
// for none, and the verdict, which does not change again once it is Free or Taken. Every frame of the wire has to be
// shown between the first step and the verdict. Waits count from when a probe was really sent: a driver that was
// held up never concludes from silence that it did not listen to.
func (p *Probe) Step(now time.Time, heard []byte) (drawbridge.Frame, Verdict) {
	if !p.started {
		p.started, p.next = true, now.Add(p.between(0, p.timing.Wait))
	}
	if p.verdict.State != Asking {
		return nil, p.verdict
	}
	if s, ok := Parse(heard); ok && p.conflicts(s) {
		p.verdict = Verdict{Taken, s.MAC, s.Kind == Want}
		return nil, p.verdict
	}
	if now.Before(p.next) {
		return nil, p.verdict
	}
	if p.sent == p.timing.Probes {
		p.verdict.State = Free
		return nil, p.verdict
	}
	return p.ask(now), p.verdict
}

func (p *Probe) ask(now time.Time) drawbridge.Frame {
	p.sent++
	p.next = now.Add(p.between(p.timing.Min, p.timing.Max))
	if p.sent == p.timing.Probes {
		p.next = now.Add(p.timing.Settle)
	}
	return ProbeFrame(p.addr, p.own, p.nonce)
}

// Next is when Step has to be called again though nothing is heard; zero once there is a verdict.
func (p *Probe) Next() time.Time {
	if p.verdict.State != Asking {
		return time.Time{}
	}
	return p.next
}

// conflicts: somebody else uses the address, or wants it too (RFC 5227 §2.1.1), but not our own probe come back.
func (p *Probe) conflicts(s Sighting) bool {
	ours := s.MAC == p.own || slices.Contains(p.ignore, s.MAC)
	echo := s.Kind == Want && s.Addr.Is6() && s.Nonce == p.nonce
	return s.Addr == p.addr && !ours && !echo
}

func (p *Probe) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(p.draw.Int64N(int64(most-least)+1))
}

// DefendInterval is the least time between two defences of an address (RFC 5227 §2.4): two machines that both insist
// must not shout at each other.
const DefendInterval = 10 * time.Second

// Defence watches over an address that is held (RFC 5227 §2.4 (b)). It is not safe for concurrent use.
type Defence struct {
	addr   netip.Addr
	own    drawbridge.MAC
	last   time.Time // of the last conflict; zero when there was none
	Seen   uint64    // conflicts
	LastBy drawbridge.MAC
}

// NewDefence watches over addr, which own uses.
func NewDefence(addr netip.Addr, own drawbridge.MAC) *Defence {
	return &Defence{addr: addr.Unmap(), own: own}
}

// Step is told a frame that was heard. The first conflict is answered with an announcement to send; a second within
// DefendInterval means that the other stays, and the address is lost: the caller gives it up or tells the operator.
func (d *Defence) Step(now time.Time, heard []byte) (send drawbridge.Frame, lost bool) {
	s, ok := Parse(heard)
	if !ok || s.Kind != Claim || s.Addr != d.addr || s.MAC == d.own {
		return nil, false
	}
	again := !d.last.IsZero() && now.Sub(d.last) < DefendInterval
	d.last, d.LastBy = now, s.MAC
	d.Seen++
	if again {
		return nil, true
	}
	return AnnounceFrame(d.addr, d.own), false
}
