// Package afpacket is a port on an existing network interface, by a packet socket that takes and gives super-frames.
// It sees what arrives at the interface and nothing that leaves it, so a frame that it injected never comes back.
package afpacket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/forwarder/descriptor"
)

// Config says where a port is and what it takes.
type Config struct {
	// Interface is the name of an Ethernet interface. It may be down: reading says so until it is up.
	Interface string
	// VLAN 1 to 4094 confines the port to one 802.1Q VLAN: only frames with that tag are taken, without it, and given
	// frames get it, with priority 0. 0 takes and gives frames as they are, tagged or not.
	VLAN uint16
	// Promiscuous makes the interface receive every station's frames, which a switch port needs.
	Promiscuous bool
	// Mark is the SO_MARK of given frames; a gate at the interface's egress judges by it (see failover/gate).
	Mark uint32
	// Filter gets the socket before it can receive a frame, to attach a kernel gate that none slips past, and again when
	// Hush has put another filter in its place.
	Filter func(fd int) error
	// Leaving, if it is not 0, turns the port round, for a recording: it reads the frames with this mark that leave the
	// interface, after all that may drop them there, and nothing that arrives. It has no other filter.
	Leaving uint32
	// Batch is the number of frames per system call, 16 when 0: with super-frames of 64 KiB more is no faster.
	Batch int
	// Buffer is the size in bytes of each of the socket's two queues, 8 MiB when 0: about 10,000 small frames or 120
	// super-frames, some 10 ms of a 10 Gb/s wire.
	Buffer int
	// Plain does without virtio-net headers even if the kernel has them: super-frames are cut in software.
	Plain bool
}

const (
	defaultBatch  = 16
	defaultBuffer = 8 << 20
	maxVLAN       = 4094
)

// Port is an open port. One goroutine may read, another write, any may call the rest.
type Port struct {
	name    string
	vlan    uint16
	plain   bool
	filter  func(fd int) error // that it was opened with; nil: none
	index   int32              // of the interface; it keeps it through renaming
	mtu     atomic.Int32
	down    atomic.Bool // the last read found the interface down
	file    *descriptor.File
	rx      receiver
	tx      sender
	drops   [reasons]atomic.Uint64
	statsMu sync.Mutex
	missed  uint64 // the kernel's counter, which forgets when it is read
}

// Open makes the port. It needs CAP_NET_RAW, and CAP_NET_ADMIN for the mark and the buffers.
func Open(c Config) (*Port, error) {
	if c.VLAN > maxVLAN {
		return nil, fmt.Errorf("port %s: VLAN %d: want 1 to %d, or 0 for none", c.Interface, c.VLAN, maxVLAN)
	}
	p := &Port{name: c.Interface, vlan: c.VLAN, filter: c.Filter}
	if c.VLAN != 0 {
		p.name = fmt.Sprintf("%s.%d", c.Interface, c.VLAN)
	}
	// Protocol 0: nothing is received before bind, when the filter is in place.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("port %s: open a packet socket (needs CAP_NET_RAW): %w", p.name, err)
	}
	if err := p.prepare(fd, c); err != nil {
		return nil, errors.Join(fmt.Errorf("port %s: %w", p.name, err), unix.Close(fd))
	}
	if p.file, err = descriptor.New(fd); err != nil {
		return nil, fmt.Errorf("port %s: %w", p.name, err)
	}
	batch := c.Batch
	if batch <= 0 {
		batch = defaultBatch
	}
	p.rx.init(batch, !p.plain)
	p.tx.init(batch, !p.plain)
	p.tx.sendFinished = p.giveFinished
	return p, nil
}

// prepare sets every option in the order that lets no unwanted frame in, and binds.
func (p *Port) prepare(fd int, c Config) error {
	if err := p.identify(fd, c.Interface); err != nil {
		return err
	}
	p.plain = c.Plain || unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1) != nil
	if err := setOptions(fd, c); err != nil {
		return err
	}
	if c.Leaving != 0 {
		c.Filter = func(fd int) error { return attach(fd, leaving(c.Leaving)) }
	}
	if c.Filter != nil {
		if err := c.Filter(fd); err != nil {
			return fmt.Errorf("attach the filter: %w", err)
		}
	}
	if c.Promiscuous {
		all := unix.PacketMreq{Ifindex: p.index, Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &all); err != nil {
			return fmt.Errorf("receive every station's frames: %w", err)
		}
	}
	every := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: int(p.index)}); err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	return nil
}

