package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) donateCommand() *cobra.Command {
	var d web.AddressDonation
	cmd := t.act("donate BLOCK|COUNT", "Give free address space of this peer to another", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		if err := partOrCount(&d, args[0]); err != nil {
			return err
		}
		if d.To == "" {
			return usagef("--to: name the peer that is to have the space")
		}
		g, err := c.DonateAddresses(ctx, d)
		if err != nil {
			return err
		}
		if t.json {
			return t.writeValue(g)
		}
		clean(&g)
		said := "given to"
		if d.DryRun {
			said = "would be given to"
		}
		fmt.Fprintf(t.out, "%s %s peer %s: %d free addresses; %d free blocks of %s stay here\n", strings.Join(g.Parts, ", "), said, g.To, g.Addresses, g.Left, g.Subnet)
		return nil
	})
	cmd.Long = "A block or a prefix of some, as drawbridge ipam ring shows them, or as many blocks as a\n" +
		"number says. Peers do so by themselves when one runs dry; by hand it is for a site that will need many addresses, or be cut off."
	cmd.Flags().StringVar(&d.To, "to", "", "peer that is to have the space")
	cmd.Flags().StringVar(&d.Subnet, "subnet", "", "of which, with COUNT; needed when the network has several")
	cmd.Flags().BoolVar(&d.DryRun, "dry-run", false, "only show what would be given")
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
	t.fail(cmd.RegisterFlagCompletionFunc("to", t.completePeers))
	return cmd
}

// partOrCount reads BLOCK or COUNT.
func partOrCount(d *web.AddressDonation, arg string) error {
	if _, err := netip.ParsePrefix(arg); err == nil {
		d.Part = arg
		return nil
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return usagef("%q: want a prefix such as 10.43.0.64/28, or a number of blocks", arg)
	}
	d.Count = n
	return nil
}
