package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) switchoverCommand() *cobra.Command {
	var r web.SwitchoverRequest
	var wait bool
	cmd := &cobra.Command{
		Use:   "switchover SEGMENT",
		Short: "Move a segment to another gateway without losing a frame",
		Long: "Everything that must be right is looked at before, and it is " +
			"refused with the reason when something is not. Any peer takes the command.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeSegments,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.By = caller()
			return t.begin(cmd, wait || r.DryRun, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				return c.Switchover(ctx, args[0], r)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.To, "to", "", "gateway to move it to (default: the one that is ready soonest)")
	flags.BoolVar(&r.DryRun, "dry-run", false, "only look whether it would work")
	t.waitFlags(cmd, &wait)
	t.fail(cmd.RegisterFlagCompletionFunc("to", t.completePeers))
	return cmd
}

func (t *tool) waitFlags(cmd *cobra.Command, wait *bool) {
	cmd.Flags().BoolVar(wait, "wait", false, "return when it is over; without it, when it has begun")
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
}

// begin asks for an operation, shows it and, if wanted, its course. What was refused or failed is an error.
func (t *tool) begin(cmd *cobra.Command, wait bool, ask func(context.Context, *client.Client) (web.Operation, error)) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	o, err := ask(cmd.Context(), c)
	if err != nil {
		return err
	}
	if wait && o.State == web.OperationRunning {
		if o, err = t.follow(cmd.Context(), c, o); err != nil {
			return err
		}
	}
	clean(&o)
	if t.json {
		err = t.writeValue(o)
	} else {
		err = t.showOperation(&o)
	}
	if err == nil && (o.State == web.OperationRefused || o.State == web.OperationFailed) {
		return fmt.Errorf("%s %s: %s", o.Kind, o.State, o.Outcome)
	}
	return err
}

var errOver = errors.New("the operation is over")

// follow waits for the end of an operation.
func (t *tool) follow(ctx context.Context, c *client.Client, o web.Operation) (web.Operation, error) {
	err := c.Watch(ctx, "operations/"+url.PathEscape(o.ID), nil, func(raw json.RawMessage) error {
		if err := json.Unmarshal(raw, &o); err != nil {
			return err
		}
		if o.State != web.OperationRunning {
			return errOver
		}
		return nil
	})
	if errors.Is(err, errOver) {
		err = nil
	}
	return o, err
}

func (t *tool) showOperation(o *web.Operation) error {
	p := &page{now: t.now(), colour: t.colour}
	if len(o.Checks) > 0 {
		checks := newTable("CHECK", "AT", "", "FOUND")
		for _, c := range o.Checks {
			verdict, found := as(good, "ok"), c.Value
			if !c.OK {
				verdict, found = as(bad, "NOT OK"), c.Value+"; needed: "+c.Need
			}
			checks.row(c.Name, c.Peer, verdict, found)
		}
		p.add(checks, "")
		p.WriteString("\n")
	}
	for _, s := range o.Steps {
		fmt.Fprintf(p, "%9.1f ms  %s\n", float64(s.At), s.Text)
	}
	if len(o.Flushed) > 0 {
		tab := newTable("PEER", ">FORGOTTEN")
		for _, f := range o.Flushed {
			count := as(plain, fmt.Sprint(f.Count))
			if !f.Answered {
				count = as(bad, "no answer")
			}
			tab.row(f.Peer, count)
		}
		p.add(tab, "")
	}
	if h := o.Handover; h != nil {
		fmt.Fprintf(p, "\nframes held for %.1f ms; handed over %d, kept by the new gateway %d, left out as copies %d, dropped %d\n",
			float64(h.Pause), h.Handed, h.Kept, h.Twice, h.Dropped)
	}
	if o.Drill != nil {
		showDrill(p, o.Drill)
	}
	switch o.State {
	case web.OperationRunning:
		fmt.Fprintf(p, "operation %s is under way\n", o.ID)
	case web.OperationDone:
		fmt.Fprintf(p, "%s\n", p.paint(good, o.Outcome))
	}
	_, err := t.out.Write(p.Bytes())
	return err
}
