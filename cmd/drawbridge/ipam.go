package main

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) ipamCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ipam", Short: "Addresses: who has which, who may give which, and giving them by hand"}
	cmd.AddCommand(t.addressesCommand(), t.subnetCommand(), t.ringCommand(), t.whyCommand(),
		t.allocateCommand(), t.claimCommand(), t.reserveCommand(), t.releaseCommand(), t.donateCommand(), t.exportAddressesCommand(), t.importAddressesCommand(),
		t.forgetAddressesCommand(), t.suggestCommand())
	return cmd
}

func (t *tool) addressesCommand() *cobra.Command {
	var here bool
	var subnet, use, find string
	var limit int
	cmd := reads(t, &cobra.Command{
		Use:   "list",
		Short: "Addresses that are not free, at all peers that answer",
	}, reading[[]web.Address]{path: "ipam/addresses", show: showAddresses, query: func() url.Values {
		q := url.Values{}
		for name, value := range map[string]string{"subnet": subnet, "use": use, "find": find} {
			if value != "" {
				q.Set(name, value)
			}
		}
		if limit > 0 {
			q.Set("limit", strconv.Itoa(limit))
		}
		if !here {
			q.Set("everywhere", "true")
		}
		return q
	}})
	cmd.Flags().StringVar(&subnet, "subnet", "", "only addresses of this prefix")
	cmd.Flags().StringVar(&use, "use", "", "only those that are not free for this reason, such as allocated, lent, foreign")
	cmd.Flags().StringVar(&find, "find", "", "only those with this text in address, owner, host, hardware address, port or peer")
	cmd.Flags().IntVar(&limit, "limit", 0, "the most that are shown; 0: all")
	cmd.Flags().BoolVar(&here, "here", false, "only those of this peer")
	return cmd
}

func showAddresses(_ context.Context, _ *client.Client, p *page, all []web.Address) error {
	tab := newTable("ADDRESS", "USE", "OWNER", "HOST", "AT", "PORT", "LENT TO", ">ENDS IN")
	for _, a := range all {
		style := plain
		if a.Use == "foreign" {
			style = warn
		}
		tab.row(as(strong, a.Address), as(style, a.Use), a.Owner, a.Host, a.At, a.Port, a.Peer, endsIn(p.now, a.Until))
	}
	p.add(tab, "all addresses are free: guests get theirs by DHCP, others by drawbridge ipam allocate")
	return nil
}

// noSubnet is how the first one comes about.
const noSubnet = "no subnets: add a [[subnet]] to the network configuration (drawbridge config edit); drawbridge ipam suggest finds one"

func endsIn(now time.Time, until *time.Time) string {
	if until == nil {
		return "never"
	}
	return max(0, until.Sub(now)).Round(time.Second).String()
}

// subnetsCommand is a reading command about all subnets, or the one that is named.
func (t *tool) subnetsCommand(use, short string, show func(*page, []web.Subnet)) *cobra.Command {
	var only string
	return reads(t, &cobra.Command{
		Use: use + " [SUBNET]", Short: short, Args: cobra.MaximumNArgs(1),
		PreRunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			only = args[0]
			if _, err := netip.ParsePrefix(only); err != nil {
				return usagef("SUBNET: %v", err)
			}
			return nil
		},
	}, reading[[]web.Subnet]{path: "ipam/subnets", show: func(_ context.Context, _ *client.Client, p *page, all []web.Subnet) error {
		var chosen []web.Subnet
		for _, s := range all {
			if only == "" || s.Subnet == only {
				chosen = append(chosen, s)
			}
		}
		if len(chosen) == 0 && only != "" {
			return fmt.Errorf("the network has no subnet %s", only)
		}
		show(p, chosen)
		return nil
	}})
}

func (t *tool) subnetCommand() *cobra.Command {
	return t.subnetsCommand("show", "Subnets, and how much of them each peer has", func(p *page, all []web.Subnet) {
		tab := newTable("SUBNET", "OVERLAY", "SERVER", "PEER", ">FREE", ">FREE BLOCKS", ">DRY IN", "PROBLEM")
		for _, s := range all {
			overlays := strings.Join(s.Overlays, ", ")
			if overlays == "" {
				overlays = "not configured any more"
			}
			if len(s.Peers) == 0 {
				tab.row(as(strong, s.Subnet), overlays, s.Server, "", "", "", "", as(bad, s.Reason))
			}
			for _, q := range s.Peers {
				dry := ""
				if q.DryS > 0 {
					dry = (time.Duration(q.DryS) * time.Second).String()
				}
				tab.row(as(strong, s.Subnet), overlays, s.Server, q.Peer, q.Free, q.FreeBlocks, as(warn, dry), as(bad, s.Reason))
			}
		}
		p.add(tab, noSubnet)
	})
}

