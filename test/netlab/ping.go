package netlab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// ICMP types (RFC 792, RFC 4443 §4).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
	echoHeader               = 8
)

// Pinger sends ICMP echo requests out of a namespace. One goroutine may send while one receives.
type Pinger struct {
	in     string
	six    bool
	id     uint16 // ours among all who ping here; the kernel gives every raw socket every reply
	conn   *net.IPConn
	packet []byte

	control []byte // what the kernel says besides of a packet
}

// NewPinger opens a raw socket for IPv4 or IPv6. The caller closes it.
func (n *Namespace) NewPinger(six bool) (*Pinger, error) {
	network, local := "ip4:icmp", "0.0.0.0"
	if six {
		network, local = "ip6:ipv6-icmp", "::"
	}
	p := &Pinger{in: n.name, six: six, id: uint16(rand.Uint32()), packet: make([]byte, 2048), control: make([]byte, 128)}
	err := n.Do(func() error {
		conn, err := net.ListenIP(network, &net.IPAddr{IP: net.ParseIP(local)})
		p.conn = conn
		return errors.Join(err, stamps(conn))
	})
	if err != nil {
		return nil, fmt.Errorf("ping from %s: %w", n.name, err)
	}
	return p, nil
}

// stamps has the kernel note when packets come.
func stamps(conn *net.IPConn) error {
	if conn == nil {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) })
	return errors.Join(failed, err)
}

// Close ends it; a Receive that waits returns.
func (p *Pinger) Close() error { return p.conn.Close() }

// Send asks an address; seq comes back with the answer, payload is how many bytes follow the ICMP header.
func (p *Pinger) Send(to netip.Addr, seq uint16, payload int) error {
	b := make([]byte, echoHeader+payload)
	b[0] = echoRequest4
	if p.six {
		b[0] = echoRequest6 // and the kernel writes the checksum (RFC 3542 §3.1)
	}
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], seq)
	if !p.six {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	if _, err := p.conn.WriteToIP(b, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return fmt.Errorf("ping %v from %s: %w", to, p.in, err)
	}
	return nil
}

// Receive waits for an answer until the deadline; os.ErrDeadlineExceeded when there is none.
func (p *Pinger) Receive(deadline time.Time) (from netip.Addr, seq uint16, err error) {
	from, seq, _, err = p.receive(deadline)
	return from, seq, err
}

// receive also tells when the answer came, by the kernel's watch: whoever reads it may be late.
func (p *Pinger) receive(deadline time.Time) (from netip.Addr, seq uint16, at time.Time, err error) {
	if err := p.conn.SetReadDeadline(deadline); err != nil {
		return from, 0, at, err
	}
	reply := byte(echoReply4)
	if p.six {
		reply = echoReply6
	}
	for {
		size, control, _, addr, err := p.conn.ReadMsgIP(p.packet, p.control)
		if err != nil {
			return from, 0, at, err
		}
		b := p.payload(p.packet[:size])
		if len(b) < echoHeader || b[0] != reply || binary.BigEndian.Uint16(b[4:]) != p.id {
			continue
		}
		from, _ = netip.AddrFromSlice(addr.IP)
		return from.Unmap(), binary.BigEndian.Uint16(b[6:]), stamped(p.control[:control]), nil
	}
}

// payload is what follows the IPv4 header, which a raw socket is given (and which may have options).
func (p *Pinger) payload(b []byte) []byte {
	if p.six || len(b) == 0 {
		return b
	}
	return b[min(len(b), int(b[0]&0xf)*4):]
}

// stamped is the instant in a packet's control messages (SO_TIMESTAMPNS, socket(7)), or now.
func stamped(control []byte) time.Time {
	all, err := unix.ParseSocketControlMessage(control)
	for _, m := range all {
		if err == nil && m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		}
	}
	return time.Now()
}

// checksum is the Internet checksum of one stretch of octets.
func checksum(b []byte) uint16 { return drawbridge.InternetChecksum(drawbridge.InternetSum(0, b)) }

// askAgain is how long Ping waits before it repeats: lost requests, and the first ones while tables are empty.
const askAgain = 100 * time.Millisecond

