package netconfig

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Limits of a document. They stay below those of the voters' state (docs/protocol/raft.md).
const (
	maxOverlays = 4096
	maxSegments = 4096 // one for each VLAN
	maxSubnets  = 1024
	maxAlerts   = 64
	maxEligible = 64
	maxList     = 256 // elements of any other list
	maxText     = 255 // bytes of an option's value

	minMTU   = 576  // what every IPv4 host accepts (RFC 1122 §3.3.3)
	maxMTU   = 9216 // the largest that common switches carry
	maxStorm = 10_000_000
	minStorm = 100

	defaultHoldDown = Duration(30 * time.Second)
	maxHoldDown     = Duration(24 * time.Hour)
)

// complete fills in what is empty and may not be.
func (s *Segment) complete() {
	s.Mode = cmp.Or(s.Mode, ModeAuto)
	s.QuorumLoss = cmp.Or(s.QuorumLoss, QuorumClose)
}

// checker collects problems under the keys that they belong to.
type checker struct{ problems Problems }

func (k *checker) refuse(key, format string, args ...any) {
	k.problems = append(k.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// want notes that key has a value that is not allowed, unless ok.
func (k *checker) want(ok bool, key string, value any) {
	if !ok {
		if s, isText := value.(string); isText {
			value = strconv.Quote(s)
		}
		k.refuse(key, "%v is not allowed: wants %s", value, lookUp(key).Allowed)
	}
}

// few notes that a list is too long.
func (k *checker) few(key string, n, most int) {
	if n > most {
		k.refuse(key, "%d of them: at most %d fit", n, most)
	}
}

// Check reports all that is wrong with a document that was made by a program; nil: nothing.
func (d *Document) Check() error {
	if p := d.check(); len(p) > 0 {
		return p
	}
	return nil
}

func (d *Document) check() Problems {
	k := new(checker)
	k.want(d.Format >= 1 && d.Format <= Format, "format", d.Format)
	k.timers(d.Timers)
	k.overlays(d.Overlays)
	k.segments(d)
	k.subnets(d)
	k.alerts(d.Alerts)
	return k.problems
}

func (k *checker) timers(t Timers) {
	p, isProfile := profiles[t.Profile]
	k.want(isProfile || t.Profile == ProfileCustom, "timers.profile", t.Profile)
	switch {
	case isProfile && t.Renew != p.Renew:
		k.refuse("timers.renew", "profile %s has %s: leave renew out, or say profile = \"custom\"", t.Profile, p.Renew)
	case isProfile && t.Term != p.Term:
		k.refuse("timers.term", "profile %s has %s: leave term out, or say profile = \"custom\"", t.Profile, p.Term)
	case t.Profile == ProfileCustom:
		if key, text := timing(time.Duration(t.Renew), time.Duration(t.Term)); key != "" {
			k.refuse("timers."+key, "%s", text)
		}
	}
}

// timing is the rule of failover/lease for timers, whose clocks differ by 0.5 % at most and whose frames are on their
// way out for a millisecond at most (docs/protocol/lease.md, "Timers"). A test of the appliance compares the two.
func timing(renew, term time.Duration) (key, text string) {
	const grace, drift = time.Millisecond, 5000
	slack := (min(term, time.Hour)*drift + 999999) / 1000000
	switch {
	case renew < time.Millisecond:
		return "renew", fmt.Sprintf("%v is not allowed: wants %s", renew, lookUp("timers.renew").Allowed)
	case term > 10*time.Second || term%time.Microsecond != 0:
		return "term", fmt.Sprintf("%v is not allowed: wants a whole number of microseconds, at most 10s", term)
	case renew > 10*time.Second || term-slack-grace < 3*renew:
		return "term", fmt.Sprintf("%v holds no three renewals of %v beside 1ms of grace and 0.5%% of drift: make it longer, or renew shorter", term, renew)
	}
	return "", ""
}

// once notes that a value stands twice in a list, for instance a name.
type once map[any]string

func (o once) check(k *checker, key, owner string, value any) {
	if first, twice := o[value]; twice {
		k.refuse(key, "%v is that of %s too", value, first)
		return
	}
	o[value] = owner
}

func (k *checker) overlays(all []Overlay) {
	k.few("overlay", len(all), maxOverlays)
	names, numbers := once{}, once{}
	for i, o := range all {
		key := fmt.Sprintf("overlay[%d]", i+1)
		k.want(drawbridge.CheckName(o.Name) == nil, key+".name", o.Name)
		k.want(o.VNI >= 1 && o.VNI <= drawbridge.MaxVNI, key+".vni", o.VNI)
		k.want(o.MTU == 0 || o.MTU >= minMTU && o.MTU <= maxMTU, key+".mtu", o.MTU)
		k.want(o.Storm >= minStorm && o.Storm <= maxStorm, key+".storm_limit", o.Storm)
		k.engine(key, &o)
		names.check(k, key+".name", key, o.Name)
		numbers.check(k, key+".vni", key, o.VNI)
	}
}

// engine wants said what the kernel engine does not do, before it is asked for.
func (k *checker) engine(key string, o *Overlay) {
	k.want(slices.Contains([]string{EngineUser, EngineKernel, EngineAuto}, o.Engine), key+".engine", o.Engine)
	k.want(slices.Contains([]string{UnderlayUntrusted, UnderlayTrusted, UnderlayWireGuard}, o.Underlay), key+".underlay", o.Underlay)
	switch {
	case !o.InKernel():
	case o.Underlay == UnderlayUntrusted:
		k.refuse(key+".underlay", "engine = %q encrypts nothing: say underlay = \"wireguard\" to have the kernels encrypt, \"trusted\" if nobody else reads or writes there, or leave the engine \"user\"", o.Engine)
	case !o.ForeignDHCP:
		k.refuse(key+".foreign_dhcp", "engine = %q lets every frame cross, answers of DHCP servers and routers too: say foreign_dhcp = true if that is wanted", o.Engine)
	}
}

// overlay notes that a document has no overlay of a name.
func (k *checker) overlay(d *Document, key, name string) {
	if _, ok := d.Overlay(name); !ok {
		k.want(false, key, name)
	}
}

func (k *checker) segments(d *Document) {
	k.few("segment", len(d.Segments), maxSegments)
	names, ids := once{}, map[drawbridge.SegmentID]string{}
	for i, s := range d.Segments {
		key := fmt.Sprintf("segment[%d]", i+1)
		k.want(drawbridge.CheckName(s.Name) == nil, key+".name", s.Name)
		names.check(k, key+".name", key, s.Name)
		if other, taken := ids[drawbridge.SegmentIDOf(s.Name)]; taken && other != s.Name {
			k.refuse(key+".name", "%s has the same 32-bit id as segment %s: choose another name", s.Name, other)
		}
		ids[drawbridge.SegmentIDOf(s.Name)] = s.Name
		k.overlay(d, key+".overlay", s.Overlay)
		k.gateways(key, &s)
	}
}

func (k *checker) gateways(key string, s *Segment) {
	k.few(key+".eligible", len(s.Eligible), maxEligible)
	for i, p := range s.Eligible {
		at := fmt.Sprintf("%s.eligible[%d]", key, i+1)
		k.want(drawbridge.CheckName(string(p)) == nil, at, string(p))
		if slices.Contains(s.Eligible[:i], p) {
			k.refuse(at, "%s stands there twice", p)
		}
	}
	if s.Preferred != "" {
		eligible := len(s.Eligible) == 0 || slices.Contains(s.Eligible, s.Preferred)
		k.want(eligible && drawbridge.CheckName(string(s.Preferred)) == nil, key+".preferred", string(s.Preferred))
	}
	k.want(slices.Contains([]string{ModeAuto, ModePassive, ModeManual}, s.Mode), key+".mode", s.Mode)
	k.want(slices.Contains([]string{QuorumClose, QuorumHold, QuorumSegment}, s.QuorumLoss), key+".quorum_loss", s.QuorumLoss)
	k.want(s.HoldDown >= 0 && s.HoldDown <= maxHoldDown, key+".hold_down", s.HoldDown)
	if s.Drill != "" {
		if _, err := ParseTimetable(s.Drill); err != nil {
			k.refuse(key+".drill", "%v", err)
		}
	}
	switch {
	case s.Mode == ModeManual && s.Preferred == "":
		k.refuse(key+".preferred", "mode = \"active-manual\" wants it: the gateway that is active")
	case s.Preempt && s.Preferred == "":
		k.refuse(key+".preferred", "preempt = true wants it: the gateway that takes over")
	}
}

func (k *checker) subnets(d *Document) {
	k.few("subnet", len(d.Subnets), maxSubnets)
	var seen []netip.Prefix
	for i, s := range d.Subnets {
		key := fmt.Sprintf("subnet[%d]", i+1)
		k.overlay(d, key+".overlay", s.Overlay)
		if o, _ := d.Overlay(s.Overlay); o.InKernel() {
			k.refuse(key+".overlay", "overlay %s has engine = %q, which serves guests no addresses: no subnet may be on it", s.Overlay, o.Engine)
		}
		net, err := netip.ParsePrefix(s.CIDR)
		k.want(err == nil, key+".cidr", s.CIDR)
		if err == nil && net != net.Masked() {
			k.refuse(key+".cidr", "%s has bits below its length: %s is meant?", s.CIDR, net.Masked())
		}
		k.addresses(key, &s, net)
		for j, other := range seen {
			if err == nil && other.Overlaps(net) && d.Subnets[j].Overlay == s.Overlay {
				k.refuse(key+".cidr", "%s overlaps %s of subnet[%d] on the same overlay", s.CIDR, other, j+1)
			}
		}
		seen = append(seen, net)
	}
}

func (k *checker) addresses(key string, s *Subnet, net netip.Prefix) {
	for i, r := range s.Reserved {
		first, last, err := Range(r)
		ok := err == nil && (!net.IsValid() || net.Contains(first) && net.Contains(last))
		k.want(ok, fmt.Sprintf("%s.reserved[%d]", key, i+1), r)
	}
	if s.Router != "" {
		a, err := netip.ParseAddr(s.Router)
		k.want(err == nil && (!net.IsValid() || net.Contains(a)), key+".router", s.Router)
	}
	for i, text := range s.DNS {
		_, err := netip.ParseAddr(text)
		k.want(err == nil, fmt.Sprintf("%s.dns[%d]", key, i+1), text)
	}
	codes := once{}
	for i, o := range s.Options {
		at := fmt.Sprintf("%s.option[%d]", key, i+1)
		k.want(o.Code >= 1 && o.Code <= 254, at+".code", o.Code)
		k.want(len(o.Value) <= maxText && o.Value != "", at+".value", o.Value)
		codes.check(k, at+".code", at, o.Code)
	}
	k.few(key+".reserved", len(s.Reserved), maxList)
	k.few(key+".dns", len(s.DNS), maxList)
}

// Range reads an address, a prefix, or a range a-b.
func Range(text string) (first, last netip.Addr, err error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked().Addr(), lastOf(p), nil
	}
	a, b, isRange := strings.Cut(text, "-")
	if !isRange {
		b = a
	}
	if first, err = netip.ParseAddr(strings.TrimSpace(a)); err != nil {
		return first, last, err
	}
	if last, err = netip.ParseAddr(strings.TrimSpace(b)); err != nil {
		return first, last, err
	}
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return first, last, fmt.Errorf("range %s ends before it begins", text)
	}
	return first, last, nil
}

// lastOf is the highest address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
