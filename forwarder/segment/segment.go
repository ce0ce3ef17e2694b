// Package segment does in software what a network card may be asked to do: finish partial checksums and cut
// super-frames into frames that fit a wire. Ports need it when the device behind them takes only finished frames,
// and whoever shows a frame to something without virtio-net headers (a file, an old driver) needs it too.
package segment

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drawbridge-net/drawbridge"
)

// ErrOffload is the condition behind every packet whose Offload does not fit its frame.
var ErrOffload = errors.New("the offload does not describe the frame")

// ErrTunnel is the case of ErrOffload in which the frame is right, but its segmentation is that of a tunnel inside,
// which no virtio-net header says. Split can cut it.
var ErrTunnel = fmt.Errorf("segmentation inside a tunnel: %w", ErrOffload)

// VnetLen is the length of the legacy virtio-net header (OASIS virtio 1.2 §5.1.6, without num_buffers), the one
// that packet sockets and TAP devices use unless told otherwise.
const VnetLen = 10

// PutVnet writes o as a virtio-net header in the machine's byte order, which is what the kernel's legacy interface
// takes. b has room for VnetLen bytes.
func PutVnet(b []byte, o drawbridge.Offload) {
	_ = b[VnetLen-1]
	b[0], b[1] = o.Flags, o.GSO
	binary.NativeEndian.PutUint16(b[2:], o.HeaderLen)
	binary.NativeEndian.PutUint16(b[4:], o.SegmentSize)
	binary.NativeEndian.PutUint16(b[6:], o.ChecksumStart)
	binary.NativeEndian.PutUint16(b[8:], o.ChecksumOffset)
}

// Vnet reads the header that PutVnet writes. The kernel's hints need Settle before anybody relies on them.
func Vnet(b []byte) drawbridge.Offload {
	_ = b[VnetLen-1]
	return drawbridge.Offload{
		Flags: b[0], GSO: b[1],
		HeaderLen:      binary.NativeEndian.Uint16(b[2:]),
		SegmentSize:    binary.NativeEndian.Uint16(b[4:]),
		ChecksumStart:  binary.NativeEndian.Uint16(b[6:]),
		ChecksumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

// Settle makes p's Offload mean exactly what drawbridge.Offload says, or refuses p. Kernels are looser: the header
// length is only a hint about their memory (linux/virtio_net.h), flags beside NeedsChecksum say how the frame was
// received, a super-frame may come without a partial checksum, and one that is tunnelled (VXLAN, GRE) looks like
// plain TCP although cutting it would need the outer headers changed too. A packet from another peer deserves the
// same test before a port gets it.
func Settle(p *drawbridge.Packet) error {
	o := &p.Offload
	o.Flags &= drawbridge.NeedsChecksum
	if o.GSO != drawbridge.GSONone {
		return settleSuper(p)
	}
	if o.Flags == 0 {
		*o = drawbridge.Offload{}
		return nil
	}
	o.HeaderLen, o.SegmentSize = 0, 0
	return fits(p)
}

// fits reports whether the place of p's partial checksum lies inside its frame.
func fits(p *drawbridge.Packet) error {
	start, at := int(p.Offload.ChecksumStart), int(p.Offload.ChecksumStart)+int(p.Offload.ChecksumOffset)
	if start < drawbridge.MinFrame || at+2 > len(p.Frame) {
		return fmt.Errorf("checksum of bytes from %d goes to %d of %d: %w", start, at, len(p.Frame), ErrOffload)
	}
	return nil
}

func settleSuper(p *drawbridge.Packet) error {
	o := &p.Offload
	l, err := superLayout(p)
	if err != nil {
		return err
	}
	field := drawbridge.Offload{
		Flags: drawbridge.NeedsChecksum, GSO: o.GSO, SegmentSize: o.SegmentSize,
		HeaderLen: uint16(l.Payload), ChecksumStart: uint16(l.Transport), ChecksumOffset: l.checksumOffset(),
	}
	if o.Flags == 0 { // somebody summed the whole super-frame; no segment can use that
		l.putChecksum(p.Frame, drawbridge.FoldSum(l.pseudo(p.Frame, len(p.Frame)-l.Transport)))
	}
	*o = field
	return nil
}

// superLayout parses a super-frame and insists that its headers are those which its GSO type promises.
func superLayout(p *drawbridge.Packet) (Layout, error) {
	l, o := Parse(p.Frame), p.Offload
	want, err := promised(o, l.IPv6)
	if err != nil {
		return l, err
	}
	if _, ok := tunnelled(p, l); ok {
		return l, ErrTunnel
	}
	switch {
	case l.Payload == 0 || l.Protocol != want.Protocol || l.IPv6 != want.IPv6:
		return l, fmt.Errorf("segmentation type %d on protocol %d: %w", o.GSO, l.Protocol, ErrOffload)
	case o.Flags != 0 && (int(o.ChecksumStart) != l.Transport || o.ChecksumOffset != l.checksumOffset()):
		return l, fmt.Errorf("checksum at %d of protocol %d: %w", o.ChecksumStart, l.Protocol, ErrOffload)
	case o.SegmentSize == 0:
		return l, fmt.Errorf("segments of no size: %w", ErrOffload)
	}
	return l, nil
}

// promised is the protocol of a GSO type; UDP's is over either IP.
func promised(o drawbridge.Offload, v6 bool) (Layout, error) {
	switch o.GSO &^ drawbridge.GSOECN {
	case drawbridge.GSOTCPv4:
		return Layout{Protocol: protoTCP}, nil
	case drawbridge.GSOTCPv6:
		return Layout{Protocol: protoTCP, IPv6: true}, nil
	case drawbridge.GSOUDP:
		return Layout{Protocol: protoUDP, IPv6: v6}, nil
	}
	return Layout{}, fmt.Errorf("segmentation type %d: %w", o.GSO, ErrOffload)
}

// Owed is the Offload of a frame of which only is known that its checksum is partial, as from an interface without
// virtio-net headers: a TCP stream that is longer than the MTU is a super-frame. Settle refuses the result when the
// frame is something else that is not finished.
func Owed(f drawbridge.Frame, mtu int) drawbridge.Offload {
	l := Parse(f)
	o := drawbridge.Offload{
		Flags: drawbridge.NeedsChecksum, HeaderLen: uint16(l.Payload),
		ChecksumStart: uint16(l.Transport), ChecksumOffset: l.checksumOffset(),
	}
	if l.Payload == 0 || len(f)-l.Network <= mtu {
		return o
	}
	o.GSO, o.SegmentSize = drawbridge.GSOTCPv4, uint16(max(0, mtu-(l.Payload-l.Network)))
	if l.IPv6 {
		o.GSO = drawbridge.GSOTCPv6
	}
	return o
}
