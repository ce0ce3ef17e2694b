package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) totpCommand() *cobra.Command {
	var remove bool
	cmd := t.acting("totp NAME", "Have log in ask for a code of an authenticator app, or no longer", 1, func(ctx context.Context, c *client.Client, args []string) error {
		if remove {
			if err := c.EndTOTP(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "user %s logs in by password alone\n", args[0])
			return nil
		}
		return t.enrol(ctx, c, args[0])
	})
	cmd.Flags().BoolVar(&remove, "remove", false, "end it, for somebody who lost phone and recovery codes")
	return cmd
}

// enrol shows a secret, and asks for a code to be sure that it arrived.
func (t *tool) enrol(ctx context.Context, c *client.Client, name string) error {
	secret, err := c.EnrolUser(ctx, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "Type this into the authenticator app, or make a QR code of the second line:\n\n    %s\n    %s\n\n", secret.Secret, secret.URI)
	fmt.Fprint(t.err, "Code that the app shows now: ")
	code, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && code == "" {
		return fmt.Errorf("no code was given: nothing was changed")
	}
	recovery, err := c.ConfirmUser(ctx, name, strings.TrimSpace(code))
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\nuser %s logs in with a code from now on. For the day when the phone is lost, each good once:\n\n    %s\n", name, strings.Join(recovery.Codes, "\n    "))
	return nil
}

func (t *tool) sessionsCommand() *cobra.Command {
	cmd := reads(t, &cobra.Command{Use: "sessions", Short: "Log ins on this peer that have not ended"}, reading[[]web.Session]{path: "sessions", show: showSessions})
	cmd.AddCommand(t.acting("end ID", "End a log in at once", 1, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.EndSession(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "session %s is ended\n", args[0])
		return nil
	}))
	return cmd
}

func showSessions(_ context.Context, _ *client.Client, p *page, sessions []web.Session) error {
	tab := newTable("ID", "USER", "FROM", ">AGE", ">IDLE", "ENDS", "BROWSER")
	for _, s := range sessions {
		tab.row(as(strong, s.ID), s.User, s.From, p.since(s.Began), p.since(s.Seen), p.left(s.Expires), s.Agent)
	}
	p.add(tab, "nobody is logged in on this peer: drawbridge users list shows who may")
	return nil
}

func (t *tool) accessTokenCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "API tokens for programs; not the invitations of drawbridge token"}
	cmd.AddCommand(t.createAccessTokenCommand(),
		reads(t, &cobra.Command{Use: "list", Short: "API tokens"}, reading[[]web.AccessToken]{path: "access-tokens", show: showAccessTokens}),
		t.acting("revoke ID", "End an API token at once", 1, func(ctx context.Context, c *client.Client, args []string) error {
			if err := c.RevokeAccessToken(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "API token %s is revoked\n", args[0])
			return nil
		}))
	return cmd
}

func showAccessTokens(_ context.Context, _ *client.Client, p *page, tokens []web.AccessToken) error {
	tab := newTable("ID", "ROLE", "PATHS", "OWNER", "ENDS", ">LAST USED", "COMMENT")
	for _, k := range tokens {
		paths, owner := k.Prefix, k.Owner
		if paths == "" {
			paths = "all"
		}
		if owner == "" {
			owner = "this host"
		}
		tab.row(as(strong, k.ID), k.Role, paths, owner, p.left(k.Expires), p.since(k.LastUsed), k.Comment)
	}
	p.add(tab, "no API tokens: drawbridge users token create makes one")
	return nil
}

func (t *tool) createAccessTokenCommand() *cobra.Command {
	var r web.AccessTokenRequest
	var life time.Duration
	var quiet bool
	cmd := t.acting("create", "Make an API token; it is shown once", 0, func(ctx context.Context, c *client.Client, _ []string) error {
		if err := checkRoleWord(r.Role); err != nil {
			return err
		}
		if life < time.Second {
			return usagef("--ttl %s: want at least 1s", life)
		}
		r.TTLS = int64(life / time.Second)
		made, err := c.CreateAccessToken(ctx, r)
		switch {
		case err != nil:
			return err
		case t.json:
			return t.writeValue(made)
		case quiet:
			fmt.Fprintln(t.out, made.Token)
		default:
			fmt.Fprintf(t.out, "%s\n\nA secret, %s, valid for %s. Send it as Authorization: Bearer TOKEN.\n", made.Token, made.Info.Role, rest(made.Info.Expires.Sub(t.now())))
		}
		return nil
	})
	t.roleFlag(cmd, &r.Role)
	flags := cmd.Flags()
	flags.StringVar(&r.Prefix, "path", "", "only this path of the API and those below, such as /api/v1/status")
	flags.StringVar(&r.Comment, "comment", "", "what it is for")
	flags.DurationVar(&life, "ttl", 90*24*time.Hour, "how long it is valid, such as 24h; 2160h are 90 days")
	flags.BoolVarP(&quiet, "quiet", "q", false, "print the token and nothing else")
	flags.BoolVar(&t.json, "json", false, "write JSON as the API has it")
	return cmd
}
