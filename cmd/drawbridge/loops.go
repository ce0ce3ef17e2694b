package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) loopsCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "loops",
		Short: "Frames that come round: which, between which ports, how often, and since when",
		Long: "As this peer and all others hear. They are heard where they cannot have come from, as their station spoke elsewhere just before, and each copy is\n" +
			"dropped. Kept for ten minutes. What others hear they tell every 5 s (every 30 s when it is nothing).",
	}, reading[web.Loops]{path: "loops", show: showLoops})
}

func showLoops(_ context.Context, _ *client.Client, p *page, l web.Loops) error {
	switch {
	case l.Circling:
		fmt.Fprintln(p, p.paint(bad, "frames go round")+": "+l.Remedy)
	case l.Remedy != "":
		fmt.Fprintln(p, p.paint(bad, "frames go round elsewhere in the network")+": "+l.Remedy)
	default:
		fmt.Fprintln(p, "no frames go round as this peer hears")
	}
	for _, b := range l.Blocked {
		fmt.Fprintf(p, "%s: %s; %s\n", b.Port, p.paint(bad, b.Summary), b.Remedy)
	}
	tab := newTable("HEARD BY", "SOURCE", "DESTINATION", "TYPE", "COMES IN AT", "SPEAKS AT", ">COPIES", ">A SECOND", ">FOR", ">LAST")
	p.circles(tab, "this peer", l.Circles)
	for _, e := range l.Elsewhere {
		p.circles(tab, e.Peer, goingRound(e.Circles))
	}
	fmt.Fprintln(p)
	p.add(tab, "nothing came round here within the last ten minutes, and no loop is told of")
	fmt.Fprintln(p)
	p.tellers(l.Elsewhere)
	if l.Missed > 0 {
		fmt.Fprintf(p, "%s came round here since the start than could be looked at.\n", drawbridge.Counted(l.Missed, "more frame"))
	}
	return nil
}

func (p *page) circles(tab *table, by string, all []web.Circle) {
	for _, c := range all {
		state := plain
		if c.Circling {
			state = bad
		}
		tab.row(as(plain, by), as(strong, c.Source), as(plain, c.Destination), as(plain, c.Type), as(state, c.Heard.String()), as(plain, c.Known.String()),
			fmt.Sprint(c.Count), fmt.Sprintf("%.1f", c.PerSecond), p.since(c.Since), p.since(c.Last))
	}
}

// goingRound leaves out what somebody else heard a few times, as after a move of a station: with many peers that would be most of it.
func goingRound(all []web.Circle) (loops []web.Circle) {
	for _, c := range all {
		if c.Loop {
			loops = append(loops, c)
		}
	}
	return loops
}

// tellers says how old the word of the others is, and who has given none.
func (p *page) tellers(all []web.PeerLoops) {
	var oldest time.Duration
	told := 0
	for _, e := range all {
		age := time.Duration(e.AgeS * float64(time.Second)).Round(time.Second)
		switch {
		case e.Silent && e.AgeS == 0:
			fmt.Fprintf(p, "%s never told what it hears: %s\n", e.Peer, p.paint(warn, "unknown"))
		case e.Silent:
			fmt.Fprintf(p, "%s has not told for %s what it hears: %s\n", e.Peer, age, p.paint(warn, "unknown"))
		default:
			told, oldest = told+1, max(oldest, age)
		}
		if more := e.LeftOut + len(e.Circles) - len(goingRound(e.Circles)); more > 0 {
			fmt.Fprintf(p, "%s heard %s of frames: drawbridge loops there shows them\n", e.Peer, drawbridge.Counted(more, "more kind"))
		}
	}
	if told > 0 {
		fmt.Fprintf(p, "%s told what comes round there, the oldest word is of %s ago.\n", drawbridge.Counted(told, "other peer"), oldest)
	}
}
