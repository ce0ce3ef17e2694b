package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) operationsCommand() *cobra.Command {
	return lists(t, &cobra.Command{Use: "operations", Short: "What was asked for and takes its time: how far it is, and what came of it"},
		reading[[]web.Operation]{path: "operations", show: showOperations},
		choice{"kind", "only those of this kind: switchover, maintenance, drill, flush, update or install"}, choice{"state", "only those in this state: running, done, failed or refused"},
		choice{"peer", "only those about this peer"}, choice{"segment", "only those about this segment"})
}

func showOperations(_ context.Context, _ *client.Client, p *page, all []web.Operation) error {
	tab := newTable("OPERATION", "ABOUT", ">BEGAN", "BY", "STATE", "OUTCOME")
	styles := map[string]style{web.OperationRunning: warn, web.OperationDone: good, web.OperationFailed: bad, web.OperationRefused: bad}
	for _, o := range all {
		kind := o.Kind
		if o.DryRun {
			kind += ", checks only"
		}
		tab.row(as(strong, kind), cmp.Or(o.Segment, o.Peer, o.To), p.since(o.Started)+" ago", o.By, as(styles[o.State], o.State), cmp.Or(o.Outcome, stepOf(&o)))
	}
	p.add(tab, "nothing was asked for since this peer's daemon started: drawbridge switchover SEGMENT --dry-run does no harm")
	return nil
}

// stepOf is how far an operation is that has no outcome yet.
func stepOf(o *web.Operation) string {
	if g := o.Progress; g != nil && g.Total > 0 {
		return fmt.Sprintf("%s %d %%", g.Step, g.Done*100/g.Total)
	}
	if n := len(o.Steps); n > 0 {
		return o.Steps[n-1].Text
	}
	return ""
}
