package main

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/errand"
)

// carryOutCommand is what the units run that see an order (drawbridge-reboot.service, drawbridge-reset.service). Nobody is there who
// could be asked: a reset goes on whether or not the others can remove this peer.
func (t *tool) carryOutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "carry-out ORDER", Short: "Carry out an order of the status screen or the console", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return errand.Box(errand.Dir).CarryOut(args[0], func() error {
				if args[0] == errand.Reset {
					if err := t.factoryReset(cmd.Context(), true); err != nil {
						return err
					}
				}
				return reboot(cmd.Context())
			})
		},
	}
}

// reboot has the service manager stop everything in order and start the machine again.
func reboot(ctx context.Context) error {
	if said, err := exec.CommandContext(ctx, "systemctl", "--no-block", "reboot").CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl reboot: %w: %s", err, clean1(string(said)))
	}
	return nil
}
