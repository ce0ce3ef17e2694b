package appliance

import (
	"sync"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// companion is the kernel engine of an overlay beside the switch: its table knows of each address where it spoke last, to whichever of the
// two, so that neither takes an echo of what the other has written for the station itself.
type companion struct {
	// Set at construction, then constant.
	path *kernelPath

	said sync.Once // that it fails

	mu     sync.RWMutex   // guards what follows
	kernel *kernel.Engine // nil: it has ended
	ports  map[*forwarder.Attached]kernel.Place
	shorts map[drawbridge.PeerID]kernel.Short
}

// know has it know ports and peers by their numbers.
func (c *companion) know(here map[int]*forwarder.Attached, d engine.Decisions) {
	ports, shorts := map[*forwarder.Attached]kernel.Place{}, map[drawbridge.PeerID]kernel.Short{}
	for _, a := range d.Attachments {
		if a.Segment == 0 {
			shorts[a.Peer] = a.Short
		}
	}
	for ifindex, a := range here {
		ports[a] = kernel.Place{Origin: shorts[c.path.node.creds.ID()], Port: ifindex}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ports, c.shorts = ports, shorts
}

// end returns when nobody asks the kernel any more.
func (c *companion) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kernel = nil
}

// Spoke implements forwarder.Companion.
func (c *companion) Spoke(m drawbridge.MAC, at forwarder.Spot) (echo bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.kernel == nil {
		return false
	}
	place := kernel.Place{Origin: c.shorts[at.Peer], Segment: at.Segment}
	if at.Port != nil {
		var served bool
		if place, served = c.ports[at.Port]; !served { // the kernel will be told a sixteenth of a second after it serves the port
			return false
		}
	}
	echo, err := c.kernel.Spoke(m, place)
	if err != nil {
		c.said.Do(func() {
			c.path.node.log.Error("the engines do not know of each other's echoes", "vni", c.path.vni, "err", err)
		})
	}
	return echo
}

var _ forwarder.Companion = (*companion)(nil)
