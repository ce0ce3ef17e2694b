package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) alertsCommand() *cobra.Command {
	cmd := lists(t, &cobra.Command{
		Use:   "alerts",
		Short: "What is wrong just now, and what to do about it",
		Long: "Conditions that last, as this peer sees them: they end by themselves when they are mended. Who is told of what happens " +
			"is in the network configuration; alerts sinks shows how that goes.",
	}, reading[[]web.Alert]{path: "alerts", show: showAlerts},
		choice{"severity", "only those of this severity: info, warn or error"}, choice{"acknowledged", "true: only those of which somebody knows; false: of which nobody does"},
		choice{"peer", "only those about this peer"}, choice{"port", "only those about this port"}, choice{"segment", "only those about this segment"})
	cmd.AddCommand(t.sinksCommand(), t.testSinkCommand(), t.acknowledgeCommand(), t.unacknowledgeCommand())
	return cmd
}

// severityStyles are the colours of severities.
var severityStyles = map[string]style{web.LevelInfo: plain, web.LevelWarn: warn, web.LevelError: bad}

func showAlerts(_ context.Context, _ *client.Client, p *page, alerts []web.Alert) error {
	if len(alerts) == 0 {
		p.none("nothing is wrong: drawbridge events --level warn shows what was")
		return nil
	}
	for i, a := range alerts {
		if i > 0 {
			p.WriteString("\n")
		}
		fmt.Fprintf(p, "%s  %s, for %s\n", p.paint(severityStyles[a.Severity], fmt.Sprintf("%-5s", a.Severity)), p.paint(strong, a.Text), p.since(a.Since))
		fmt.Fprintf(p, "       what to do: %s\n", a.Remedy)
		fmt.Fprintf(p, "       id: %s\n", a.ID)
		if k := a.Acknowledged; k != nil {
			note := ""
			if k.Comment != "" {
				note = ": " + k.Comment
			}
			fmt.Fprintf(p, "       %s knows since %s%s\n", k.By, p.since(k.At), note)
		}
	}
	return nil
}

func (t *tool) sinksCommand() *cobra.Command {
	return reads(t, &cobra.Command{Use: "sinks", Short: "Who is told of what happens, and how that goes on this peer"},
		reading[[]web.AlertSink]{path: "alerts/sinks", show: showSinks})
}

func showSinks(_ context.Context, _ *client.Client, p *page, sinks []web.AlertSink) error {
	tab := newTable("SINK", "KIND", "TARGET", "STATE", ">QUEUED", ">DELIVERED", ">DROPPED", ">LAST TAKEN")
	for _, s := range sinks {
		took := ""
		if s.Took != nil {
			took = p.since(*s.Took) + " ago"
		}
		tab.row(as(strong, s.Name), s.Kind, s.Target, sinkState(s), s.Queued, s.Delivered, droppedCell(s), took)
	}
	p.add(tab, "nobody is told: add [[alerts.webhook]], [[alerts.syslog]] or [[alerts.command]] to the network configuration (drawbridge config edit)")
	for _, s := range sinks {
		if s.LastError != "" {
			again := ""
			if s.NextAttempt != nil {
				again = "; again " + p.left(*s.NextAttempt)
			}
			fmt.Fprintf(p, "%s: %s (%s)%s\n", s.Name, s.LastError, drawbridge.Counted(s.Failures, "attempt"), again)
		}
		for _, problem := range s.Problems {
			fmt.Fprintf(p, "%s: %s: %s\n", s.Name, problem.Summary, problem.Remedy)
		}
	}
	return nil
}

func sinkState(s web.AlertSink) cell {
	switch {
	case !s.Told:
		return as(faint, "told by "+list(s.Peers))
	case len(s.Problems) > 0:
		return as(bad, "has a problem")
	case s.LastError != "":
		return as(bad, "fails")
	case s.Took == nil:
		return as(faint, "not tried yet")
	}
	return as(good, "works")
}

func droppedCell(s web.AlertSink) cell {
	if s.Dropped > 0 {
		return as(bad, fmt.Sprint(s.Dropped))
	}
	return as(plain, "0")
}

func (t *tool) testSinkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test SINK", Short: "Tell a sink a test at once, and show what it answered",
		Long: "The test goes beside the queue of this peer. When the sink takes it, what waits is told at once, too. A collector of " +
			"syslog messages by UDP never answers: look there whether the test arrived.",
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeSinks,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			r, err := c.TestSink(cmd.Context(), args[0], web.SinkTestRequest{By: caller()})
			if err != nil {
				return err
			}
			clean(&r)
			if !r.OK {
				return fmt.Errorf("sink %s did not take the test: %s", r.Sink, r.Error)
			}
			fmt.Fprintf(t.out, "sink %s took the test in %s\n", r.Sink, milliseconds(r.Took))
			return nil
		},
	}
}

func (t *tool) acknowledgeCommand() *cobra.Command {
	var comment string
	cmd := &cobra.Command{
		Use: "ack ID", Short: "Say that you know of something that is wrong, until it ends",
		Long: "Others see on this peer who knows of it. It changes nothing else: what happens is told as before.",
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeAlerts,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			a, err := c.Acknowledge(cmd.Context(), args[0], web.AcknowledgeRequest{Comment: comment, By: caller()})
			if err != nil {
				return err
			}
			clean(&a)
			fmt.Fprintf(t.out, "acknowledged: %s\n", a.Text)
			return nil
		},
	}
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "what others should know, such as who looks after it")
	return cmd
}

func (t *tool) unacknowledgeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unack ID", Short: "Take an acknowledgement back",
		Args: cobra.ExactArgs(1), ValidArgsFunction: t.completeAlerts,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			a, err := c.Unacknowledge(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			clean(&a)
			fmt.Fprintf(t.out, "nobody knows of it any more: %s\n", a.Text)
			return nil
		},
	}
}

func (t *tool) completeSinks(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.AlertSink, error) { return c.AlertSinks(ctx) },
		func(s web.AlertSink) string { return s.Name + "\t" + s.Kind + " " + s.Target })
}

func (t *tool) completeAlerts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.Alert, error) { return c.Alerts(ctx) },
		func(a web.Alert) string { return a.ID + "\t" + a.Text })
}