// setOptions does not set PACKET_QDISC_BYPASS, which would skip a gate at the egress, and makes no transmit ring: its
// pages are shared with receivers that drivers such as veth no longer account for, which corrupts frames silently.
func setOptions(fd int, c Config) error {
	ignore := 1
	if c.Leaving != 0 {
		ignore = 0
	}
	buffer := c.Buffer
	if buffer <= 0 {
		buffer = defaultBuffer
	}
	for _, o := range []struct {
		what              string
		level, opt, value int
	}{
		{"learn stripped VLAN tags (PACKET_AUXDATA)", unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{"ignore frames that leave (PACKET_IGNORE_OUTGOING, Linux 4.20)", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, ignore},
		{"mark sent frames (needs CAP_NET_ADMIN)", unix.SOL_SOCKET, unix.SO_MARK, int(c.Mark)},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.what, err)
		}
	}
	size(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, buffer)
	size(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, buffer)
	return nil
}

// identify finds the interface and refuses one whose frames are not Ethernet's.
func (p *Port) identify(fd int, name string) error {
	r, err := unix.NewIfreq(name)
	if err != nil || name == "" {
		return fmt.Errorf("interface name %q: want 1 to 15 bytes", name)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return fmt.Errorf("there is no such interface: %w", err)
	}
	p.index = int32(r.Uint32())
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFMTU, r); err != nil {
		return fmt.Errorf("read the MTU: %w", err)
	}
	p.mtu.Store(int32(r.Uint32()))
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, r); err != nil {
		return fmt.Errorf("read the hardware type: %w", err)
	}
	if kind := r.Uint16(); kind != unix.ARPHRD_ETHER {
		return fmt.Errorf("its frames are not Ethernet's (hardware type %d); name another interface", kind)
	}
	return nil
}

// Name is the interface's name, with ".VLAN" behind it when the port is confined to one.
func (p *Port) Name() string { return p.name }

// Waiting reports whether a frame waits to be read.
func (p *Port) Waiting() bool { return p.file.Waiting() }

// Vnet reports whether super-frames and partial checksums pass as they are. If not, they are cut and completed in
// software, and every segment costs what a frame costs.
func (p *Port) Vnet() bool { return !p.plain }

// MTU asks the interface, in bytes behind the Ethernet header and one VLAN tag. Writing heeds the MTU of the latest
// call: whoever changes it calls this.
func (p *Port) MTU() int {
	if fd, ok := p.file.Enter(); ok {
		defer p.file.Leave()
		if r, err := nameOf(fd, p.index); err == nil && unix.IoctlIfreq(fd, unix.SIOCGIFMTU, r) == nil {
			p.mtu.Store(int32(r.Uint32()))
		}
	}
	return int(p.mtu.Load())
}

// nameOf prepares a question about the interface, by the name that it has now.
func nameOf(fd int, index int32) (*unix.Ifreq, error) {
	r, err := unix.NewIfreq("")
	if err != nil {
		return nil, err
	}
	r.SetUint32(uint32(index))
	return r, unix.IoctlIfreq(fd, unix.SIOCGIFNAME, r)
}

// Close ends the port; a blocked ReadBatch returns os.ErrClosed.
func (p *Port) Close() error { return p.file.Close() }

// fallen makes the reader find out what the writer has: the interface is down. The kernel tells only one of the two,
// and a reader that was not told would wait forever at an interface that is gone.
func (p *Port) fallen() {
	p.down.Store(true)
	p.file.Wake()
}

// revive ends the state that fallen began, or tells why it lasts: an error that wraps ENETDOWN while the interface is
// down, and ENODEV when it is gone for good.
func (p *Port) revive(fd int) error {
	err := p.state(fd)
	if err == nil {
		p.down.Store(false)
	}
	return err
}

func (p *Port) state(fd int) error {
	r, err := nameOf(fd, p.index)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r)
	}
	switch {
	case err != nil:
		return p.goneError()
	case r.Uint16()&unix.IFF_UP == 0:
		return fmt.Errorf("port %s: the interface is down; set it up: %w", p.name, unix.ENETDOWN)
	}
	return nil
}

func (p *Port) goneError() error {
	return fmt.Errorf("port %s: the interface is gone; open the port again: %w", p.name, unix.ENODEV)
}

// size asks for a queue of n bytes, and takes what the administrator's limit leaves (net.core.rmem_max, wmem_max)
// where the process has no rights over the whole machine, as in a user namespace.
func size(fd, force, plain, n int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, n)
	}
}
