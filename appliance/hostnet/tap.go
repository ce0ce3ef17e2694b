package hostnet

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
)

// TAP says which device OpenTAP makes.
type TAP struct {
	Name   string         // may hold one %d for the kernel to number; at most 15 bytes
	Queues int            // files to open, each with a queue of its own; 0: 1
	Vnet   bool           // a virtio-net header (10 bytes) before every frame
	MAC    drawbridge.MAC // of the host's side; zero: the kernel draws one
	MTU    int            // bytes; 0: the kernel's 1500
	Bridge string         // bridge to make it a port of; empty: none
}

// OpenTAP makes a TAP device that lasts until its files are closed, switches it on, and returns one non-blocking file
// for each queue.
func OpenTAP(t TAP) (_ []*os.File, _ Interface, err error) {
	var files []*os.File
	defer func() {
		if err != nil {
			closeAll(files)
			err = fmt.Errorf("tap %s: %w", t.Name, err)
		}
	}()
	name := t.Name
	for range max(t.Queues, 1) {
		f, got, err := t.open(name)
		if err != nil {
			return nil, Interface{}, err
		}
		files, name = append(files, f), got
	}
	if err := t.prepare(name); err != nil {
		return nil, Interface{}, err
	}
	i, err := Find(name)
	return files, i, err
}

// open attaches one more queue to the device of that name, which the first call makes.
func (t TAP) open(name string) (*os.File, string, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, "", fmt.Errorf("a name has 1 to %d bytes: %w", unix.IFNAMSIZ-1, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open /dev/net/tun (is the tun module there?): %w", err)
	}
	request.SetUint16(t.flags())
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, "", errors.Join(attachError(err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "tap "+request.Name()), request.Name(), nil
}

func (t TAP) flags() uint16 {
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if t.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if t.Vnet {
		flags |= unix.IFF_VNET_HDR
	}
	return flags
}

func attachError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (needs CAP_NET_ADMIN)", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w (another process has it open)", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w (an interface of that name exists and is of another kind)", err)
	}
	return err
}

func (t TAP) prepare(name string) error {
	if t.MAC != (drawbridge.MAC{}) {
		if err := set(name, "set address "+t.MAC.String(), func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, t.MAC[:]) }); err != nil {
			return err
		}
	}
	if t.MTU != 0 {
		if err := SetMTU(name, t.MTU); err != nil {
			return err
		}
	}
	if t.Bridge != "" {
		if err := Enslave(name, t.Bridge); err != nil {
			return err
		}
	}
	return SetUp(name)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // the device goes with its last file
	}
}
