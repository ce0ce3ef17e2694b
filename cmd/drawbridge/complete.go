package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

// completionPatience is how long the shell's user waits for a daemon that does not answer.
const completionPatience = time.Second

// complete asks the daemon for words; without one there are none.
func complete[T any](t *tool, cmd *cobra.Command, ask func(context.Context, *client.Client) ([]T, error), word func(T) string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
	defer cancel()
	c, err := t.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := ask(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, v := range all {
		if w := word(v); w != "" {
			words = append(words, w)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func (t *tool) completePeers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.Peer, error) { return c.Peers(ctx) }, func(p web.Peer) string {
		if p.State == web.PeerSelf {
			return ""
		}
		return p.Name + "\t" + p.State
	})
}

func (t *tool) completePorts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.Port, error) { return c.Ports(ctx) },
		func(p web.Port) string { return p.Name + "\t" + p.Kind })
}

func (t *tool) completeSegments(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.Segment, error) { return c.Segments(ctx) },
		func(s web.Segment) string { return s.Name })
}

func (t *tool) completeTokens(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return complete(t, cmd, func(ctx context.Context, c *client.Client) ([]web.Token, error) { return c.Tokens(ctx) }, func(k web.Token) string {
		if k.State != "valid" {
			return ""
		}
		return k.ID + "\t" + list(k.Roles)
	})
}
