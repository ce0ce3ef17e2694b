package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) flushEverywhereCommand() *cobra.Command {
	var f web.MACFilter
	var all bool
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Forget on all peers where stations are, and count who did",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFilter(&f); err != nil {
				return err
			}
			if all == (f != web.MACFilter{}) {
				return usagef("say what to forget: --mac, --peer, --segment, --port, --vni, or --all alone")
			}
			return t.begin(cmd, true, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				return c.FlushEverywhere(ctx, web.FlushRequest{MACFilter: f, By: caller()})
			})
		},
	}
	t.filterFlags(cmd, &f)
	cmd.Flags().BoolVar(&all, "all", false, "everything")
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
	return cmd
}
