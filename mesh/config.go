package mesh

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// Profile says how far apart the peers are, and so how soon silence is suspicious.
type Profile uint8

// Profiles.
const (
	LAN Profile = iota
	WAN
)

const (
	// DefaultLinks is how many links a peer of a large network looks for. Ten make 100 peers three hops
	// wide, and their heartbeats cost 100 datagrams in a second.
	DefaultLinks = 10

	// DefaultMaxLinks bounds links that others ask for.
	DefaultMaxLinks = 256

	// DefaultPort is the port of control links (TCP) and of frames (UDP).
	DefaultPort = 6630
)

// Config is what a Router needs. Credentials, Plane and Listen or Join are required.
type Config struct {
	Credentials *secure.Credentials
	Tokens      *secure.Tokens // nil unless this peer can admit others

	Listen []string // TCP addresses, addr:port
	// Advertise are the addresses (addr:port) where others can call this peer. nil: the listening addresses
	// that say where they are, and those under which other peers see us without a NAT between. Empty but
	// not nil: this peer cannot be called.
	Advertise []string
	Join      []string // host:port of peers to keep a link to; looked up anew at every attempt

	Plane    Plane
	Profile  Profile
	Links    int // links to look for in a large network; 0: DefaultLinks
	MaxLinks int // links to allow; 0: DefaultMaxLinks

	Software string
	Features uint64

	Log *slog.Logger // nil: slog.Default
	// Event is for the operator's journal; nil: nobody listens. It is called from one goroutine, in order, and
	// may ask the router anything. Kinds: link, peer, member, join, forget, clone.
	Event func(kind string, peer drawbridge.PeerName, text string)

	// Dial and ListenFunc make the connections; nil: TCP of this host.
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error)
	ListenFunc func(network, addr string) (net.Listener, error)
}

func (c *Config) defaults() {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Links == 0 {
		c.Links = DefaultLinks
	}
	if c.MaxLinks == 0 {
		c.MaxLinks = DefaultMaxLinks
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{KeepAlive: -1}).DialContext // pings of our own tell sooner
	}
	if c.ListenFunc == nil {
		c.ListenFunc = net.Listen
	}
}

func addresses(what string, texts []string) (out []netip.AddrPort, err error) {
	for _, text := range texts {
		a, err := netip.ParseAddrPort(text)
		if err != nil || a.Addr().IsUnspecified() || a.Port() == 0 {
			return nil, fmt.Errorf("%s %q: want an address and a port that others can call, for example 192.0.2.1:%d", what, text, DefaultPort)
		}
		out = append(out, a)
	}
	return out, nil
}
