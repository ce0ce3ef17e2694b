package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// etherType marks our frames (IEEE 802, local experimental use).
const etherType = 0x88b5

// Layout of a numbered broadcast after its Ethernet header.
const (
	offRun    = 14 // 4 bytes: which Counter
	offFrom   = 18 // 2 bytes: which host, by its place in the list
	offNumber = 20 // 4 bytes
	frameSize = 60
)

// Broadcasts are what became of numbered broadcasts.
type Broadcasts struct {
	Sent  int      `json:"sent"`
	Hosts []Copies `json:"hosts"` // all hosts, the senders too
}

// Copies is what one host got of the broadcasts that others sent. A sender that hears its own counts as Echoes.
type Copies struct {
	Host   string `json:"host"`
	Once   int    `json:"once"`   // numbers that came exactly once
	Twice  int    `json:"twice"`  // numbers that came more often
	Missed int    `json:"missed"` // numbers that did not come
	Most   int    `json:"most"`   // copies of the number that came most often
	Echoes int    `json:"echoes"` // own broadcasts that came back
	Gap    int    `json:"gap"`    // most numbers in a row from one sender that did not come

	Doubled []string `json:"doubled,omitempty"` // the first of those that came too often, and when
}

// arrival is what came of one number at one host.
type arrival struct {
	copies      int
	first, last time.Time
}

func (a arrival) String() string {
	return fmt.Sprintf("%s, %s to %s", drawbridge.Counted(a.copies, "copy", "copies"), a.first.Format(clock), a.last.Format(clock))
}

const (
	clock      = "15:04:05.0000"
	maxDoubled = 5
)

// ExactlyOnce reports whether every broadcast reached every other host once and came back to nobody.
func (b Broadcasts) ExactlyOnce() bool {
	return b.Sent > 0 && b.Single() && !slices.ContainsFunc(b.Hosts, func(c Copies) bool { return c.Missed > 0 })
}

// Single reports whether nothing came twice or back; losses are allowed.
func (b Broadcasts) Single() bool {
	return !slices.ContainsFunc(b.Hosts, func(c Copies) bool { return c.Twice > 0 || c.Echoes > 0 })
}

// Counter counts copies of numbered broadcasts at hosts.
type Counter struct {
	// Set at construction, then constant.
	hosts   []Host
	spaces  []*netlab.Namespace
	sockets []int
	run     uint32
	stop    chan struct{}
	readers sync.WaitGroup

	mu    sync.Mutex
	sent  []uint32 // by host: the next number
	came  []map[uint64]arrival
	heard time.Time
}

// Count begins to count. Finish ends it.
func Count(hosts []Host) (_ *Counter, err error) {
	c := &Counter{hosts: hosts, run: rand.Uint32(), stop: make(chan struct{}), sent: make([]uint32, len(hosts)), heard: time.Now()}
	if c.spaces, err = open(hosts); err != nil {
		return nil, err
	}
	for i := range hosts {
		fd, err := c.socket(i)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("host %s: %w", hosts[i].Name, err), c.release())
		}
		c.sockets = append(c.sockets, fd)
		c.came = append(c.came, map[uint64]arrival{})
	}
	for i := range hosts {
		c.readers.Go(func() { c.read(i) })
	}
	return c, nil
}

// wakeUp is how often a reader looks whether it is to end.
var wakeUp = unix.Timeval{Usec: 50_000}

// receiveBuffer holds some ten thousand small frames, for readers that get no turn on a loaded machine.
const receiveBuffer = 16 << 20

