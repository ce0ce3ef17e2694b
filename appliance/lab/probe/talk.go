package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// talkSize is what is sent over a TCP connection and back: some full segments, so that segmentation and checksum
// offload are part of the way.
const talkSize = 64 << 10

// datagramSize is what is sent as a datagram and back; with its headers it fits any MTU that IPv6 allows.
const datagramSize = 1000

// Talk lets every host speak to every other by TCP (64 KiB there and back) and UDP (1,000 bytes, repeated until
// answered), by every address. What cannot be done until ctx ends is missing.
func Talk(ctx context.Context, hosts []Host) (Reach, error) {
	spaces, err := open(hosts)
	if err != nil {
		return Reach{}, err
	}
	defer closeAll(spaces)
	ports, stop, err := answerers(spaces, hosts)
	if err != nil {
		return Reach{}, err
	}
	defer stop()
	t := talk{ctx: ctx}
	for i, from := range hosts {
		for _, to := range append(targets(from, hosts, false), targets(from, hosts, true)...) {
			t.all.Go(func() { t.one("tcp", spaces[i], from, to, ports) })
			t.all.Go(func() { t.one("udp", spaces[i], from, to, ports) })
		}
	}
	t.all.Wait()
	return t.reach, nil
}

// talk is one run of Talk.
type talk struct {
	ctx context.Context
	all sync.WaitGroup

	mu    sync.Mutex
	reach Reach
}

func (t *talk) one(network string, n *netlab.Namespace, from Host, to target, ports map[netip.Addr]answerer) {
	at := netip.AddrPortFrom(to.addr, ports[to.addr].tcp)
	exchange := exchangeStream
	if network == "udp" {
		at, exchange = netip.AddrPortFrom(to.addr, ports[to.addr].udp), exchangeDatagram
	}
	began := time.Now()
	err := exchange(t.ctx, n, at)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reach.Asked++
	if err != nil {
		t.reach.miss(network, from, to.addr, to.name, err)
		return
	}
	t.reach.Reached++
	t.reach.Worst = max(t.reach.Worst, milliseconds(time.Since(began)))
}

// answerer is where one address sends back what it gets.
type answerer struct{ tcp, udp uint16 }

func answerers(spaces []*netlab.Namespace, hosts []Host) (ports map[netip.Addr]answerer, stop func(), err error) {
	ports = map[netip.Addr]answerer{}
	var open []io.Closer
	stop = func() {
		for _, c := range open {
			c.Close()
		}
	}
	for i, h := range hosts {
		for _, a := range h.Addrs {
			l, err := spaces[i].Listen(a)
			if err != nil {
				stop()
				return nil, nil, err
			}
			u, err := listenUDP(spaces[i], a)
			if err != nil {
				l.Close()
				stop()
				return nil, nil, err
			}
			open = append(open, l, u)
			ports[a] = answerer{l.Addr().(*net.TCPAddr).AddrPort().Port(), u.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
			go echoStreams(l) // both end when they are closed
			go echoDatagrams(u)
		}
	}
	return ports, stop, nil
}

func listenUDP(n *netlab.Namespace, a netip.Addr) (u *net.UDPConn, err error) {
	err = n.Do(func() error {
		u, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
		return err
	})
	return u, err
}

func echoStreams(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c) // the far end notices whatever goes wrong
			_ = c.CloseWrite()
		}()
	}
}

func echoDatagrams(u *net.UDPConn) {
	for b := make([]byte, 1<<16); ; {
		n, from, err := u.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		_, _ = u.WriteToUDPAddrPort(b[:n], from)
	}
}

func noise(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

var errAltered = errors.New("came back altered")

// exchangeStream tries again when a connection cannot be made, or breaks, until ctx ends.
func exchangeStream(ctx context.Context, n *netlab.Namespace, to netip.AddrPort) (err error) {
	for {
		if err = exchangeOnce(ctx, n, to); err == nil || errors.Is(err, errAltered) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(askAgain):
		case <-ctx.Done():
		}
	}
}

func exchangeOnce(ctx context.Context, n *netlab.Namespace, to netip.AddrPort) error {
	c, err := n.Dial(ctx, to)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
	sent := noise(talkSize)
	go func() {
		_, _ = c.Write(sent) // the reader below notices
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("%d of %d bytes %w", len(got), len(sent), errAltered)
	}
	return nil
}

func exchangeDatagram(ctx context.Context, n *netlab.Namespace, to netip.AddrPort) error {
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "udp", to.String())
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	sent, got := noise(datagramSize), make([]byte, 1<<16)
	for ctx.Err() == nil {
		_, _ = c.Write(sent) // refused or lost: again
		if err := c.SetReadDeadline(time.Now().Add(askAgain)); err != nil {
			return err
		}
		size, err := c.Read(got)
		if err == nil && !bytes.Equal(sent, got[:size]) {
			return errAltered
		}
		if err == nil {
			return nil
		}
	}
	return ctx.Err()
}
