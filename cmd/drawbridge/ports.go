package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) portsCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "ports",
		Short: "Attachments of this peer to segments and guests",
	}, reading[[]web.Port]{path: "ports", show: showPorts})
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
	p.add(tab, "no ports: the node file has neither [[segment]] nor [[guest]]")
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
