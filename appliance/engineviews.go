package appliance

import (
	"fmt"
	"strings"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/engine"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// enginesOf says who carries the overlays that the kernel is to carry. The peer as a whole is in the kernel when it carries
// all overlays that have a port here.
func (n *Node) enginesOf(d *web.DataPath) {
	d.Overlays = []web.OverlayPath{}
	carried := map[drawbridge.VNI]bool{}
	for _, p := range n.engines.all() {
		o := p.overlay()
		w := p.told(&o)
		w.Peers = p.perPeer(&w)
		if !o.InKernel() && w.Engine == web.EngineUser {
			continue
		}
		d.Overlays = append(d.Overlays, w)
		carried[p.vni] = w.Engine == web.EngineKernel
		switch w.Engine {
		case web.EngineKernel:
			d.Notes = append(d.Notes, fmt.Sprintf("overlay %s: in the kernel, %s", w.Overlay, p.encryption()))
		case web.EngineMixed:
			d.Notes = append(d.Notes, fmt.Sprintf("overlay %s: %s", w.Overlay, mixture(w.Peers, p.encryption())))
		case web.EngineNone:
			d.Notes = append(d.Notes, fmt.Sprintf("overlay %s: changing the engine", w.Overlay))
		default:
			d.Notes = append(d.Notes, fmt.Sprintf("overlay %s: in user space: %s", w.Overlay, w.Reason))
		}
	}
	if len(n.ports) == 0 {
		return
	}
	for _, p := range n.ports {
		if !carried[p.vni()] {
			return
		}
	}
	d.Engine = web.EngineKernel
}

// perPeer says what takes in what is for one station at each other peer that is reached.
func (p *kernelPath) perPeer(w *web.OverlayPath) []web.PeerEngine {
	p.mu.Lock()
	ways, some := p.ways, p.reached == engine.Some
	p.mu.Unlock()
	all := []web.PeerEngine{}
	for _, o := range p.node.router.Peers() {
		if o.State != mesh.StateDirect && o.State != mesh.StateRelayed {
			continue
		}
		e := web.PeerEngine{Peer: string(o.Name), Engine: web.EngineKernel}
		if w.Engine != web.EngineKernel {
			e.Reason = w.Reason
			if why, known := ways[o.ID]; known && (some || why != "") {
				e.Reason = why
			}
		}
		if e.Reason != "" || w.Engine == web.EngineNone {
			e.Engine = web.EngineUser
		}
		all = append(all, e)
	}
	return all
}

// mixture says to which peers the kernel carries frames, and why not to the others.
func mixture(all []web.PeerEngine, encryption string) string {
	var kernel, user []string
	for _, e := range all {
		if e.Engine == web.EngineKernel {
			kernel = append(kernel, e.Peer)
		} else {
			user = append(user, fmt.Sprintf("to %s (%s)", e.Peer, e.Reason))
		}
	}
	text := "in the kernel to nobody"
	if len(kernel) > 0 {
		text = fmt.Sprintf("in the kernel to %s, %s", strings.Join(kernel, ", "), encryption)
	}
	if len(user) > 0 {
		text += ", in user space " + strings.Join(user, ", ")
	}
	return text
}

// encryption is what becomes of the frames while the kernel carries them.
func (p *kernelPath) encryption() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.protected {
		return "encrypted by WireGuard"
	}
	return "not encrypted"
}

// overlay is what the configuration says of it.
func (p *kernelPath) overlay() netconfig.Overlay {
	for _, o := range p.node.network.inForce().Overlays {
		if o.VNI == p.vni {
			return o
		}
	}
	return netconfig.Overlay{Name: fmt.Sprint(uint32(p.vni)), VNI: p.vni, Engine: netconfig.EngineUser}
}

func (p *kernelPath) told(o *netconfig.Overlay) web.OverlayPath {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := web.OverlayPath{
		Overlay: o.Name, VNI: uint32(p.vni), Wanted: o.Engine, Reason: p.reason,
		Engine: map[engine.Phase]string{engine.User: web.EngineUser, engine.Both: web.EngineUser, engine.Kernel: web.EngineKernel, engine.Some: web.EngineMixed}[p.reached],
	}
	if p.silent {
		w.Engine = web.EngineNone
	}
	if w.Engine != web.EngineKernel && w.Reason == "" {
		w.Reason = "the peers are about to change"
	}
	return w
}

// engineProblems are overlays that somebody wants in the kernel and user space carries for a reason.
func (n *Node) engineProblems() (all []web.Problem) {
	for _, p := range n.engines.all() {
		o := p.overlay()
		w := p.told(&o)
		p.mu.Lock()
		why := p.reason
		p.mu.Unlock()
		if o.Engine != netconfig.EngineKernel || why == "" || w.Engine == web.EngineKernel {
			continue
		}
		what := "user space carries overlay %s, not the kernel: %s"
		if w.Engine == web.EngineMixed {
			what = "user space carries a part of overlay %s, not the kernel: %s"
		}
		all = append(all, web.Problem{
			Summary: fmt.Sprintf(what, o.Name, why),
			Remedy:  "end the reason, or say engine = \"auto\" if it does not matter",
		})
	}
	return all
}
