package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) portsCommand() *cobra.Command {
	cmd := lists(t, &cobra.Command{
		Use:   "ports",
		Short: "Attachments of this peer to segments and guests",
	}, reading[[]web.Port]{path: "ports", show: showPorts},
		choice{"kind", "only those of this kind: segment or guest"}, choice{"segment", "only those on this segment"}, choice{"gate", "only those whose gate is like this: open, shut or none"})
	cmd.AddCommand(t.clearPortCommand())
	return cmd
}

func (t *tool) clearPortCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "clear NAME",
		Short: "Let a port listen again that ALONE blocked",
		Long: "Take back the verdict against a port. It listens for a second as if it had just been plugged in, and then\n" +
			"carries frames; what is still wrong on its wire blocks it again. `drawbridge ports` says what that is.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeBlockedPorts,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if err := c.ClearPort(cmd.Context(), args[0], web.ClearRequest{By: caller()}); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "port %s listens again; drawbridge ports says whether it stays clear\n", args[0])
			return nil
		},
	}
}

func (t *tool) completeBlockedPorts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.Port, error) { return c.Ports(ctx) }, func(p web.Port) string {
		if p.Blocked == "" {
			return ""
		}
		return p.Name + "\t" + p.Blocked
	})
}

func showPorts(_ context.Context, _ *client.Client, p *page, ports []web.Port) error {
	tab := newTable("PORT", "KIND", "VNI", "STATE", "GATE", ">SINCE", ">MTU", ">MACS", ">RX", ">TX", ">DROPPED")
	var problems []web.Problem
	for _, q := range ports {
		kind := q.Kind
		if q.Segment != "" {
			kind += " " + q.Segment
		} else if q.Bridge != "" {
			kind += " in " + q.Bridge
		}
		tab.row(as(strong, q.Name), kind, q.VNI, portState(q), portGate(q), p.since(q.Since), number(q.MTU), q.MACs, octets(q.RxBytes), octets(q.TxBytes), quantity(total(q.Drops)))
		for _, problem := range q.Problems {
			problem.Summary = q.Name + ": " + problem.Summary
			problems = append(problems, problem)
		}
	}
	p.add(tab, "no ports: add a [[guest]] or a [[segment]] to the node file, and start the daemon again (drawbridge restart)")
	for _, q := range ports {
		if total(q.Drops) > 0 {
			fmt.Fprintf(p, "%s dropped %s\n", q.Name, counts(q.Drops))
		}
	}
	p.problems(problems)
	return nil
}

func portState(q web.Port) cell {
	if q.Up {
		return as(good, "up")
	}
	return as(bad, "down")
}

// portGate marks a gate that only this process obeys.
func portGate(q web.Port) cell {
	switch {
	case q.Blocked != "":
		return as(bad, "blocked")
	case q.Gate == web.GateNone:
		return cell{}
	case q.GateKind == web.GateSoft:
		return as(warn, q.Gate+" (soft)")
	case q.Gate == web.GateOpen:
		return as(good, q.Gate)
	default:
		return as(plain, q.Gate)
	}
}
