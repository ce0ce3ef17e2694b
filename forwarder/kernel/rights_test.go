package kernel

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asTheService runs f on this thread with the capabilities of the packaged service in effect (systemd/units/drawbridge.service).
func asTheService(t testing.TB, f func() error) (err error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, few [2]unix.CapUserData
	check(t, unix.Capget(&header, &all[0]))
	few = all
	for i := range few {
		few[i].Effective = 0
	}
	for _, c := range []int{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF} {
		few[c/32].Effective |= 1 << (c % 32)
	}
	check(t, unix.Capset(&header, &few[0]))
	err = f()
	check(t, unix.Capset(&header, &all[0]))
	return err
}

// TestProgramsNeedNoPerfmon: with CAP_PERFMON beside CAP_BPF a process can read the kernel's memory, so the service has not got it.
// Without it the verifier refuses what it takes for a leak of pointers, which depends on where the compiler puts variables; that of
// Linux 6.1, where make vm-test runs this, refuses most (TestStackHoldsWholeWords).
func TestProgramsNeedNoPerfmon(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	l.onSegment(1)
	d := l.nodes[1]
	lan, err := d.ns.IndexOf("lan0")
	must(t, err)
	wire, err := d.ns.IndexOf("seg0")
	must(t, err)
	for name, inner := range map[string]netip.Addr{"plain": {}, "inside of WireGuard": netip.MustParseAddr("fe80::1")} {
		must(t, d.e.Close())
		o := Options{Device: "dbk0", Port: 4790, Settle: 300 * time.Millisecond, Inner: inner}
		err := d.ns.Do(func() error {
			return asTheService(t, func() (err error) {
				if d.e, err = Load(o); err != nil {
					return err
				}
				if err := d.e.AddPort(Port{Ifindex: lan, Self: 1, Gate: -1}); err != nil {
					return err
				}
				return d.e.AddPort(Port{Ifindex: wire, Self: 1 + behind, Segment: theSegment, Gate: d.gate.Memory()})
			})
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
