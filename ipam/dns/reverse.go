package dns

import (
	"net/netip"
	"strconv"
	"strings"
)

const (
	arpa4 = "in-addr.arpa"
	arpa6 = "ip6.arpa"
)

// backward is a name below in-addr.arpa or ip6.arpa. A name of all labels stands for one address; a shorter one for
// the prefix of those that it is given.
type backward struct {
	prefix netip.Prefix
	unit   int // bits of a label
}

// parseBackward reads a name in lower case without a dot at the end.
func parseBackward(name string) (b backward, ok bool) {
	if rest, is := strings.CutSuffix(name, "."+arpa4); is {
		var raw [4]byte
		n, ok := digits(rest, 4, 10, func(i int, v uint64) { raw[i] = byte(v) })
		return backward{netip.PrefixFrom(netip.AddrFrom4(raw), 8*n), 8}, ok
	}
	if rest, is := strings.CutSuffix(name, "."+arpa6); is {
		var raw [16]byte
		n, ok := digits(rest, 32, 16, func(i int, v uint64) { raw[i/2] |= byte(v) << (4 * (1 - i%2)) })
		return backward{netip.PrefixFrom(netip.AddrFrom16(raw), 4*n), 4}, ok
	}
	return b, false
}

// digits reads labels from the last to the first; each is written as its number is, without zeros before it.
func digits(s string, most, base int, put func(i int, v uint64)) (n int, ok bool) {
	labels := strings.Split(s, ".")
	limit := uint64(255)
	if base == 16 {
		limit = 15
	}
	if len(labels) > most {
		return 0, false
	}
	for i := range labels {
		l := labels[len(labels)-1-i]
		v, err := strconv.ParseUint(l, base, 16)
		if err != nil || v > limit || strconv.FormatUint(v, base) != l {
			return 0, false
		}
		put(i, v)
	}
	return len(labels), true
}

func (b backward) whole() bool { return b.prefix.Bits() == b.prefix.Addr().BitLen() }

// within finds the zone of a subnet that the name belongs to. Zones end between labels: a /22 is four zones, and the
// zone of a /26 is the /24 around it, of which only the addresses of the /26 are answered for (as RFC 2317 does
// without delegation).
func (b backward) within(subnets []netip.Prefix) (zone string, apex, ok bool) {
	for _, p := range subnets {
		if p.Addr().Is4() != b.prefix.Addr().Is4() || !p.Overlaps(b.prefix) {
			continue
		}
		cut := min((p.Bits()+b.unit-1)/b.unit*b.unit, p.Addr().BitLen()-b.unit)
		if b.prefix.Bits() < cut || b.prefix.Bits() < p.Bits() && p.Bits() > cut {
			continue // above the zone, or the apex of one of which we hold a part only
		}
		return nameOf(b.prefix.Addr(), cut), b.prefix.Bits() == cut, true
	}
	return "", false, false
}

// nameOf is the backward name of the first bits of an address.
func nameOf(a netip.Addr, bits int) string {
	var labels []string
	suffix := arpa4
	if raw := a.AsSlice(); a.Is4() {
		for _, v := range raw[:bits/8] {
			labels = append([]string{strconv.Itoa(int(v))}, labels...)
		}
	} else {
		suffix = arpa6
		for i := range bits / 4 {
			labels = append([]string{strconv.FormatUint(uint64(raw[i/2]>>(4*(1-i%2))&15), 16)}, labels...)
		}
	}
	return strings.Join(append(labels, suffix), ".")
}
