package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) maintenanceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "maintenance", Short: "Take a gateway out of service without losing a frame, and back"}
	cmd.AddCommand(t.maintainCommand("on", true), t.maintainCommand("off", false))
	return cmd
}

func (t *tool) maintainCommand(word string, on bool) *cobra.Command {
	short := "Let a gateway take segments again; it takes none until it is needed"
	if on {
		short = "Move all segments of a gateway away, and let it take none; it survives restarts"
	}
	var wait bool
	cmd := &cobra.Command{
		Use:               word + " [PEER]",
		Short:             short,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: t.completePeers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.begin(cmd, wait, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				name := ""
				if len(args) > 0 {
					name = args[0]
				} else {
					s, err := c.Status(ctx)
					if err != nil {
						return web.Operation{}, err
					}
					name = s.Name
				}
				return c.Maintain(ctx, name, web.MaintenanceRequest{On: on, By: caller()})
			})
		},
	}
	t.waitFlags(cmd, &wait)
	return cmd
}
