package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) segmentsCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "segments",
		Short: "Who bridges which segment, since when, and why; the same on every peer",
	}, reading[[]web.Segment]{path: "segments", show: showSegments})
}

func showSegments(_ context.Context, _ *client.Client, p *page, segments []web.Segment) error {
	tab := newTable("SEGMENT", "OVERLAY", "ACTIVE", ">SINCE", "WHY", ">EPOCH", "GATEWAYS")
	for _, s := range segments {
		active := as(bad, "nobody")
		if s.Active != nil {
			active = as(good, *s.Active)
		}
		tab.row(as(strong, s.Name), s.Overlay, active, p.since(s.Since), s.Cause, s.Epoch, p.gateways(s.Gateways))
	}
	p.add(tab, "no segments: no peer has a [[segment]] in its node file")
	return nil
}

// gateways says of each what it is good for.
func (p *page) gateways(all []web.Gateway) cell {
	var parts []string
	worst := plain
	for _, g := range all {
		part := g.Peer
		switch {
		case g.Gate == web.GateOpen:
			part += " open"
		case g.Ready:
			part += " ready"
		default:
			part += " not ready"
			worst = warn
		}
		if len(g.Reasons) > 0 {
			part += " (" + strings.Join(g.Reasons, "; ") + ")"
		}
		parts = append(parts, part)
	}
	return as(worst, list(parts))
}
