// Package dhcp serves addresses to guests: DHCPv4 (RFC 2131), DHCPv6 (RFC 8415) and router advertisements (RFC 4861),
// on the frames of guest ports and not on sockets, as a guest port belongs to a switch in this process. A port that
// was not bound is never answered, so a segment port cannot be by mistake. It says what a message means; who has which
// address is decided behind the interface Leases. Foreign recognises the answers of other servers.
package dhcp

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Client is who asks for an address.
type Client struct {
	// Key names the client within its subnet and stays the same as long as the client does: "mac:020000000001", or
	// "id:" and the client identifier in hexadecimal (RFC 4361), or "duid:", the DUID, "/" and the IAID for IPv6. An
	// identifier that only repeats the hardware address gives the mac form, so that a boot loader without one and
	// the system it loads are one client.
	Key  string
	MAC  drawbridge.MAC // may be forged as any of the rest; on a guest port it is the source of the frame
	Host string         // what the client calls itself: one DNS label in lower case, or empty; a wish, not a right
	Port string         // the guest port it was heard on
}

// Leases decides who has which address. Calls may wait, for a probe on the wire or for another peer; the context ends
// when the client has stopped waiting. Times are on the clock of the calls to Serve.
type Leases interface {
	// Allocate finds an address for the client and keeps it for at least the time hold: the one it has or had, else
	// the wanted one (zero: none), else any. It never shortens a lease that the client has.
	Allocate(ctx context.Context, subnet netip.Prefix, c Client, wanted netip.Addr, hold time.Duration) (addr netip.Addr, expiry time.Time, err error)
	// Renew confirms that the client has the address, and keeps it for the time lease, or less.
	Renew(ctx context.Context, subnet netip.Prefix, c Client, addr netip.Addr, lease time.Duration) (expiry time.Time, err error)
	// Release: the client does not need the address any more.
	Release(ctx context.Context, subnet netip.Prefix, c Client, addr netip.Addr) error
	// Decline: the client found the address in use by somebody else. It is foreign from now on.
	Decline(ctx context.Context, subnet netip.Prefix, c Client, addr netip.Addr) error
}

// What Leases answers; other errors count as ErrUnreachable, and the client is left to ask again.
var (
	// ErrUnknown: nobody has a record of that client with that address.
	ErrUnknown = errors.New("the client has no lease of that address")
	// ErrTaken: the address is another's, reserved or foreign. The client has to drop it.
	ErrTaken = errors.New("the address is another's")
	// ErrExhausted: there is no free address.
	ErrExhausted = errors.New("no address is free")
	// ErrUnreachable: who would know cannot be asked now. The client keeps its lease and asks again.
	ErrUnreachable = errors.New("the owner of the address cannot be reached")
)

// Outcome says what became of a message.
type Outcome uint8

// Outcomes are only ever appended. Those from firstRefusal on left the message without the answer it asked for.
const (
	Ignored    Outcome = iota // not for a server
	Offered                   // DHCPOFFER
	Acked                     // DHCPACK with an address
	Informed                  // DHCPACK or Reply without an address
	Released                  // RELEASE of either version
	Declined                  // DECLINE of either version
	Advertised                // DHCPv6 Advertise
	Replied                   // DHCPv6 Reply
	Router                    // router advertisement that was asked for
	Resolved                  // the server's own address was asked for by ARP or neighbour discovery

	Nacked        // DHCPNAK, NoBinding, NotOnLink or NoAddrsAvail
	Unbound       // came from a port that is not served
	Malformed     // cannot be read, or breaks a rule of its RFC
	BadChecksum   // of IPv4, UDP or ICMPv6
	Fragmented    // no client needs to
	Spoofed       // the client hardware address is not the frame's source
	Relayed       // came through a relay that is not allowed
	Limited       // too many messages from that client or port
	OtherServer   // meant for another server
	UnknownClient // no lease, and the subnet is not ours alone to say no
	OutsideSubnet // an address that is not of the subnet
	Exhausted     // no free address
	Unreachable   // the owner of the address could not be asked in time
	Unsupported   // a message type that servers do not answer
	QueueFull     // more messages at once than the server keeps
	outcomes
)

const firstRefusal = Nacked

var outcomeNames = [outcomes]string{
	"ignored", "offer", "ack", "inform", "release", "decline", "advertise", "reply", "router", "resolve",
	"nak", "unbound", "malformed", "checksum", "fragment", "spoofed", "relayed", "limited", "other-server",
	"unknown-client", "outside-subnet", "exhausted", "unreachable", "unsupported", "queue-full",
}

func (o Outcome) String() string { return outcomeNames[min(o, outcomes-1)] }

// Refused reports whether the message did not get the answer that it asked for.
func (o Outcome) Refused() bool { return o >= firstRefusal }

// outcomeOf is why a call to Leases gave no address.
func outcomeOf(err error) Outcome {
	switch {
	case errors.Is(err, ErrUnknown):
		return UnknownClient
	case errors.Is(err, ErrTaken):
		return Nacked
	case errors.Is(err, ErrExhausted):
		return Exhausted
	}
	return Unreachable
}
