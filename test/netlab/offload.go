package netlab

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offloads are what an interface leaves to the hardware, or in a lab to nobody: with all of them off, what crosses a
// wire looks as on a cable: no frame above the MTU, every checksum complete.
type Offloads struct {
	TX, RX, SG, TSO, GSO, GRO bool
	// UDP is segmentation of UDP (tx-udp-segmentation), which has no command of its own in ethtool.
	UDP bool
}

// AllOffloads is what a fresh veth has.
var AllOffloads = Offloads{TX: true, RX: true, SG: true, TSO: true, GSO: true, GRO: true, UDP: true}

// Commands of SIOCETHTOOL (linux/ethtool.h).
const (
	ethSetRX       = 0x15
	ethSetTX       = 0x17
	ethSetSG       = 0x19
	ethGetTSO      = 0x1e
	ethSetTSO      = 0x1f
	ethGetGSO      = 0x23
	ethSetGSO      = 0x24
	ethSetGRO      = 0x2c
	ethGetStrings  = 0x1b
	ethSSetInfo    = 0x37
	ethSetFeatures = 0x3b

	featureSet    = 4 // ETH_SS_FEATURES
	featureLength = 32
)

// Offload sets the offloads of an interface. The kernel switches some with others: without TX there is no TSO.
func (n *Namespace) Offload(name string, o Offloads) error {
	steps := []struct {
		command uint32
		on      bool
	}{{ethSetTX, o.TX}, {ethSetRX, o.RX}, {ethSetSG, o.SG}, {ethSetTSO, o.TSO}, {ethSetGSO, o.GSO}, {ethSetGRO, o.GRO}}
	for _, s := range steps {
		var on uint32
		if s.on {
			on = 1
		}
		if err := n.ethtool(name, binary.NativeEndian.AppendUint32(words(s.command), on)); err != nil {
			return err
		}
	}
	return n.feature(name, "tx-udp-segmentation", o.UDP)
}

// feature sets one by name; a kernel that has none of that name has nothing to switch.
func (n *Namespace) feature(name, feature string, on bool) error {
	strings, err := n.featureNames(name)
	if err != nil {
		return err
	}
	for bit, s := range strings {
		if s != feature {
			continue
		}
		blocks := (len(strings) + 31) / 32
		cmd := words(ethSetFeatures, uint32(blocks))
		for b := range blocks {
			var valid, requested uint32
			if b == bit/32 {
				valid = 1 << (bit % 32)
				if on {
					requested = valid
				}
			}
			cmd = append(cmd, words(valid, requested)...)
		}
		return n.ethtool(name, cmd)
	}
	return nil
}

func (n *Namespace) featureNames(name string) (names []string, err error) {
	info := words(ethSSetInfo, 0, 1<<featureSet, 0, 0) // command, reserved, 64-bit mask, one count
	if err := n.ethtool(name, info); err != nil {
		return nil, err
	}
	count := int(binary.NativeEndian.Uint32(info[16:]))
	b := append(words(ethGetStrings, featureSet, uint32(count)), make([]byte, count*featureLength)...)
	if err := n.ethtool(name, b); err != nil {
		return nil, err
	}
	for b = b[12:]; len(b) >= featureLength; b = b[featureLength:] {
		names = append(names, unix.ByteSliceToString(b[:featureLength]))
	}
	return names, nil
}

func words(w ...uint32) (b []byte) {
	for _, v := range w {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

// ethtoolRequest is struct ifreq with ifr_data (linux/if.h).
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ethtool runs one command, which may answer in place.
func (n *Namespace) ethtool(name string, cmd []byte) error {
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("ethtool %s:%s: %w", n.name, name, err)
		}
		defer unix.Close(fd)
		r := ethtoolRequest{data: unsafe.Pointer(&cmd[0])}
		copy(r.name[:unix.IFNAMSIZ-1], name)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
		runtime.KeepAlive(cmd)
		if errno != 0 {
			return fmt.Errorf("ethtool command %#x on %s:%s: %w", binary.NativeEndian.Uint32(cmd), n.name, name, errno)
		}
		return nil
	})
}

// Offloaded reports whether an interface may hand on frames above its MTU, as TCP segments still to be cut.
func (n *Namespace) Offloaded(name string) (tso, gso bool, err error) {
	for command, on := range map[uint32]*bool{ethGetTSO: &tso, ethGetGSO: &gso} {
		b := words(command, 0)
		if err := n.ethtool(name, b); err != nil {
			return false, false, err
		}
		*on = binary.NativeEndian.Uint32(b[4:]) != 0
	}
	return tso, gso, nil
}
