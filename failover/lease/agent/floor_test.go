package agent

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// BenchmarkFloor is what a round of renewals costs before anything is done for leases: a thread of the agent's kind that
// sleeps, and sends two datagrams as a holder does to two voters, to nobody who waits for them or to threads that they wake, which over
// loopback is at the sender's expense. Compare BenchmarkLeases of package warden. It wants GODEBUG=asyncpreemptoff=1, as an agent has:
// signals of Go's monitor end sleeps.
func BenchmarkFloor(b *testing.B) {
	for _, c := range []struct {
		name        string
		send, heard bool
	}{{"sleep", false, false}, {"send", true, false}, {"send-wakes", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			fd, _ := socket(b, "127.0.0.1:0")
			l, err := newLink(fd)
			if err != nil {
				b.Fatal(err)
			}
			var to [2]address
			for i := range to {
				there, addr := socket(b, "127.0.0.1:0")
				to[i] = l.address(addr)
				if c.heard {
					defer hear(b, there, addr)()
				}
			}
			onThread(func() {
				was, began := spent(b), time.Now()
				for b.Loop() {
					if c.send {
						for i := range to {
							l.push(&to[i], l.room()[:120])
						}
						l.flush()
					}
					_ = wait([]unix.PollFd{{Fd: -1}}, lease.Default.Renew)
				}
				used := spent(b) - was
				b.ReportMetric(float64(used.Microseconds())/float64(b.N), "us/round")
				b.ReportMetric(100*float64(used)/float64(time.Since(began)), "%core")
				b.ReportMetric(0, "ns/op")
			})
		})
	}
}

// onThread does something on a thread of its own, scheduled as an agent's; the thread ends with it.
func onThread(do func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		_ = takeRealtime([]int{unix.Gettid()}) // or what can be had, as an agent
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		do()
	}()
	<-ended
}

// hear has a thread wait for what comes in on a socket, until that is nothing.
func hear(b *testing.B, fd int, to netip.AddrPort) (stop func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		onThread(func() {
			buf := make([]byte, lease.MaxDatagram)
			for n := 1; n > 0; {
				n, _ = unix.Read(fd, buf) // and not as an agent does: Go's other threads must know that this one waits
			}
		})
	}()
	return func() {
		if err := unix.Sendto(fd, nil, 0, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
			b.Fatal(err)
		}
		<-ended
	}
}

// spent is what this thread has had of a processor.
func spent(b *testing.B) (used time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", unix.Gettid()))
	if err == nil {
		_, err = fmt.Sscan(string(text), (*int64)(&used))
	}
	if err != nil {
		b.Error(err)
	}
	return used
}
