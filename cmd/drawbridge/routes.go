package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) routesCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "routes",
		Short: "The way to every peer, and where floods go",
	}, reading[web.Routes]{path: "routes", show: showRoutes})
}

func showRoutes(_ context.Context, _ *client.Client, p *page, r web.Routes) error {
	tab := newTable("TO", "WAY", ">METRIC", ">MTU")
	for _, u := range r.Unicast {
		way := as(bad, "none")
		if u.Via != "" {
			way = as(plain, strings.Join(u.Hops, " > "))
		}
		tab.row(as(strong, u.Peer), way, milliseconds(u.Metric), number(u.MTU))
	}
	p.add(tab, "no other peers: drawbridge token create invites one")
	if len(r.Broadcast) > 0 {
		tab := newTable("FLOODS OF", "GO ON TO")
		for _, b := range r.Broadcast {
			tab.row(as(strong, b.Origin), list(b.Children))
		}
		fmt.Fprintln(p)
		p.add(tab, "")
	}
	if r.Flux {
		fmt.Fprintf(p, "\n%s\n", p.paint(warn, "the topology has just changed: floods take every link until it has settled"))
	}
	return nil
}
