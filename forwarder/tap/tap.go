// Package tap is a port that makes its own interface: a TAP device, which machines, containers or a bridge of the
// host can be attached to. Super-frames and partial checksums pass whole in both directions.
package tap

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/forwarder/descriptor"
	"github.com/drawbridge-net/drawbridge/forwarder/segment"
)

// Config says which device to make.
type Config struct {
	// Name of the interface; one "%d" in it becomes the first free number.
	Name string
	// Queues is how many goroutines can read at once, 1 when 0. The kernel keeps a flow on the queue that last gave
	// one of its frames, and spreads the others by hash (linux/drivers/net/tun.c, tun_automq_select_queue).
	Queues int
	// MTU of the interface in bytes; 0 leaves the kernel's 1500.
	MTU int
	// Batch is the number of frames that one ReadBatch gathers at most, 16 when 0.
	Batch int
}

const defaultBatch = 16

// Device is a TAP device. It is a port itself, by its first queue; with more, each has a reader of its own. The
// interface starts down and disappears when the device is closed or the process ends.
type Device struct {
	*Queue
	queues  []*Queue
	control *descriptor.File // a socket for questions about the interface, in the namespace where it was made
	mtu     atomic.Int32
	uso     bool
	closed  atomic.Bool
}

// Open makes the device. It needs CAP_NET_ADMIN.
func Open(c Config) (*Device, error) {
	d := new(Device)
	for range max(1, c.Queues) {
		q, err := d.attach(&c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("TAP device %q: %w", c.Name, err), d.Close())
		}
		d.queues = append(d.queues, q)
	}
	d.Queue = d.queues[0]
	if err := d.ask(c.MTU); err != nil {
		return nil, errors.Join(fmt.Errorf("TAP device %q: %w", c.Name, err), d.Close())
	}
	return d, nil
}

// attach makes the device, or another queue of it. The first decides the name for all.
func (d *Device) attach(c *Config) (*Queue, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun (needs the tun module): %w", err)
	}
	name, err := d.become(fd, c)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	c.Name = name
	return newQueue(fd, name, c.Batch, &d.mtu)
}

func (d *Device) become(fd int, c *Config) (string, error) {
	r, err := unix.NewIfreq(c.Name)
	if err != nil {
		return "", fmt.Errorf("interface name %q: want at most 15 bytes", c.Name)
	}
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if c.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	r.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
		return "", fmt.Errorf("make the interface (needs CAP_NET_ADMIN, and no other program on that name): %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, segment.VnetLen); err != nil {
		return "", fmt.Errorf("size the virtio-net header: %w", err)
	}
	return r.Name(), d.offer(fd)
}

// offer tells the kernel that the reader takes super-frames and partial checksums. UDP segmentation needs Linux 6.2;
// tunnelled super-frames are not asked for, so the kernel cuts those itself.
func (d *Device) offer(fd int) error {
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	d.uso = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil
	if d.uso {
		return nil
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp); err != nil {
		return fmt.Errorf("take super-frames: %w", err)
	}
	return nil
}

// ask makes the socket for questions and sets the MTU unless it is 0.
func (d *Device) ask(mtu int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	r, _ := unix.NewIfreq(d.name) // the kernel gave the name
	r.SetUint32(uint32(mtu))
	if mtu != 0 {
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, r); err != nil {
			return errors.Join(fmt.Errorf("set MTU %d: %w", mtu, err), unix.Close(fd))
		}
	}
	if d.control, err = descriptor.New(fd); err != nil {
		return err
	}
	d.MTU()
	return nil
}

// MTU asks the interface, in bytes behind the Ethernet header and one VLAN tag. Writing heeds the MTU of the latest
// call: whoever changes it calls this.
func (d *Device) MTU() int {
	if fd, ok := d.control.Enter(); ok {
		defer d.control.Leave()
		if r, err := unix.NewIfreq(d.name); err == nil && unix.IoctlIfreq(fd, unix.SIOCGIFMTU, r) == nil {
			d.mtu.Store(int32(r.Uint32()))
		}
	}
	return int(d.mtu.Load())
}

// Queues are the device's queues, each with a reader and a writer of its own.
func (d *Device) Queues() []*Queue { return d.queues }

// DatagramSegmentation reports whether the kernel gives UDP super-frames too.
func (d *Device) DatagramSegmentation() bool { return d.uso }

// Drops counts frames that were lost at any queue, by reason.
func (d *Device) Drops() map[string]uint64 {
	total := map[string]uint64{}
	for _, q := range d.queues {
		for reason, n := range q.Drops() {
			total[reason] += n
		}
	}
	return total
}

// Close ends the device and its interface; blocked ReadBatches return os.ErrClosed.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return os.ErrClosed
	}
	var errs []error
	for _, q := range d.queues {
		if err := q.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if d.control != nil {
		errs = append(errs, d.control.Close())
	}
	return errors.Join(errs...)
}
