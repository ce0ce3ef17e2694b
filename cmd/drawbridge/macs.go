package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) macsCommand() *cobra.Command {
	var f web.MACFilter
	var find string
	var limit int
	cmd := reads(t, &cobra.Command{
		Use:   "macs",
		Short: "Where every station is",
		PreRunE: func(*cobra.Command, []string) error {
			return checkFilter(&f)
		},
	}, reading[[]web.MAC]{path: "macs", query: func() url.Values {
		q := client.Query(f)
		if find != "" {
			q.Set("find", find)
		}
		if limit > 0 {
			q.Set("limit", strconv.Itoa(limit))
		}
		return q
	}, show: showMACs})
	t.filterFlags(cmd, &f)
	cmd.Flags().StringVar(&find, "find", "", "only those with this text in address, port, peer or segment")
	cmd.Flags().IntVar(&limit, "limit", 0, "the most that are shown; 0: all")
	cmd.AddCommand(t.flushCommand(), t.storyCommand())
	return cmd
}

func (t *tool) filterFlags(cmd *cobra.Command, f *web.MACFilter) {
	flags := cmd.Flags()
	flags.StringVar(&f.MAC, "mac", "", "only this address")
	flags.Uint32Var(&f.VNI, "vni", 0, "only this overlay, by its number (VNI)")
	flags.StringVar(&f.Port, "port", "", "only what was seen at this port")
	flags.StringVar(&f.Peer, "peer", "", "only what goes to this peer")
	flags.StringVar(&f.Segment, "segment", "", "only what is behind this segment")
	t.fail(cmd.RegisterFlagCompletionFunc("port", t.completePorts))
	t.fail(cmd.RegisterFlagCompletionFunc("peer", t.completePeers))
	t.fail(cmd.RegisterFlagCompletionFunc("segment", t.completeSegments))
}

func checkFilter(f *web.MACFilter) error {
	if f.VNI > uint32(drawbridge.MaxVNI) {
		return usagef("--vni %d: the largest is %d", f.VNI, drawbridge.MaxVNI)
	}
	if f.MAC == "" {
		return nil
	}
	mac, err := drawbridge.ParseMAC(f.MAC)
	if err != nil {
		return usagef("--mac: %v", err)
	}
	f.MAC = mac.String()
	return nil
}

func showMACs(_ context.Context, _ *client.Client, p *page, macs []web.MAC) error {
	tab := newTable("MAC", ">VNI", "AT", "REACHED BY", ">SEEN", ">THERE FOR")
	for _, m := range macs {
		at, by := macPlace(m)
		tab.row(as(strong, m.MAC), m.VNI, at, by, p.since(m.Seen), p.since(m.Learned))
	}
	p.add(tab, "no addresses: a station appears as soon as it sends; drawbridge ports shows whether frames arrive")
	return nil
}

func (t *tool) storyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "story MAC", Short: "Where a station was before, with time and cause", Args: cobra.ExactArgs(1),
		Long: "As far as this peer's table goes back: each move, and each handover of the segment behind which it is.",
	}
	return readsAbout(t, cmd, func(args []string) (reading[[]web.MACStory], error) {
		mac, err := drawbridge.ParseMAC(args[0])
		if err != nil {
			return reading[[]web.MACStory]{}, usagef("%v", err)
		}
		return reading[[]web.MACStory]{path: "macs/" + url.PathEscape(mac.String()) + "/story", show: showStories}, nil
	})
}

func showStories(_ context.Context, _ *client.Client, p *page, stories []web.MACStory) error {
	for _, s := range stories {
		fmt.Fprintf(p, "%s in overlay %d\n", s.MAC, s.VNI)
		for _, step := range s.Steps {
			at, by := macPlace(web.MAC{At: step.At, Port: step.Port, Peer: step.Peer, Segment: step.Segment})
			if step.At == web.AtSegment && step.Peer != "" {
				at += " by " + by
			}
			fmt.Fprintf(p, "  %s  %-9s  %-28s  %s\n", step.Time.Local().Format(time.DateTime), step.What, at, step.Cause)
		}
	}
	return nil
}

// macPlace says where a station is and where its frames go.
func macPlace(m web.MAC) (at, by string) {
	switch m.At {
	case web.AtPort:
		return "port " + m.Port, "here"
	case web.AtSegment:
		if m.Peer == "" {
			return "segment " + m.Segment, "nobody: no gateway is active"
		}
		return "segment " + m.Segment, "gateway " + m.Peer
	default:
		return "peer " + m.Peer, "peer " + m.Peer
	}
}

func (t *tool) flushCommand() *cobra.Command {
	var f web.Flush
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Forget where stations are, all or those that the flags select",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFilter(&f.MACFilter); err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			done, err := c.FlushMACs(cmd.Context(), f)
			if err != nil {
				return err
			}
			where := ""
			if f.Everywhere {
				where = " here, and the other peers are told"
			}
			fmt.Fprintf(t.out, "%s forgotten%s\n", drawbridge.Counted(done.Flushed, "MAC address", "MAC addresses"), where)
			return nil
		},
	}
	t.filterFlags(cmd, &f.MACFilter)
	cmd.Flags().BoolVar(&f.Everywhere, "everywhere", false, "on all peers")
	return cmd
}
