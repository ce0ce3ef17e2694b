package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) forgetAddressesCommand() *cobra.Command {
	var yes, dry bool
	cmd := &cobra.Command{
		Use:               "forget PEER",
		Short:             "End a peer's part in giving addresses, after it lost its state file: its space is inherited",
		Long:              "The peer begins anew with space that others give it. A peer that is gone for good is removed with drawbridge peers forget, which does this as well.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completePeers,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			i, err := c.Inheritance(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			clean(&i)
			if dry {
				fmt.Fprint(t.out, inheritanceText(i))
				return nil
			}
			fmt.Fprint(t.err, inheritanceText(i))
			if !yes && !t.sure("End the part of peer "+args[0]+" in giving addresses?") {
				return fmt.Errorf("the part of peer %s goes on", args[0])
			}
			if i, err = c.ForgetAddresses(cmd.Context(), args[0]); err != nil {
				return err
			}
			clean(&i)
			fmt.Fprintf(t.out, "the part of peer %s has ended; %s inherits\n", i.Peer, heirText(i))
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask; nobody is asked where standard input is no terminal")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show what would be inherited, and by whom")
	return cmd
}

// showInheritance tells what happens to the address space of a peer that is about to be removed. A network without addresses
// has nothing to tell.
func (t *tool) showInheritance(ctx context.Context, c *client.Client, peer string) {
	if i, err := c.Inheritance(ctx, peer); err == nil {
		clean(&i)
		fmt.Fprint(t.err, inheritanceText(i))
	}
}

func heirText(i web.Inheritance) string {
	if i.Heir == "" {
		return "the first peer that comes back"
	}
	return "peer " + i.Heir
}

// inheritanceText is for people who decide about it.
func inheritanceText(i web.Inheritance) string {
	var b strings.Builder
	for _, p := range i.Parts {
		if len(p.Parts) > 0 {
			fmt.Fprintf(&b, "%s inherits %s of subnet %s\n", heirText(i), strings.Join(p.Parts, ", "), p.Subnet)
		}
	}
	if b.Len() == 0 {
		return fmt.Sprintf("peer %s owns no address space\n", i.Peer)
	}
	fmt.Fprintf(&b, "it is used when all peers have answered, and %s or peer %s itself has confirmed\n",
		(time.Duration(i.WaitS)*time.Second).String()+" are over", i.Peer)
	return b.String()
}

func (t *tool) suggestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suggest [CANDIDATE...]",
		Args:  cobra.ArbitraryArgs,
		Short: "Find a subnet that no peer has routes to or neighbours in: the first of the candidates, or one that is seldom in use",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			s, err := c.SuggestSubnet(cmd.Context(), args)
			if err != nil {
				return err
			}
			if t.json {
				return t.writeValue(s)
			}
			clean(&s)
			for _, r := range s.Refused {
				fmt.Fprintf(t.err, "%s %s\n", r.Subnet, r.Why)
			}
			fmt.Fprintln(t.out, s.Subnet)
			return nil
		},
	}
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
	return cmd
}
