package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) statusCommand() *cobra.Command {
	return reads(t, &cobra.Command{
		Use:   "status",
		Short: "This peer at a glance, and what is wrong",
	}, reading[web.Status]{path: "status", show: showStatus})
}

func showStatus(ctx context.Context, c *client.Client, p *page, s web.Status) error {
	segments, err := c.Segments(ctx)
	if err != nil {
		return err
	}
	clean(&segments)
	p.sentences(segments)
	fmt.Fprintf(p, "\n%s  %s  in network %s\n", p.paint(strong, s.Name), list(s.Roles), p.paint(strong, s.Network.Name))
	p.fact("running", fmt.Sprintf("%s for %s", s.Version, p.since(s.Started)))
	p.fact("ready", p.readiness(s))
	p.fact("peers", p.peerCount(s.Peers))
	p.fact("guests", fmt.Sprintf("MTU %s, %s", orUnknown(number(s.MTU)), drawbridge.Counted(s.MACs, "MAC address", "MAC addresses")))
	p.fact("frames", dataPath(s.DataPath))
	p.fact("dropped", dropped(s.Drops))
	p.fact("listening", list(s.Listen)+", "+advertised(s.Advertise))
	if s.Clone != "" {
		fmt.Fprintf(p, "\n%s\n", p.paint(bad, "ANOTHER HOST HAS THIS PEER'S IDENTITY: "+s.Clone))
	}
	p.problems(s.Problems)
	return nil
}

// fact is one line of the status.
func (p *page) fact(name, text string) { fmt.Fprintf(p, "  %-10s %s\n", name, text) }

func (p *page) readiness(s web.Status) string {
	switch {
	case !s.Ready:
		return p.paint(bad, "no")
	case len(s.Problems) > 0:
		return p.paint(warn, "yes, with "+drawbridge.Counted(len(s.Problems), "problem"))
	default:
		return p.paint(good, "yes")
	}
}

func (p *page) peerCount(n web.PeerCount) string {
	parts := []string{fmt.Sprintf("%d direct", n.Direct)}
	if n.Relayed > 0 {
		parts = append(parts, p.paint(warn, fmt.Sprintf("%d relayed", n.Relayed)))
	}
	if n.Unreachable > 0 {
		parts = append(parts, p.paint(bad, fmt.Sprintf("%d unreachable", n.Unreachable)))
	}
	return fmt.Sprintf("%d: %s", n.Total, list(parts))
}

// sentences answer what everybody asks first, in the words of the console's home: who is active, since when, and why.
func (p *page) sentences(segments []web.Segment) {
	if len(segments) == 0 {
		fmt.Fprintln(p, "no segment is bridged: "+noSegment)
	}
	for _, s := range segments {
		who := p.paint(bad, "nobody carries "+s.Name)
		if s.Active != nil {
			who = p.paint(good, *s.Active+" carries "+s.Name)
		}
		text := fmt.Sprintf("%s since %s, for %s", who, p.clock(s.Since), p.since(s.Since))
		if s.Cause != "" {
			text += ": " + s.Cause
		}
		fmt.Fprintf(p, "%s; %s\n", text, p.redundancy(s))
	}
}

// clock is the time of day where the command runs, with the date unless it is today's.
func (p *page) clock(t time.Time) string {
	t = t.In(p.now.Location())
	if t.Format(time.DateOnly) == p.now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// redundancy says whether somebody could take over.
func (p *page) redundancy(s web.Segment) string {
	var others, ready []string
	for _, g := range s.Gateways {
		if s.Active != nil && g.Peer == *s.Active {
			continue
		}
		others = append(others, g.Peer)
		if g.Ready {
			ready = append(ready, g.Peer)
		}
	}
	switch {
	case len(ready) > 0:
		return list(ready) + " could take over"
	case len(others) == 0:
		return p.paint(warn, "no second gateway")
	default:
		return p.paint(warn, "nobody could take over")
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// dataPath names what is in use and what is not.
func dataPath(d web.DataPath) string {
	engine := map[string]string{"user": "in user space", "kernel": "in the kernel"}[d.Engine]
	gate := map[string]string{web.GateHard: "gate in the kernel", web.GateSoft: "gate in this process only", web.GateNone: "no gate"}[d.Gate]
	var with, without []string
	for _, f := range []struct {
		name string
		on   bool
	}{{"GSO", d.GSO}, {"GRO", d.GRO}, {"super-frames", d.Vnet}} {
		if f.on {
			with = append(with, f.name)
		} else {
			without = append(without, "no "+f.name)
		}
	}
	parts := append([]string{engine}, append(with, without...)...)
	text := list(append(parts, d.Cipher, gate))
	if len(d.Notes) > 0 {
		text += "\n" + strings.Repeat(" ", 13) + strings.Join(d.Notes, "; ")
	}
	return text
}

func dropped(drops map[string]uint64) string {
	if total(drops) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%s frames: %s", quantity(total(drops)), counts(drops))
}

func advertised(addresses []string) string {
	if len(addresses) == 0 {
		return "advertised nowhere: other peers cannot call this one"
	}
	return "advertised as " + list(addresses)
}

// problems lists what is wrong, each with its remedy.
func (p *page) problems(problems []web.Problem) {
	if len(problems) == 0 {
		return
	}
	fmt.Fprintf(p, "\n%s\n", p.paint(strong, "PROBLEMS"))
	for _, q := range problems {
		fmt.Fprintf(p, "  %s\n", p.paint(warn, q.Summary))
		if q.Remedy != "" {
			fmt.Fprintf(p, "    to do: %s\n", q.Remedy)
		}
	}
}
