package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) votersCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "voters",
		Short: "The peers that decide, who leads them, who answers, and how many more may fail",
	}, reading[web.Voters]{path: "voters", show: showVoters})
}

func showVoters(_ context.Context, _ *client.Client, p *page, v web.Voters) error {
	fmt.Fprintln(p, votersSentence(p, v))
	tab := newTable("VOTER", "PART", "STATE", "ANSWERS", ">RTT")
	for _, o := range v.Voters {
		part, state := "witness", o.State
		if o.Gateway {
			part = "gateway"
		}
		if o.Name == v.Leader {
			state = "leads"
		}
		tab.row(as(strong, o.Name), as(plain, part), as(plain, state), answer(v, o), milliseconds(o.RTT))
	}
	fmt.Fprintln(p)
	p.add(tab, "no voters are known: drawbridge peers shows whether this peer reaches anybody")
	return nil
}

// votersSentence is the state of the group in one line.
func votersSentence(p *page, v web.Voters) string {
	switch {
	case !v.Here:
		return "this peer does not vote; ask one of these who leads and who answers"
	case !v.Quorum:
		return p.paint(bad, "no majority answers: no gateway may be active") + ", but for what quorum_loss allows"
	case v.Spare == 0:
		return p.paint(warn, "a majority answers, and not one more may fall silent") + ": then no gateway may be active"
	}
	return fmt.Sprintf("a majority answers, and %d more may fall silent before no gateway may be active", v.Spare)
}

// answer says whether a voter answers.
func answer(v web.Voters, o web.Voter) cell {
	switch {
	case !v.Here || o.State != web.VoterVotes:
		return as(plain, "")
	case o.Answers:
		return as(good, "yes")
	case o.SilentS == 0:
		return as(bad, "never")
	}
	return as(bad, "silent for "+(time.Duration(o.SilentS)*time.Second).String())
}
