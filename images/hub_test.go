//go:build image

package images

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// hub is an Ethernet that emulators are cabled to: a frame a datagram (QEMU, -netdev socket,udp=). QEMU's own multicast
// network gives everybody his own frames back, which no Ethernet does.
type hub struct {
	t    *testing.T
	conn *net.UDPConn

	mu   sync.Mutex
	ends map[netip.AddrPort]bool
	taps []tap
}

// tap is a host of the machine that the tests run on, tagged with 802.1Q or not.
type tap struct {
	file *os.File
	vlan uint16
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{t: t, ends: map[netip.AddrPort]bool{}}
	var err error
	if h.conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	_ = h.conn.SetReadBuffer(8 << 20)
	t.Cleanup(func() { _ = h.conn.Close() })
	go h.run()
	return h
}

// cable is a netdev of QEMU that ends in the hub.
func (h *hub) cable() string {
	h.t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		h.t.Fatal(err)
	}
	end := c.LocalAddr().(*net.UDPAddr).AddrPort()
	_ = c.Close()
	h.mu.Lock()
	h.ends[end] = true
	h.mu.Unlock()
	return fmt.Sprintf("socket,udp=%s,localaddr=%s", h.conn.LocalAddr(), end)
}

func (h *hub) run() {
	b := make([]byte, 65536)
	for {
		n, from, err := h.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		h.forward(b[:n], from, nil)
	}
}

// forward gives a frame to everybody but the one who sent it.
func (h *hub) forward(frame []byte, from netip.AddrPort, but *os.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for to := range h.ends {
		if to != from {
			_, _ = h.conn.WriteToUDPAddrPort(frame, to) // nobody there: a machine that is off
		}
	}
	for _, p := range h.taps {
		if f := untag(frame, p.vlan); f != nil && p.file != but {
			_, _ = p.file.Write(f)
		}
	}
}

// untag is the frame without its tag, or nil: it is of another VLAN. VLAN 0 is no tag.
func untag(frame []byte, vlan uint16) []byte {
	tagged := len(frame) >= 18 && binary.BigEndian.Uint16(frame[12:]) == 0x8100
	switch {
	case vlan == 0 && !tagged:
		return frame
	case vlan != 0 && tagged && binary.BigEndian.Uint16(frame[14:])&0xfff == vlan:
		return append(append([]byte{}, frame[:12]...), frame[16:]...)
	}
	return nil
}

func tagged(frame []byte, vlan uint16) []byte {
	if vlan == 0 || len(frame) < 14 {
		return frame
	}
	b := append([]byte{}, frame[:12]...)
	b = binary.BigEndian.AppendUint16(b, 0x8100)
	b = binary.BigEndian.AppendUint16(b, vlan)
	return append(b, frame[12:]...)
}

// host makes a namespace with one interface on the hub.
func (h *hub) host(name string, vlan uint16, addr netip.Prefix) {
	t := h.t
	t.Helper()
	_ = netlab.Delete(name)
	n, err := netlab.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close(); _ = netlab.Delete(name) })
	var f *os.File
	err = n.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		r, err := unix.NewIfreq("eth0")
		if err != nil {
			return err
		}
		r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := n.Address("eth0", addr); err != nil {
		t.Fatal(err)
	}
	if err := n.Up("eth0"); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	h.taps = append(h.taps, tap{f, vlan})
	h.mu.Unlock()
	go func() {
		b := make([]byte, 65536)
		for {
			size, err := f.Read(b)
			if err != nil {
				return
			}
			h.forward(tagged(b[:size], vlan), netip.AddrPort{}, f)
		}
	}()
}
