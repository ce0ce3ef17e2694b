package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

var roleWords = []string{"viewer", "operator", "admin"}

func (t *tool) usersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "users", Short: "Who can log in to the console and the API, and with what rights"}
	cmd.AddCommand(t.listUsersCommand(), t.addUserCommand(), t.passwordCommand(), t.roleCommand(),
		t.disableCommand("disable", "Keep a user from logging in; sessions and tokens end at once", true),
		t.disableCommand("enable", "Let a user log in again", false),
		t.removeUserCommand(), t.totpCommand(), t.codeCommand(), t.sessionsCommand(), t.accessTokenCommand(), t.issuerCommand())
	return cmd
}

func (t *tool) listUsersCommand() *cobra.Command {
	return reads(t, &cobra.Command{Use: "list", Short: "Everybody who can log in"}, reading[[]web.User]{path: "users", show: showUsers})
}

func showUsers(_ context.Context, _ *client.Client, p *page, users []web.User) error {
	tab := newTable("USER", "ROLE", "STATE", "SECOND FACTOR", ">SESSIONS", ">PASSWORD AGE")
	for _, u := range users {
		state, factor := as(good, "enabled"), as(faint, "none")
		if u.Disabled {
			state = as(bad, "disabled")
		}
		if u.TOTP {
			factor = as(good, fmt.Sprintf("app, %s", drawbridge.Counted(u.RecoveryLeft, "recovery code")))
		}
		tab.row(as(strong, u.Name), u.Role, state, factor, number(u.Sessions), p.since(u.Changed))
	}
	p.add(tab, "no users: drawbridge users add NAME --role admin makes one, or the one-time code of drawbridge users code in the console")
	return nil
}

// acting is a command that does one thing to what its first argument names.
func (t *tool) acting(use, short string, args int, do func(ctx context.Context, c *client.Client, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(args), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			return do(cmd.Context(), c, args)
		},
	}
}

func checkRoleWord(word string) error {
	for _, w := range roleWords {
		if w == word {
			return nil
		}
	}
	return usagef("role %q: want %s", word, strings.Join(roleWords, ", "))
}

func (t *tool) addUserCommand() *cobra.Command {
	var role string
	cmd := t.acting("add NAME", "Make a user; the password is asked for, or read from standard input", 1, func(ctx context.Context, c *client.Client, args []string) error {
		if err := checkRoleWord(role); err != nil {
			return err
		}
		password, err := t.askPassword(args[0])
		if err != nil {
			return err
		}
		u, err := c.AddUser(ctx, web.UserRequest{Name: args[0], Role: role, Password: password})
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "user %s is %s\n", u.Name, u.Role)
		return nil
	})
	t.roleFlag(cmd, &role)
	return cmd
}

func (t *tool) roleFlag(cmd *cobra.Command, role *string) {
	cmd.Flags().StringVar(role, "role", "viewer", "viewer (reads), operator (moves gates, captures) or admin (everything)")
	t.fail(cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(roleWords, cobra.ShellCompDirectiveNoFileComp)))
}

func (t *tool) passwordCommand() *cobra.Command {
	return t.acting("passwd NAME", "Set a user's password, which is asked for or read from standard input; sessions of the user end", 1, func(ctx context.Context, c *client.Client, args []string) error {
		password, err := t.askPassword(args[0])
		if err != nil {
			return err
		}
		if err := c.SetPassword(ctx, args[0], password); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "user %s has a new password\n", args[0])
		return nil
	})
}

func (t *tool) roleCommand() *cobra.Command {
	cmd := t.acting("role NAME ROLE", "Change what a user may do", 2, func(ctx context.Context, c *client.Client, args []string) error {
		if err := checkRoleWord(args[1]); err != nil {
			return err
		}
		u, err := c.ChangeUser(ctx, args[0], web.UserChange{Role: &args[1]})
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "user %s is %s\n", u.Name, u.Role)
		return nil
	})
	return cmd
}

func (t *tool) disableCommand(use, short string, disabled bool) *cobra.Command {
	return t.acting(use+" NAME", short, 1, func(ctx context.Context, c *client.Client, args []string) error {
		if _, err := c.ChangeUser(ctx, args[0], web.UserChange{Disabled: &disabled}); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "user %s is %sd\n", args[0], use)
		return nil
	})
}

func (t *tool) removeUserCommand() *cobra.Command {
	return t.acting("remove NAME", "Remove a user with their sessions and API tokens", 1, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.RemoveUser(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "user %s is removed\n", args[0])
		return nil
	})
}

func (t *tool) codeCommand() *cobra.Command {
	return t.acting("code", "The one-time code that makes the first admin in the console", 0, func(ctx context.Context, c *client.Client, _ []string) error {
		code, err := c.FirstRunCode(ctx)
		if err != nil {
			return err
		}
		if code.Code == "" {
			return fmt.Errorf("there is no one-time code: there are users already, or the node file has no console; drawbridge users add makes a user here")
		}
		fmt.Fprintln(t.out, code.Code)
		return nil
	})
}
