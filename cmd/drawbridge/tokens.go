package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Invitations to the network; voters give them out"}
	cmd.AddCommand(t.createTokenCommand(), t.listTokensCommand(), t.revokeTokenCommand())
	return cmd
}

func (t *tool) createTokenCommand() *cobra.Command {
	var r web.TokenRequest
	var life time.Duration
	var quiet bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Invite a peer; the token is shown once",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkToken(&r, life); err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			token, err := c.CreateToken(cmd.Context(), r)
			if err != nil {
				return err
			}
			return t.showNewToken(token, quiet)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&r.Roles, "role", nil, "what the peer may be: voter, gateway; repeat or separate by commas")
	flags.DurationVar(&life, "ttl", secure.DefaultTokenLife, "how long it is valid, such as 30m or 24h")
	flags.IntVar(&r.Uses, "uses", 1, "how many peers may join by it")
	flags.BoolVarP(&quiet, "quiet", "q", false, "print the token and nothing else")
	flags.BoolVar(&t.json, "json", false, "write JSON as the API has it")
	t.fail(cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"voter", "gateway"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// checkToken finds what is wrong with the flags before the daemon is asked.
func checkToken(r *web.TokenRequest, life time.Duration) error {
	roles, err := secure.ParseRoles(r.Roles)
	if err != nil {
		return usagef("--role: %v", err)
	}
	r.Roles = roles.Words()
	if life < time.Second || life > secure.MaxTokenLife {
		return usagef("--ttl %s: want 1s to %s", life, secure.MaxTokenLife)
	}
	if r.Uses < 1 || r.Uses > secure.MaxTokenUses {
		return usagef("--uses %d: want 1 to %d", r.Uses, secure.MaxTokenUses)
	}
	r.TTLS, r.By = int64(life/time.Second), caller()
	return nil
}

// caller is who runs this, through sudo if need be. It is for the list, not for access.
func caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

func (t *tool) showNewToken(token web.NewToken, quiet bool) error {
	switch {
	case t.json:
		return t.writeValue(token)
	case quiet:
		fmt.Fprintln(t.out, token.Token)
	default:
		fmt.Fprintln(t.out, token.Token)
		life := rest(token.Info.Expires.Sub(t.now()))
		fmt.Fprintf(t.out, "\nA secret for %s, valid for %s, roles: %s. On the new host:\n\n  drawbridge join %s --name NAME\n",
			drawbridge.Counted(token.Info.Uses, "peer"), life, list(token.Info.Roles), token.Token)
	}
	return nil
}

func (t *tool) listTokensCommand() *cobra.Command {
	return lists(t, &cobra.Command{
		Use:   "list",
		Short: "Invitations, those that ended included",
	}, reading[[]web.Token]{path: "tokens", show: showTokens}, choice{"state", "only those in this state: valid, expired, used or revoked"})
}

func showTokens(_ context.Context, _ *client.Client, p *page, tokens []web.Token) error {
	tab := newTable("ID", "STATE", "ENDS", ">LEFT", "ROLES", "BY", ">AGE")
	for _, k := range tokens {
		state := as(faint, k.State)
		if k.State == "valid" {
			state = as(good, k.State)
		}
		tab.row(as(strong, k.ID), state, p.left(k.Expires), fmt.Sprintf("%d of %d", k.Left, k.Uses), list(k.Roles), k.CreatedBy, p.since(k.Created))
	}
	p.add(tab, "no tokens: drawbridge token create makes one")
	return nil
}

func (t *tool) revokeTokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke ID",
		Short:             "Make a token useless; peers that joined by it stay",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := secure.ParseTokenID(args[0]); err != nil {
				return usagef("%v", err)
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			if err := c.RevokeToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "token %s is revoked\n", args[0])
			return nil
		},
	}
}
