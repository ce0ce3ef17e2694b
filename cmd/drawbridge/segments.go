package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) segmentsCommand() *cobra.Command {
	cmd := reads(t, &cobra.Command{
		Use:   "segments",
		Short: "Who bridges which segment, since when, and why; the same on every peer",
	}, reading[[]web.Segment]{path: "segments", show: showSegments})
	cmd.AddCommand(t.modeCommand(), t.gateCommand())
	return cmd
}

// noSegment is how the first one comes about.
const noSegment = "give a gateway a [[segment]] in its node file, and start it again (drawbridge restart)"

// modeWords are the modes in the order in which they are explained.
var modeWords = []string{"auto", "passive", "active-manual"}

func (t *tool) modeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mode SEGMENT [auto|passive|active-manual]",
		Short: "Show or change this peer's part in a segment",
		Long: "auto: the voters agree on one gateway. passive: this gateway never opens. active-manual: its gate is opened and shut\n" +
			"by hand, or by a coordinator such as keepalived; ALONE still shuts it when the wire speaks against it. The change is of\n" +
			"the peer that is asked, at once, and until it stops: then the node file counts again. docs/how-to/coordinator.md.",
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return modeWords, cobra.ShellCompDirectiveNoFileComp
			}
			return t.completeSegments(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r := reading[web.SegmentMode]{path: "segments/" + url.PathEscape(args[0]) + "/mode", show: showMode}
			if len(args) == 1 {
				return r.run(cmd.Context(), t)
			}
			return changed(cmd.Context(), t, r, func(c *client.Client) (web.SegmentMode, error) {
				return c.SetSegmentMode(cmd.Context(), args[0], web.ModeRequest{Mode: args[1], By: caller()})
			})
		},
	}
	t.readingFlags(cmd)
	return cmd
}

// changed makes a change and shows what came of it, once, as a reading command shows it.
func changed[T any](ctx context.Context, t *tool, r reading[T], change func(*client.Client) (T, error)) error {
	if t.watch {
		return usagef("--watch is for looking: leave out what is to be changed")
	}
	c, err := t.client()
	if err != nil {
		return err
	}
	v, err := change(c)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return r.write(ctx, t, c, nil, raw)
}

func showMode(_ context.Context, _ *client.Client, p *page, m web.SegmentMode) error {
	fmt.Fprintf(p, "%s is in mode %s on segment %s\n", m.Peer, m.Mode, m.Segment)
	if m.Mode != m.Configured {
		fmt.Fprintf(p, "set by %s; the node file says %s, which counts again when the peer starts\n", m.By, m.Configured)
	}
	return nil
}

func (t *tool) gateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gate SEGMENT [open|shut]",
		Short: "Show this peer's gate of a segment, or move it by hand in mode active-manual",
		Long: "Without a word it says whether frames pass, under which tenure and why. open and shut are for mode active-manual; a gate\n" +
			"that was opened by hand opens as soon as ALONE has listened on the wire, and shuts when another one is opened later.",
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"open", "shut"}, cobra.ShellCompDirectiveNoFileComp
			}
			return t.completeSegments(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r := reading[web.SegmentGate]{path: "segments/" + url.PathEscape(args[0]) + "/gate", show: showGate}
			if len(args) == 1 {
				return r.run(cmd.Context(), t)
			}
			if args[1] != "open" && args[1] != "shut" {
				return usagef("%q: want open or shut", args[1])
			}
			return changed(cmd.Context(), t, r, func(c *client.Client) (web.SegmentGate, error) {
				return c.SetSegmentGate(cmd.Context(), args[0], web.GateRequest{Open: args[1] == "open", By: caller()})
			})
		},
	}
	t.readingFlags(cmd)
	return cmd
}

func showGate(_ context.Context, _ *client.Client, p *page, g web.SegmentGate) error {
	if g.Open {
		fmt.Fprintf(p, "gate of segment %s at %s is open under %s: %s\n", g.Segment, g.Peer, g.Epoch, g.Cause)
		return nil
	}
	fmt.Fprintf(p, "gate of segment %s at %s is shut: %s\n", g.Segment, g.Peer, g.Cause)
	for _, why := range g.Reasons {
		fmt.Fprintf(p, "the wire speaks against it: %s\n", why)
	}
	return nil
}

func showSegments(_ context.Context, _ *client.Client, p *page, segments []web.Segment) error {
	tab := newTable("SEGMENT", "OVERLAY", "ACTIVE", ">SINCE", "WHY", ">EPOCH", "GATEWAYS")
	for _, s := range segments {
		active := as(bad, "nobody")
		if s.Active != nil {
			active = as(good, *s.Active)
		}
		why := as(plain, s.Cause)
		if s.Unsafe != "" {
			why = as(bad, s.Unsafe+"; "+s.Cause)
		}
		tab.row(as(strong, s.Name), s.Overlay, active, p.since(s.Since), why, s.Epoch, p.gateways(s.Gateways))
	}
	p.add(tab, "no segments: "+noSegment)
	drills := newTable("SEGMENT", "DRILLS, UTC", ">NEXT")
	for _, s := range segments {
		if s.NextDrill != nil {
			drills.row(as(strong, s.Name), s.Drill, s.NextDrill.Format("Mon 2006-01-02 15:04"))
		}
	}
	if len(drills.rows) > 0 {
		p.WriteString("\n")
		p.add(drills, "")
	}
	return nil
}

// gateways says of each what it is good for.
func (p *page) gateways(all []web.Gateway) cell {
	var parts []string
	worst := plain
	for _, g := range all {
		part := g.Peer
		switch {
		case g.Gate == web.GateOpen:
			part += " open"
		case g.Ready:
			part += " ready"
		default:
			part += " not ready"
			worst = warn
		}
		if len(g.Reasons) > 0 {
			part += " (" + strings.Join(g.Reasons, "; ") + ")"
		}
		parts = append(parts, part)
	}
	return as(worst, list(parts))
}
