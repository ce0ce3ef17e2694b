package lab

import (
	"context"
	"fmt"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// natCommand is the hidden sub-command of `lab` that a router runs.
const natCommand = "nat"

// startRouters starts the translation of every router. A router cannot be killed by name: it is no node.
func (l *Lab) startRouters() error {
	for _, r := range l.plan.topo.Routers {
		if err := l.launch(r.Name, "lab", natCommand, "--inside", r.Inside.Masked().String(),
			"--outside", l.plan.translation(r.Name).String(), "--mapping", r.Mapping); err != nil {
			return fmt.Errorf("router %s: %w", r.Name, err)
		}
	}
	return nil
}

// translate is what a router's process does.
func translate(ctx context.Context, n *netlab.NAT, mapping string) error {
	switch mapping {
	case MappingIndependent:
		n.Mapping = netlab.Independent
	case MappingSymmetric:
		n.Mapping = netlab.Symmetric
	default:
		return fmt.Errorf("mapping %q is not one of %s, %s", mapping, MappingIndependent, MappingSymmetric)
	}
	return n.Serve(ctx, bridge, outsideInterface)
}
