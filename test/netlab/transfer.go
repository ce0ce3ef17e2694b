package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// Rate is what a TCP transfer achieved.
type Rate struct {
	Bytes int64         `json:"bytes"` // as the receiver counted them
	Took  time.Duration `json:"took_ns"`
}

// Bits is the rate in bits per second of payload.
func (r Rate) Bits() float64 { return float64(r.Bytes) * 8 / r.Took.Seconds() }

func (r Rate) String() string {
	return fmt.Sprintf("%.0f Mbit/s (%.1f MB in %.1f s)", r.Bits()/1e6, float64(r.Bytes)/1e6, r.Took.Seconds())
}

// Listen opens a TCP listener inside the namespace, on a free port of addr.
func (n *Namespace) Listen(addr netip.Addr) (l *net.TCPListener, err error) {
	err = n.Do(func() error {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", n.name, err)
	}
	return l, nil
}

// Dial opens a TCP connection from inside the namespace.
func (n *Namespace) Dial(ctx context.Context, to netip.AddrPort) (c net.Conn, err error) {
	err = n.Do(func() error {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", n.name, err)
	}
	return c, nil
}

// transferBlock is how much one write hands over: large enough that system calls do not count.
const transferBlock = 128 << 10

// Transfer sends as much as TCP takes from n to addr, which belongs to the namespace far, until ctx ends.
func (n *Namespace) Transfer(ctx context.Context, far *Namespace, addr netip.Addr) (Rate, error) {
	l, err := far.Listen(addr)
	if err != nil {
		return Rate{}, err
	}
	defer l.Close()
	c, err := n.Dial(ctx, l.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		return Rate{}, err
	}
	defer c.Close()
	s, err := l.Accept() // Dial returned, so it is there
	if err != nil {
		return Rate{}, fmt.Errorf("transfer to %v: %w", addr, err)
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { c.SetWriteDeadline(time.Now()); s.SetReadDeadline(time.Now()) })()
	go func() {
		for block := make([]byte, transferBlock); ; {
			if _, err := c.Write(block); err != nil {
				return // the deadline; the reader counts what arrived
			}
		}
	}()
	start := time.Now()
	count, err := io.CopyBuffer(discard{}, s, make([]byte, transferBlock))
	if err != nil && ctx.Err() == nil {
		return Rate{}, fmt.Errorf("transfer to %v: %w", addr, err)
	}
	if count == 0 {
		return Rate{}, fmt.Errorf("transfer to %v: %w", addr, errors.New("no byte arrived"))
	}
	return Rate{count, time.Since(start)}, nil
}

// discard is io.Discard without ReadFrom, which would read in blocks of 8 KiB.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