func (c *Counter) socket(i int) (fd int, err error) {
	index, err := c.spaces[i].IndexOf(c.hosts[i].Interface)
	if err != nil {
		return 0, err
	}
	err = c.spaces[i].Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0, err
	}
	at := &unix.SockaddrLinklayer{Protocol: networkOrder(etherType), Ifindex: index}
	err = errors.Join(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wakeUp),
		enlarge(fd), unix.Bind(fd, at))
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// enlarge gives a socket its buffer, or as much of it as a user's own namespaces may have.
func enlarge(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if errors.Is(err, unix.EPERM) {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	return err
}

func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

func (c *Counter) read(i int) {
	b := make([]byte, 2048)
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		size, from, err := unix.Recvfrom(c.sockets[i], b, 0)
		link, ok := from.(*unix.SockaddrLinklayer)
		if err != nil || !ok || link.Pkttype == unix.PACKET_OUTGOING || size < frameSize || binary.BigEndian.Uint32(b[offRun:]) != c.run {
			continue
		}
		key := uint64(binary.BigEndian.Uint16(b[offFrom:]))<<32 | uint64(binary.BigEndian.Uint32(b[offNumber:]))
		c.mu.Lock()
		c.heard = time.Now()
		a := c.came[i][key]
		if a.copies++; a.copies == 1 {
			a.first = c.heard
		}
		a.last = c.heard
		c.came[i][key] = a
		c.mu.Unlock()
	}
}

// Send sends count numbered broadcasts from a host, one per interval, or until ctx ends. Several hosts may send at
// once.
func (c *Counter) Send(ctx context.Context, host string, count int, interval time.Duration) error {
	i := slices.IndexFunc(c.hosts, func(h Host) bool { return h.Name == host })
	if i < 0 {
		return fmt.Errorf("host %s is not among those counted", host)
	}
	mac, err := c.spaces[i].MACOf(c.hosts[i].Interface)
	if err != nil {
		return err
	}
	b := slices.Repeat([]byte{0xff}, frameSize)
	copy(b[6:], mac[:])
	binary.BigEndian.PutUint16(b[12:], etherType)
	binary.BigEndian.PutUint32(b[offRun:], c.run)
	binary.BigEndian.PutUint16(b[offFrom:], uint16(i))
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for range count {
		c.mu.Lock()
		binary.BigEndian.PutUint32(b[offNumber:], c.sent[i])
		c.sent[i]++
		c.mu.Unlock()
		if _, err := unix.Write(c.sockets[i], b); err != nil {
			return fmt.Errorf("broadcast from %s: %w", host, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// Finish waits until nothing has arrived for the time quiet, ends the count and says what it was. Copies that loop
// without end are cut off after a hundred times that.
func (c *Counter) Finish(quiet time.Duration) (Broadcasts, error) {
	for end := time.Now().Add(100 * quiet); time.Now().Before(end); <-time.After(quiet / 10) {
		c.mu.Lock()
		silent := time.Since(c.heard)
		c.mu.Unlock()
		if silent >= quiet {
			break
		}
	}
	close(c.stop)
	c.readers.Wait()
	return c.sum(), c.release()
}

func (c *Counter) release() error {
	var errs []error
	for _, fd := range c.sockets {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(append(errs, closeAll(c.spaces))...)
}

// sum is called when nobody counts any more.
func (c *Counter) sum() (b Broadcasts) {
	for i, h := range c.hosts {
		b.Sent += int(c.sent[i])
		b.Hosts = append(b.Hosts, c.sumAt(i, h.Name))
	}
	slices.SortFunc(b.Hosts, byName)
	return b
}

func (c *Counter) sumAt(i int, name string) Copies {
	s := Copies{Host: name}
	for from, sent := range c.sent {
		gap := 0
		for number := range sent {
			a := c.came[i][uint64(from)<<32|uint64(number)]
			copies := a.copies
			s.Most = max(s.Most, copies)
			if copies > 1 || from == i && copies > 0 {
				s.double(fmt.Sprintf("%s #%d: %v", c.hosts[from].Name, number, a))
			}
			switch {
			case from == i:
				s.Echoes += copies
				continue
			case copies == 0:
				s.Missed++
				gap++
				s.Gap = max(s.Gap, gap)
				continue
			case copies == 1:
				s.Once++
			default:
				s.Twice++
			}
			gap = 0
		}
	}
	return s
}

func (c *Copies) double(what string) {
	if len(c.Doubled) < maxDoubled {
		c.Doubled = append(c.Doubled, what)
	}
}
