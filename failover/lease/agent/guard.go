package agent

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/failover/lease"
)

// Stuck is how long the daemon's sign of life may stand still. It is not a term: in a Go process with many threads the sign
// was late by 500 ms at a load of 28 on two cores, while frames still flowed (docs/adr/0015), and a daemon that is
// stopped or dying is recognised by its state instead, within a renewal. A longer term adds to it.
const Stuck = 2 * time.Second

// idleLook is how often the daemon is looked at by an agent that holds nothing.
const idleLook = 100 * time.Millisecond

// guard watches the daemon, which has the frames in its hands.
type guard struct {
	stat  int // descriptor of its state in /proc; negative: there is none
	alive *atomic.Uint64
	seen  uint64
	moved lease.Instant
	still time.Duration // longest without a move
	every time.Duration
	term  time.Duration // of the lease
	next  lease.Instant // when a look is worth its cost
	due   lease.Instant // when one must be taken
	buf   [512]byte
}

// watch begins to watch a process.
func watch(pid int, alive *atomic.Uint64) guard {
	stat, err := unix.Open(fmt.Sprintf("/proc/%d/stat", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		stat = -1
	}
	return guard{stat: stat, alive: alive, every: lease.Default.Renew, term: lease.Default.Term}
}

// look tells why the daemon must not hold a lease; empty when it may. Whoever holds one looks at every renewal, when it
// is awake anyway.
func (g *guard) look(now lease.Instant, holds bool) (why string) {
	every := idleLook
	if holds {
		every = g.every
	}
	g.next, g.due = now.Add(every*3/4), now.Add(every*5/4)
	if g.moved == 0 {
		g.moved = now
	}
	g.still = max(g.still, now.Sub(g.moved))
	if n := g.alive.Load(); n != g.seen {
		g.seen, g.moved = n, now
	}
	if state := g.state(); state != "" {
		return state
	}
	if now.Sub(g.moved) > failover.Patience(Stuck, g.term) {
		return "the daemon's data path has stood still"
	}
	return ""
}

// state tells whether the process is stopped or dying; empty when it is neither, or nobody knows.
func (g *guard) state() string {
	if g.stat < 0 {
		return ""
	}
	n, err := unix.Pread(g.stat, g.buf[:], 0)
	if err != nil {
		return "the daemon has ended" // ESRCH: it was waited for
	}
	return stateOf(g.buf[:n])
}

// exiting is PF_EXITING (linux/sched.h): the thread is on its way out.
const exiting = 4

// stateOf reads a line of /proc/PID/stat (proc(5)): after the name in brackets, which may hold anything, come the state
// and, as the sixth number from there, the flags.
func stateOf(line []byte) string {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 || len(line) < end+3 {
		return ""
	}
	rest := line[end+2:]
	switch rest[0] {
	case 'T':
		return "the daemon is stopped"
	case 'Z', 'X', 'x':
		return "the daemon has ended"
	}
	for range 6 {
		space := bytes.IndexByte(rest, ' ')
		if space < 0 {
			return ""
		}
		rest = rest[space+1:]
	}
	flags := 0
	for _, c := range rest {
		if c < '0' || c > '9' {
			break
		}
		flags = flags*10 + int(c-'0')
	}
	if flags&exiting != 0 {
		return "the daemon is ending"
	}
	return ""
}
