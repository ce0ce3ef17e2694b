package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) issuerCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "issuer", Short: "Log in by somebody else's account (OpenID Connect), the same on all peers"}
	cmd.AddCommand(t.showIssuerCommand(), t.setIssuerCommand(), t.removeIssuerCommand())
	return cmd
}

func (t *tool) showIssuerCommand() *cobra.Command {
	return reads(t, &cobra.Command{Use: "show", Short: "The issuer by which people can log in, without its secret"}, reading[web.Issuer]{path: "oidc", show: showIssuer})
}

func showIssuer(_ context.Context, _ *client.Client, p *page, i web.Issuer) error {
	tab := newTable("SETTING", "VALUE")
	for _, row := range [][2]string{
		{"name", i.Name},
		{"issuer", i.Issuer},
		{"client_id", i.ClientID},
		{"redirect_url", i.RedirectURL},
		{"name_claim", i.NameClaim},
		{"role_claim", i.RoleClaim},
		{"scopes", strings.Join(i.Scopes, " ")},
	} {
		tab.row(as(strong, row[0]), row[1])
	}
	for _, value := range slices.Sorted(maps.Keys(i.Roles)) {
		tab.row(as(strong, "role of "+value), i.Roles[value])
	}
	p.add(tab, "")
	return nil
}

func (t *tool) setIssuerCommand() *cobra.Command {
	cmd := t.acting("set FILE", "Set the issuer from a JSON file, - for standard input; sessions that it vouched for end", 1, func(ctx context.Context, c *client.Client, args []string) error {
		i, err := t.readIssuer(args[0])
		if err != nil {
			return err
		}
		if err := c.SetIssuer(ctx, i); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "people can log in by %s\n", i.Issuer)
		return nil
	})
	cmd.Long = "The file is as drawbridge users issuer show --json writes it. A client_secret that is left out stays as\n" +
		"it was. {host} in redirect_url stands for the console that somebody logs in at: tell the issuer the address of each."
	cmd.ValidArgsFunction = nil
	return cmd
}

const maxIssuer = 64 << 10 // bytes

func (t *tool) readIssuer(name string) (i web.Issuer, err error) {
	in := t.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return i, err
		}
		defer f.Close()
		in = f
	}
	d := json.NewDecoder(io.LimitReader(in, maxIssuer))
	d.DisallowUnknownFields()
	if err := d.Decode(&i); err != nil {
		return i, fmt.Errorf("issuer in %s: %w: drawbridge users issuer show --json shows the form", name, err)
	}
	return i, nil
}

func (t *tool) removeIssuerCommand() *cobra.Command {
	return t.acting("remove", "Have no issuer; sessions that it vouched for end", 0, func(ctx context.Context, c *client.Client, _ []string) error {
		if err := c.RemoveIssuer(ctx); err != nil {
			return err
		}
		fmt.Fprintln(t.out, "people log in as users of this network only")
		return nil
	})
}
