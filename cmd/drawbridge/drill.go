package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) drillCommand() *cobra.Command {
	var r web.DrillRequest
	var wait bool
	cmd := &cobra.Command{
		Use:   "drill SEGMENT",
		Short: "Rehearse a switchover there and back, and measure what it costs",
		Long: "Move a segment to another gateway and back while probe frames go through the gate both ways, and report how many were " +
			"lost, doubled or out of order. Reports are kept; drill list shows them.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeSegments,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.By = caller()
			return t.begin(cmd, wait, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				return c.Drill(ctx, args[0], r)
			})
		},
	}
	cmd.Flags().StringVar(&r.To, "to", "", "gateway to move it to and back from (default: the one that is ready soonest)")
	t.waitFlags(cmd, &wait)
	t.fail(cmd.RegisterFlagCompletionFunc("to", t.completePeers))
	cmd.AddCommand(t.drillsCommand())
	return cmd
}

func (t *tool) drillsCommand() *cobra.Command {
	return lists(t, &cobra.Command{Use: "list", Short: "Reports of rehearsals, the newest first"}, reading[[]web.DrillReport]{
		path: "drills", show: func(_ context.Context, _ *client.Client, p *page, all []web.DrillReport) error {
			tab := newTable("SEGMENT", ">WHEN", "BY", "OUTCOME")
			for _, d := range all {
				tab.row(as(strong, d.Segment), p.since(d.Time), d.By, verdict(&d))
			}
			p.add(tab, "no drills yet: drawbridge drill SEGMENT does one")
			return nil
		},
	}, choice{"segment", "only those of this segment"})
}

func verdict(d *web.DrillReport) cell {
	if d.OK {
		return as(good, d.Outcome)
	}
	if d.Skipped {
		return as(warn, "skipped: "+d.Outcome)
	}
	return as(bad, d.Outcome)
}

func showDrill(p *page, d *web.DrillReport) {
	tab := newTable("WAY", "PROBES", ">SENT", ">LOST", ">DOUBLED", ">OUT OF ORDER", ">LONGEST SILENCE")
	for _, l := range d.Legs {
		for _, b := range l.Probes {
			tab.row(l.From+" to "+l.To, b.Direction, b.Sent, b.Lost, b.Duplicated, b.Reordered, fmt.Sprintf("%.1f ms", float64(b.Silence)))
		}
	}
	p.WriteString("\n")
	p.add(tab, "nothing was measured: drawbridge events shows why it ended early")
}
