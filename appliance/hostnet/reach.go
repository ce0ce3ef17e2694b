package hostnet

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Reach is address space that this host reaches by one of its interfaces.
type Reach struct {
	Prefix netip.Prefix
	What   string // Route or Neighbour
	On     string // the interface
}

// What a host reaches address space by.
const (
	Route     = "route"
	Neighbour = "neighbour" // somebody on the wire with an address of IPv4
)

// Reached is what this host reaches, without the way to everywhere else.
func Reached() (all []Reach) {
	for _, source := range []struct {
		table string
		read  func(io.Reader) []Reach
	}{{"route", routes4}, {"ipv6_route", routes6}, {"arp", neighbours4}} {
		f, err := os.Open("/proc/thread-self/net/" + source.table)
		if err != nil {
			continue // a kernel without that family
		}
		all = append(all, source.read(f)...)
		_ = f.Close()
	}
	return all
}

// rows are the fields of the lines after the first skip ones.
func rows(r io.Reader, skip int) (out [][]string) {
	for lines := bufio.NewScanner(r); lines.Scan(); skip-- {
		if skip <= 0 {
			out = append(out, strings.Fields(lines.Text()))
		}
	}
	return out
}

// routes4 reads /proc/net/route: interface, destination, gateway, five numbers, mask; addresses in the order of the host,
// which is little endian on all that we run on.
func routes4(r io.Reader) (out []Reach) {
	for _, f := range rows(r, 1) {
		if len(f) < 8 {
			continue
		}
		to, err1 := hex.DecodeString(f[1])
		mask, err2 := hex.DecodeString(f[7])
		if err1 != nil || err2 != nil || len(to) != 4 || len(mask) != 4 {
			continue
		}
		slices.Reverse(to)
		slices.Reverse(mask)
		length := 0
		for length < 32 && mask[length/8]&(0x80>>(length%8)) != 0 {
			length++
		}
		if length > 0 {
			out = append(out, Reach{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte(to)), length).Masked(), What: Route, On: f[0]})
		}
	}
	return out
}

// routes6 reads /proc/net/ipv6_route: destination, its length in hexadecimal, seven more, interface.
func routes6(r io.Reader) (out []Reach) {
	for _, f := range rows(r, 0) {
		if len(f) < 10 {
			continue
		}
		to, err := hex.DecodeString(f[0])
		length, err2 := strconv.ParseUint(f[1], 16, 8)
		if err != nil || err2 != nil || len(to) != 16 || length == 0 || length > 128 {
			continue
		}
		if a := netip.AddrFrom16([16]byte(to)); !a.IsLinkLocalUnicast() && !a.IsMulticast() {
			out = append(out, Reach{Prefix: netip.PrefixFrom(a, int(length)).Masked(), What: Route, On: f[9]})
		}
	}
	return out
}

// neighbours4 reads /proc/net/arp: address, type, flags, hardware address, mask, interface.
func neighbours4(r io.Reader) (out []Reach) {
	for _, f := range rows(r, 1) {
		if len(f) < 6 || f[3] == "00:00:00:00:00:00" {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil && a.Is4() {
			out = append(out, Reach{Prefix: netip.PrefixFrom(a, 32), What: Neighbour, On: f[5]})
		}
	}
	return out
}
