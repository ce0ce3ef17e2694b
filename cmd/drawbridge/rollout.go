package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) rolloutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout",
		Short: "Update peers one after the other without losing a frame",
		Long: "Passive gateways first, a planned switchover before an active one is touched, and nobody while somebody else is not\n" +
			"well. The peer that is asked to start coordinates it, a voter; what it has done is on its disk. It tells everybody: status, resume and abort may be asked of any peer.",
		Args: cobra.NoArgs,
	}
	start := &cobra.Command{
		Use:               "start [PEER...]",
		Short:             "Begin a rolling update of these peers, or of all gateways",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: t.completePeers,
	}
	var q web.RolloutRequest
	var wait bool
	start.Flags().BoolVar(&q.All, "all", false, "every peer that is reached, not gateways only")
	start.Flags().StringVar(&q.Want, "version", "", "version that every peer must run afterwards, or the roll-out pauses")
	start.Flags().StringVar(&q.Source, "from", web.SourceRestart, "where they take it from: restart, what is on their disks, or a bundle for appliances: a file, which the coordinating peer sends them, or its https address")
	start.Flags().BoolVar(&q.Older, "older", false, "take a bundle although it is not newer than what runs")
	t.waitFlags(start, &wait)
	start.RunE = func(cmd *cobra.Command, args []string) error {
		q.Peers, q.By = args, caller()
		return t.rolls(cmd.Context(), wait, func(ctx context.Context, c *client.Client) (web.Rollout, error) { return startRollout(ctx, c, q) })
	}
	change := func(word, short string) *cobra.Command {
		var wait bool
		c := &cobra.Command{Use: word, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			return t.rolls(cmd.Context(), wait, func(ctx context.Context, c *client.Client) (web.Rollout, error) {
				return c.ChangeRollout(ctx, word, web.ByRequest{By: caller()})
			})
		}}
		t.waitFlags(c, &wait)
		return c
	}
	status := reads(t, &cobra.Command{Use: "status", Short: "How far a roll-out is, and what it waits for", Args: cobra.NoArgs}, reading[web.Rollout]{
		path: "rollout", show: func(_ context.Context, _ *client.Client, p *page, r web.Rollout) error {
			showRollout(p, &r)
			return nil
		},
	})
	cmd.AddCommand(start, status, change("resume", "Go on with a roll-out that is paused"), change("abort", "End a roll-out; peers that are updated stay so"))
	return cmd
}

// startRollout sends the bundle along if it is a file here.
func startRollout(ctx context.Context, c *client.Client, q web.RolloutRequest) (web.Rollout, error) {
	if q.Source == web.SourceRestart || strings.Contains(q.Source, "://") {
		return c.StartRollout(ctx, q)
	}
	f, size, err := openBundle(q.Source)
	if err != nil {
		return web.Rollout{}, err
	}
	defer f.Close()
	return c.UploadRollout(ctx, q, io.NopCloser(f), size)
}

// rolls asks something about the roll-out, and shows how it stands then, or in the end.
func (t *tool) rolls(ctx context.Context, wait bool, ask func(context.Context, *client.Client) (web.Rollout, error)) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	r, err := ask(ctx, c)
	if err != nil {
		return err
	}
	if wait {
		if r, err = t.followRollout(ctx, c, r); err != nil {
			return err
		}
	}
	clean(&r)
	if t.json {
		return t.writeValue(r)
	}
	showRollout(t.out, &r)
	if wait && r.State == "paused" {
		return fmt.Errorf("the roll-out is paused: %s", r.Reason)
	}
	return nil
}

// followPatience is how long a coordinating peer may be away while it updates itself.
const followPatience = 10 * time.Minute

// followRollout waits for the end or a pause. The coordinating peer itself starts again on the way.
func (t *tool) followRollout(ctx context.Context, c *client.Client, r web.Rollout) (web.Rollout, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	heard, told := time.Now(), 0
	for r.State == "running" {
		for ; told < len(r.Log) && !t.json; told++ {
			fmt.Fprintf(t.err, "%s %s\n", r.Log[told].Peer, r.Log[told].Text)
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-tick.C:
		}
		now, err := c.Rollout(ctx)
		switch {
		case err == nil:
			r, heard = now, time.Now()
		case time.Since(heard) > followPatience:
			return r, err
		}
	}
	return r, nil
}

// rolledOut is what peers take.
func rolledOut(r *web.Rollout) string {
	switch b := r.Bundle; {
	case b != nil:
		return fmt.Sprintf("bundle %s, release %s, %.1f MB", b.Version, b.Release.UTC().Format(time.RFC3339), float64(b.Size)/1e6)
	case r.Source == web.SourceRestart:
		return "what is on the disks"
	}
	return r.Source
}

func showRollout(out io.Writer, r *web.Rollout) {
	told := ""
	if !r.Here && r.AgeS > 0 && !r.Over() {
		told = fmt.Sprintf(", as it told %s ago", time.Duration(r.AgeS)*time.Second)
	}
	fmt.Fprintf(out, "Roll-out %s, coordinated by %s: %s%s\n  software: %s\n", r.ID, r.Coordinator, r.State, told, rolledOut(r))
	if r.Older {
		fmt.Fprintln(out, "  also where that is not newer than what runs")
	}
	if r.Silent {
		fmt.Fprintf(out, "  %s is silent, how it stands now is not known: %s\n", r.Coordinator, r.Remedy)
	}
	if r.Reason != "" {
		fmt.Fprintf(out, "  %s\n", r.Reason)
	}
	if r.Waits != "" && r.State != "done" {
		fmt.Fprintf(out, "  waits for: %s\n", r.Waits)
	}
	for _, p := range r.Peers {
		line := fmt.Sprintf("  %-12s %-8s", p.Name, p.Step)
		if p.From != "" {
			line += " from " + p.From
		}
		if p.To != "" {
			line += " to " + p.To
		}
		fmt.Fprintln(out, line)
	}
	if r.LeftOut > 0 {
		fmt.Fprintf(out, "  and %d more, which %s lists\n", r.LeftOut, r.Coordinator)
	}
	if r.State == "paused" && !r.Silent {
		fmt.Fprintln(out, "Resume it with `drawbridge rollout resume`, or end it with `drawbridge rollout abort`.")
	}
}

func (t *tool) restartCommand() *cobra.Command {
	var wait, machine bool
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Start this peer's daemon again, or an appliance's machine; its segments are handed over first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if machine {
				return t.restartMachine(cmd.Context())
			}
			return t.begin(cmd, wait, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				return c.Restart(ctx, web.ByRequest{By: caller()})
			})
		},
	}
	cmd.Flags().BoolVar(&machine, "machine", false, "the machine of an appliance, which starts the slot that is next")
	t.waitFlags(cmd, &wait)
	cmd.MarkFlagsMutuallyExclusive("machine", "wait")
	cmd.MarkFlagsMutuallyExclusive("machine", "json")
	return cmd
}

func (t *tool) restartMachine(ctx context.Context) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	if err := c.RestartMachine(ctx, web.ByRequest{By: caller()}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.out, "the machine starts again as soon as its segments are handed over")
	return err
}