// Ping asks an address again and again until it answers or ctx ends, and returns the round trip of the answer.
func (n *Namespace) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	p, err := n.NewPinger(to.Is6())
	if err != nil {
		return 0, err
	}
	defer p.Close()
	var sent [1 << 16]time.Time
	for seq := uint16(1); ctx.Err() == nil; seq++ {
		sent[seq] = time.Now()
		if err := p.Send(to, seq, 0); err != nil && !transient(err) {
			return 0, err
		}
		from, got, err := p.Receive(sent[seq].Add(askAgain))
		switch {
		case err == nil && from == to && !sent[got].IsZero():
			return time.Since(sent[got]), nil
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, fmt.Errorf("ping %v from %s: %w", to, n.name, err)
		}
	}
	return 0, fmt.Errorf("ping %v from %s: no answer: %w", to, n.name, ctx.Err())
}

// transient are errors of a send that another attempt may not meet: no neighbour answered yet, or the queue is full.
func transient(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, syscall.ENETDOWN)
}

// Stream is what came of asking an address at a steady pace.
type Stream struct {
	Sent     int           `json:"sent"`
	Answered int           `json:"answered"`
	Outage   time.Duration `json:"outage_ns"` // the longest time between two requests in a row that were answered
	Pause    time.Duration `json:"pause_ns"`  // the longest time between two answers
	Worst    time.Duration `json:"worst_ns"`  // the longest round trip
	Doubled  int           `json:"doubled"`   // answers that came again
	Late     int           `json:"late"`      // answers that came behind one to a later request
	Lost     []time.Time   `json:"lost"`      // when the first requests were sent that were not answered
}

// maxLost is how many lost requests a stream names: what was lost one by one, not all of an outage.
const maxLost = 20

// streamLimit bounds a stream: sequence numbers must not repeat.
const streamLimit = 1 << 16

// drain is how long a stream waits for answers after its last request.
const drain = 500 * time.Millisecond

// Stream asks an address once per interval until ctx ends (or 65,536 times). Requests that cannot be sent count as
// unanswered.
func (n *Namespace) Stream(ctx context.Context, to netip.Addr, interval time.Duration) (Stream, error) {
	p, err := n.NewPinger(to.Is6())
	if err != nil {
		return Stream{}, err
	}
	defer p.Close()
	answered := make(chan answers)
	stop := make(chan time.Time, 1)
	go func() { answered <- p.collect(to, stop) }()
	var sent []time.Time
	steadily(interval, func() bool {
		if ctx.Err() != nil || len(sent) == streamLimit {
			return false
		}
		sent = append(sent, time.Now())
		_ = p.Send(to, uint16(len(sent)-1), 0) // unanswered, then
		return true
	})
	stop <- time.Now().Add(drain)
	return summarise(sent, <-answered), nil
}

// answers is what came back.
type answers struct {
	at            map[uint16]time.Time
	top           uint16    // the latest request that was answered
	last          time.Time // when the last one came
	pause         time.Duration
	doubled, late int
}

// collect notes when each answer came, until the time that stop gives.
func (p *Pinger) collect(to netip.Addr, stop <-chan time.Time) answers {
	a := answers{at: map[uint16]time.Time{}}
	var end time.Time
	for end.IsZero() || time.Now().Before(end) {
		select {
		case end = <-stop:
		default:
		}
		if from, seq, at, err := p.receive(time.Now().Add(askAgain)); err == nil && from == to {
			a.note(seq, at)
		}
	}
	return a
}

func (a *answers) note(seq uint16, now time.Time) {
	if _, again := a.at[seq]; again {
		a.doubled++
		return
	}
	if seq < a.top {
		a.late++
	}
	if !a.last.IsZero() {
		a.pause = max(a.pause, now.Sub(a.last))
	}
	a.at[seq], a.top, a.last = now, max(a.top, seq), now
}

func summarise(sent []time.Time, got answers) (s Stream) {
	s.Sent, s.Doubled, s.Late, s.Pause = len(sent), got.doubled, got.late, got.pause
	if len(sent) == 0 {
		return s
	}
	last := sent[0]
	for i, at := range sent {
		if back, ok := got.at[uint16(i)]; ok {
			s.Answered++
			s.Outage = max(s.Outage, at.Sub(last))
			s.Worst = max(s.Worst, back.Sub(at))
			last = at
		} else if len(s.Lost) < maxLost {
			s.Lost = append(s.Lost, at)
		}
	}
	s.Outage = max(s.Outage, sent[len(sent)-1].Sub(last))
	return s
}
