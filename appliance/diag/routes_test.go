package diag

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

func TestRoutesAreForPeople(t *testing.T) {
	number := func(a, b, c, d byte) string {
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{a, b, c, d}))
	}
	none, all := number(0, 0, 0, 0), number(255, 255, 255, 255)
	for line, want := range map[string]string{
		"Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT":                           "",
		"eth0 " + none + " " + number(192, 0, 2, 1) + " 0003 0 0 100 " + none + " 0 0 0":                   "0.0.0.0/0 via 192.0.2.1 dev eth0 metric 100",
		"eth1 " + number(10, 32, 0, 0) + " " + none + " 0001 0 0 0 " + number(255, 255, 240, 0) + " 0 0 0": "10.32.0.0/20 dev eth1 metric 0",
		"* " + number(10, 0, 0, 9) + " " + none + " 0205 0 0 7 " + all + " 0 0 0":                          "unreachable 10.0.0.9/32 dev * metric 7",
		"eth0 " + none + " nonsense 0003 0 0 100 " + none + " 0 0 0":                                       "",
	} {
		if got := route4(strings.Fields(line)); got != want {
			t.Errorf("%q became %q, want %q", line, got, want)
		}
	}
	const zero = "00000000000000000000000000000000"
	for line, want := range map[string]string{
		"20010db8000000000000000000000000 40 " + zero + " 00 " + zero + " 00000100 00000001 00000000 00000001     eth0": "2001:db8::/64 dev eth0 metric 256",
		zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0":      "::/0 via fe80::1 dev eth0 metric 1024",
		zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo":                          "unreachable ::/0 dev lo metric 4294967295",
		"zz " + strings.Repeat("0 ", 9): "",
	} {
		if got := route6(strings.Fields(line)); got != want {
			t.Errorf("%q became %q, want %q", line, got, want)
		}
	}
}
