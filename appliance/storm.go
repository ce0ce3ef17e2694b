package appliance

import (
	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
)

// limitStorms tells the switch how much a port of each overlay may flood. An overlay that the configuration does not have
// goes by the default.
func (n *Node) limitStorms(d netconfig.Document) {
	limits := map[drawbridge.VNI]int{}
	for _, p := range n.ports {
		limits[p.vni()] = 0
	}
	for _, o := range d.Overlays {
		limits[o.VNI] = o.Storm
	}
	for vni, limit := range limits {
		n.sw.SetStormLimit(vni, limit)
	}
}
