package agent

import (
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// atOnce is how many datagrams are taken, or sent, by one system call: all answers of a round, and all renewals of 64
// segments to six voters.
const atOnce = 16

// message is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type message struct {
	header unix.Msghdr
	length uint32
}

// address is where a party is, as the kernel wants it; length 0: where this socket cannot reach.
type address struct {
	raw    unix.RawSockaddrInet6 // its first octets are a RawSockaddrInet4 on an IPv4 socket
	length uint32
}

// packets are as many datagrams as one call moves, with their memory.
type packets struct {
	messages [atOnce]message
	vectors  [atOnce]unix.Iovec
	to       [atOnce]address
	octets   [atOnce][lease.MaxDatagram + 1]byte
}

// link is the agent's socket. Its calls do not tell the Go runtime that they enter the kernel: none of them waits, but
// for the one sleep of a turn, and a thread that never gives up its processor never waits for one.
type link struct {
	inlet
	family int
	out    packets
	queued int
	unsent uint64
}

// newLink takes over a socket that is bound and does not block.
func newLink(fd int) (*link, error) {
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	l := &link{inlet: *newInlet(fd), family: unix.AF_INET6}
	if _, ok := bound.(*unix.SockaddrInet4); ok {
		l.family = unix.AF_INET
	}
	l.in.aim() // it has moved
	l.out.aim()
	return l, nil
}

// inlet is a socket that is read.
type inlet struct {
	fd int
	in packets
}

func newInlet(fd int) *inlet {
	i := &inlet{fd: fd}
	i.in.aim()
	return i
}

// aim points the headers at their memory.
func (p *packets) aim() {
	for i := range p.messages {
		p.vectors[i].Base = &p.octets[i][0]
		p.vectors[i].SetLen(len(p.octets[i]))
		h := &p.messages[i].header
		h.Iov = &p.vectors[i]
		h.SetIovlen(1)
	}
}

// address puts a party's into the kernel's form.
func (l *link) address(at netip.AddrPort) (a address) {
	port := at.Port()<<8 | at.Port()>>8
	if hostIsBig {
		port = at.Port()
	}
	switch {
	case l.family == unix.AF_INET6:
		a.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: at.Addr().As16()}
		a.length = unix.SizeofSockaddrInet6
	case at.Addr().Unmap().Is4():
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw)) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: at.Addr().Unmap().As4()}
		a.length = unix.SizeofSockaddrInet4
	}
	return a
}

var hostIsBig = func() bool { one := uint16(1); return *(*byte)(unsafe.Pointer(&one)) == 0 }()

// receive takes up to atOnce datagrams and hands each to take.
func (l *inlet) receive(take func([]byte)) (n int, err error) {
	for {
		got, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.in.messages)), atOnce, unix.MSG_DONTWAIT, 0, 0)
		switch e {
		case 0:
			for i := range int(got) {
				if size := l.in.messages[i].length; size <= lease.MaxDatagram { // or too long to be one of ours
					take(l.in.octets[i][:size])
				}
			}
			return int(got), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR, unix.ECONNREFUSED: // or an error of a datagram long gone
		default:
			return 0, os.NewSyscallError("recvmmsg", e)
		}
	}
}

// room is memory for a datagram to be built in; push sends it.
func (l *link) room() []byte {
	if l.queued == atOnce {
		l.flush()
	}
	return l.out.octets[l.queued][:0]
}

// push queues what was built in room for a party.
func (l *link) push(to *address, b []byte) {
	if to.length == 0 {
		l.unsent++
		return
	}
	i := l.queued
	l.out.to[i] = *to
	l.out.vectors[i].SetLen(len(b))
	h := &l.out.messages[i].header
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&l.out.to[i].raw)), to.length
	l.queued++
}

// flush sends what is queued and never waits: a datagram that does not leave is a lost one.
func (l *link) flush() {
	for from := 0; from < l.queued; {
		sent, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.out.messages[from])), uintptr(l.queued-from), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			from += int(sent)
		case unix.EINTR, unix.ECONNREFUSED: // the latter tells of an earlier one
		default:
			l.unsent++
			from++
		}
	}
	l.queued = 0
}

// longestWait bounds a wait, so that a clock that jumps over a deadline in suspend is noticed.
const longestWait = 250 * time.Millisecond

// wait returns when something has come, and answers true, or after d.
func wait(fds []unix.PollFd, d time.Duration) (came bool) {
	d = min(max(d, 0), longestWait)
	ts := unix.NsecToTimespec(d.Nanoseconds())
	n, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	return e == 0 && n > 0
}
