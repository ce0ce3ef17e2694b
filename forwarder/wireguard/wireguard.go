// Package wireguard protects what kernels of different peers send each other: one WireGuard device, keyed by nobody but this
// process, with one inner address for each peer (docs/adr/0022). The kernel engine's tunnel goes to inner addresses, so its frames leave
// the host encrypted, and an inner source is as authentic as the peer's key.
//
// What to configure is worked out by Make, and who said which key by Card, both pure; Device does it.
package wireguard

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/drawbridge-net/drawbridge"
)

// ErrNotSupported says that this kernel has no WireGuard.
var ErrNotSupported = errors.New("no wireguard in this kernel")

// Port is the UDP port of the device. It is no setting: the device belongs to the host as the tunnels do, which begin at 6640.
const Port = 6632

// Key is a Curve25519 key (RFC 7748), public unless a name says otherwise.
type Key = wgtypes.Key

// Inner is the address of a peer behind the device: link-local (RFC 4291 §2.5.6), with the peer's id as the interface id. Link-local, because the
// kernel takes a packet to such an address from no other interface than the one that has it, and forwards none.
func Inner(id drawbridge.PeerID) netip.Addr {
	a := [16]byte{0: 0xfe, 1: 0x80}
	binary.BigEndian.PutUint32(a[12:], uint32(id))
	return netip.AddrFrom16(a)
}
