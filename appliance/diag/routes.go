package diag

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/netip"
	"strconv"
)

// Flags of routes (linux/route.h).
const (
	viaGateway  = 0x2
	unreachable = 0x200
)

// route4 is a line of /proc/net/route as people write routes; empty: it is none.
func route4(f []string) string {
	if len(f) < 8 {
		return ""
	}
	to, err1 := octets4(f[1])
	gateway, err2 := octets4(f[2])
	flags, err3 := strconv.ParseUint(f[3], 16, 32)
	mask, err4 := strconv.ParseUint(f[7], 16, 32)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		return ""
	}
	return route(netip.PrefixFrom(to, bits.OnesCount64(mask)), gateway, flags, f[0], f[6])
}

// octets4 reads an address that the kernel wrote as a number.
func octets4(text string) (netip.Addr, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b), err
}

// route6 is the same of /proc/net/ipv6_route.
func route6(f []string) string {
	if len(f) < 10 {
		return ""
	}
	to, ok1 := octets6(f[0])
	length, err1 := strconv.ParseUint(f[1], 16, 8)
	gateway, ok2 := octets6(f[4])
	metric, err2 := strconv.ParseUint(f[5], 16, 32)
	flags, err3 := strconv.ParseUint(f[8], 16, 32)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || err3 != nil {
		return ""
	}
	return route(netip.PrefixFrom(to, int(length)), gateway, flags, f[9], strconv.FormatUint(metric, 10))
}

func octets6(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b)
}

func route(to netip.Prefix, gateway netip.Addr, flags uint64, device, metric string) string {
	kind, via := "", ""
	if flags&unreachable != 0 {
		kind = "unreachable "
	}
	if flags&viaGateway != 0 {
		via = " via " + gateway.String()
	}
	return fmt.Sprintf("%s%s%s dev %s metric %s", kind, to, via, device, metric)
}
