package appliance

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/mesh"
)

// strayChannel is the name under which a peer tells another one that it hears a guest port of that one where it should not be. The port
// may not hear that itself, when the cable carries one way.
const strayChannel = "strays"

// tellStray hears, in ALONE's goroutine, of such a port.
func (n *Node) tellStray(s alone.Stray) {
	go func() { // it takes locks of the mesh, and ALONE must not wait; once a second for each neighbour
		if err := n.router.Send(s.Guest.Peer, strayChannel, s.Append(nil)); err != nil {
			n.log.Debug("a stray guest port was not told", "peer", s.Guest.Peer, "err", err)
		}
	}()
}

// strayNews is the channel on which others tell.
type strayNews struct{ node *Node }

var _ mesh.Channel = strayNews{}

// Receive has ALONE block the port, if it was there a moment ago.
func (c strayNews) Receive(from drawbridge.PeerID, msg []byte) {
	s, err := alone.ParseStray(from, c.node.creds.ID(), msg)
	if err != nil {
		c.node.log.Debug("word of a stray port was not understood", "peer", from, "err", err)
		return
	}
	c.node.alone.HeardElsewhere(s)
}

// State is empty: it is told again soon.
func (strayNews) State() []byte { return nil }

// Merge has nothing to do.
func (strayNews) Merge(drawbridge.PeerID, []byte) {}
