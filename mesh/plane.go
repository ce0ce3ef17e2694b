package mesh

import (
	"net/netip"

	"github.com/drawbridge-net/drawbridge/mesh/transit"
)

// Plane is the data plane that the router steers: it carries frames over the links that it is given, along
// the routes that it is given.
type Plane interface {
	// AddLink begins a data link beside a control link. It does not wait for the far end.
	AddLink(transit.LinkConfig) DataLink
	// SetRoutes replaces the routes. They are not changed afterwards.
	SetRoutes(*transit.Routes)
	// Addrs are the UDP addresses that the plane listens on.
	Addrs() []netip.AddrPort
}

// DataLink is one link of a Plane.
type DataLink interface {
	// HandleControl takes what the far end's data link sent through LinkConfig.Control. msg is valid until
	// it returns.
	HandleControl(msg []byte)
	State() transit.LinkState
	Close()
}