func (t *tool) ringCommand() *cobra.Command {
	return t.subnetsCommand("ring", "Who owns which part of a subnet", func(p *page, all []web.Subnet) {
		tab := newTable("SUBNET", "PART", "OWNER", "LIFE")
		for _, s := range all {
			for _, r := range s.Ring {
				tab.row(as(strong, s.Subnet), r.Prefix, r.Peer, as(faint, r.Life))
			}
		}
		p.add(tab, noSubnet)
	})
}

func (t *tool) whyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "why ADDRESS", Short: "Why an address is as it is: who owns its block, who has it, what could be done", Args: cobra.ExactArgs(1)}
	return readsAbout(t, cmd, func(args []string) (reading[web.AddressWhy], error) {
		a, err := netip.ParseAddr(args[0])
		if err != nil {
			return reading[web.AddressWhy]{}, usagef("ADDRESS: %v", err)
		}
		return reading[web.AddressWhy]{path: "ipam/addresses/" + url.PathEscape(a.String()), show: func(_ context.Context, _ *client.Client, p *page, w web.AddressWhy) error {
			p.WriteString(strings.Join(w.Why, "\n") + "\n")
			return nil
		}}, nil
	})
}

func (t *tool) releaseCommand() *cobra.Command {
	return t.onAddress("release ADDRESS", "Free an address, wherever it was given", func(ctx context.Context, c *client.Client, a string) error {
		if err := c.ReleaseAddress(ctx, a); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "%s is free\n", a)
		return nil
	})
}

// onAddress is a command about one address.
func (t *tool) onAddress(use, short string, do func(context.Context, *client.Client, string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		a, err := netip.ParseAddr(args[0])
		if err != nil {
			return usagef("ADDRESS: %v", err)
		}
		c, err := t.client()
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, a.String())
	}}
}

func (t *tool) allocateCommand() *cobra.Command {
	var r web.AddressRequest
	var life time.Duration
	cmd := &cobra.Command{
		Use: "allocate OWNER", Short: "Give an owner an address; the same again, if it has one", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Owner = args[0]
			return t.allocate(cmd.Context(), r, life)
		},
	}
	cmd.Flags().StringVar(&r.Subnet, "subnet", "", "from which; needed when the network has several")
	t.allocateFlags(cmd, &life)
	return cmd
}

func (t *tool) claimCommand() *cobra.Command {
	var life time.Duration
	cmd := &cobra.Command{
		Use: "claim ADDRESS OWNER", Short: "Give an owner this address and no other", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.allocate(cmd.Context(), web.AddressRequest{Address: args[0], Owner: args[1]}, life)
		},
	}
	t.allocateFlags(cmd, &life)
	return cmd
}

func (t *tool) reserveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reserve ADDRESS WHY", Short: "Keep an address from being given, until it is released", Args: cobra.ExactArgs(2),
		Long: "Ranges are reserved in the network configuration: [[subnet]] reserved.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.allocate(cmd.Context(), web.AddressRequest{Address: args[0], Owner: "reserved " + args[0] + ": " + args[1]}, 0)
		},
	}
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
	return cmd
}

func (t *tool) allocateFlags(cmd *cobra.Command, life *time.Duration) {
	cmd.Flags().DurationVar(life, "for", 0, "free it after this time, such as 24h, unless it is asked for again; 0: when it is released")
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
}

func (t *tool) allocate(ctx context.Context, r web.AddressRequest, life time.Duration) error {
	if life < 0 || life > 0 && life < time.Second {
		return usagef("--for %s: want at least 1s", life)
	}
	r.ForS = int(life / time.Second)
	c, err := t.client()
	if err != nil {
		return err
	}
	a, err := c.AllocateAddress(ctx, r)
	if err != nil {
		return err
	}
	if t.json {
		return t.writeValue(a)
	}
	clean(&a)
	fmt.Fprintln(t.out, a.Address)
	return nil
}
