package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) loopsCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "loops",
		Short: "Frames that come round: which, between which ports, how often, and since when",
		Long: "Frames that come round: which, between which ports, how often, and since when. They are heard where they cannot have\n" +
			"come from, as their station spoke elsewhere just before, and each copy is dropped. Kept for ten minutes.",
	}, reading[web.Loops]{path: "loops", show: showLoops})
}

func showLoops(_ context.Context, _ *client.Client, p *page, l web.Loops) error {
	if l.Circling {
		fmt.Fprintln(p, p.paint(bad, "frames go round")+": "+l.Remedy)
	} else {
		fmt.Fprintln(p, "no frames go round")
	}
	for _, b := range l.Blocked {
		fmt.Fprintf(p, "%s: %s; %s\n", b.Port, p.paint(bad, b.Summary), b.Remedy)
	}
	tab := newTable("SOURCE", "DESTINATION", "TYPE", "COMES IN AT", "SPEAKS AT", ">COPIES", ">A SECOND", ">FOR", ">LAST")
	for _, c := range l.Circles {
		state := plain
		if c.Circling {
			state = bad
		}
		tab.row(as(strong, c.Source), as(plain, c.Destination), as(plain, c.Type), as(state, c.Heard.String()), as(plain, c.Known.String()),
			fmt.Sprint(c.Count), fmt.Sprintf("%.1f", c.PerSecond), p.since(c.Since), p.since(c.Last))
	}
	fmt.Fprintln(p)
	p.add(tab, "nothing came round within the last ten minutes")
	if l.Missed > 0 {
		fmt.Fprintf(p, "\n%d more frames came round since the start than could be looked at.\n", l.Missed)
	}
	return nil
}
