package main

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) eventsCommand() *cobra.Command {
	var after uint64
	var last int
	var query func() url.Values
	cmd := &cobra.Command{
		Use:   "events",
		Short: "What happened, newest last",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if last < 0 {
				return usagef("--last %d: want a number of events; 0 for all", last)
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			return t.events(cmd, c, query(), after, last)
		},
	}
	t.readingFlags(cmd)
	query = chooses(cmd,
		choice{"kind", "only those of this kind, such as peer_up"}, choice{"level", "only those that matter so much: info, warn or error"},
		choice{"peer", "only those about this peer"}, choice{"port", "only those about this port"}, choice{"segment", "only those about this segment"})
	t.completeChoices(cmd)
	cmd.Flags().Uint64Var(&after, "after", 0, "only events with a higher id")
	cmd.Flags().IntVarP(&last, "last", "n", 50, "at most so many of those that are kept; 0: all")
	return cmd
}

// events shows what is kept, and with --watch goes on where that ended.
func (t *tool) events(cmd *cobra.Command, c *client.Client, q url.Values, after uint64, last int) error {
	kept, err := c.Events(cmd.Context(), after, q)
	if err != nil {
		return misused(err)
	}
	if n := len(kept); last > 0 && n > last {
		after, kept = kept[n-last-1].ID, kept[n-last:]
	}
	if !t.watch {
		return t.listEvents(kept, q)
	}
	for _, e := range kept {
		after = e.ID
		if err := t.writeEvent(e); err != nil {
			return err
		}
	}
	return unlessInterrupted(cmd.Context(), c.Follow(cmd.Context(), after, q, t.lost, t.writeEvent))
}

func (t *tool) listEvents(kept []web.Event, q url.Values) error {
	if t.json {
		return t.writeValue(kept)
	}
	if len(kept) == 0 {
		p := &page{asked: q}
		p.none("nothing has happened: journalctl -u drawbridge has what was before the daemon started")
		_, err := t.out.Write(p.Bytes())
		return err
	}
	for _, e := range kept {
		if err := t.writeEvent(e); err != nil {
			return err
		}
	}
	return nil
}

// lost says what fell out of the daemon's memory before it was read.
func (t *tool) lost(n uint64) {
	fmt.Fprintf(t.err, "%s missed\n", drawbridge.Counted(n, "event"))
}

// writeEvent writes one line: local time, what happened, why.
func (t *tool) writeEvent(e web.Event) error {
	if t.json {
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return t.writeJSON(raw)
	}
	clean(&e)
	p := &page{colour: t.colour}
	styles := map[string]style{web.LevelWarn: warn, web.LevelError: bad}
	text := e.Text
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	fmt.Fprintf(p, "%s  %s  %s\n", p.paint(faint, e.Time.Local().Format("2006-01-02 15:04:05.000")), p.paint(styles[e.Level], fmt.Sprintf("%-5s", e.Level)), text)
	_, err := t.out.Write(p.Bytes())
	return err
}
