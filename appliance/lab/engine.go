package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// kernelLimit bounds the change to the kernel engine: all nodes must speak, and have been steady for five seconds.
const kernelLimit = 60 * time.Second

// EngineWireGuard is the kernel engine on an underlay that the nodes protect by WireGuard.
const EngineWireGuard = "wireguard"

// checkEngine refuses what no lab knows.
func checkEngine(name string) error {
	if !slices.Contains([]string{"", web.EngineUser, web.EngineKernel, EngineWireGuard}, name) {
		return fmt.Errorf("engine %q: want user, kernel or wireguard", name)
	}
	return nil
}

// EnterKernel configures the network so that the kernel carries all overlays, and waits until it does.
func (l *Lab) EnterKernel(ctx context.Context) error {
	return l.changeEngine(ctx, web.EngineKernel, netconfig.UnderlayTrusted)
}

// EnterWireGuard is EnterKernel, with an underlay that the nodes protect.
func (l *Lab) EnterWireGuard(ctx context.Context) error {
	return l.changeEngine(ctx, web.EngineKernel, netconfig.UnderlayWireGuard)
}

// LeaveKernel has user space carry them again.
func (l *Lab) LeaveKernel(ctx context.Context) error {
	return l.changeEngine(ctx, web.EngineUser, netconfig.UnderlayTrusted)
}

func (l *Lab) changeEngine(ctx context.Context, to, underlay string) error {
	founder := l.plan.topo.founder().Name
	file := filepath.Join(labDir(l.Name), "network.toml")
	if err := os.WriteFile(file, []byte(l.plan.engineConfig(to, underlay)), 0o644); err != nil {
		return err
	}
	if err := l.runIn(founder, "config", "apply", "--socket", l.dirOf(founder).socket(), file); err != nil {
		return err
	}
	late := ""
	err := until(kernelLimit, func() (bool, error) {
		late = l.notChanged(ctx, to)
		return late == "", ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", late, err)
	}
	return nil
}

// engineConfig is the network configuration that has an engine carry all overlays.
func (p *plan) engineConfig(engine, underlay string) string {
	var b strings.Builder
	seen := map[drawbridge.VNI]bool{}
	overlay := func(vni drawbridge.VNI) {
		if !seen[vni] {
			fmt.Fprintf(&b, "[[overlay]]\nname = \"overlay%d\"\nvni = %d\nengine = %q\nunderlay = %q\nforeign_dhcp = true\n\n", vni, vni, engine, underlay)
		}
		seen[vni] = true
	}
	segments := map[string]bool{}
	for _, n := range p.topo.Nodes {
		for _, h := range p.stationsAt(n.Name) {
			overlay(h.VNI)
		}
		for _, s := range n.Segments {
			if overlay(s.VNI); !segments[s.Name] {
				fmt.Fprintf(&b, "[[segment]]\nname = %q\noverlay = \"overlay%d\"\n\n", s.Name, s.VNI)
			}
			segments[s.Name] = true
		}
	}
	return b.String()
}

// notChanged says which node's overlay another engine carries; "": none.
func (l *Lab) notChanged(ctx context.Context, engine string) string {
	for _, n := range l.plan.topo.Nodes {
		s, err := client.New(l.dirOf(n.Name).socket()).Status(ctx)
		if err != nil {
			return fmt.Sprintf("%s: %v", n.Name, err)
		}
		if len(s.DataPath.Overlays) == 0 && engine == web.EngineKernel {
			return n.Name + " has not heard of it"
		}
		for _, o := range s.DataPath.Overlays {
			if o.Engine != engine {
				return fmt.Sprintf("%s: overlay %s: %s", n.Name, o.Overlay, o.Reason)
			}
		}
	}
	return ""
}
