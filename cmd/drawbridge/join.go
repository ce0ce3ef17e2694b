package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// maxTokenText bounds what is read of a token on standard input.
const maxTokenText = 64 << 10

func (t *tool) joinCommand() *cobra.Command {
	var s setup
	cmd := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Join the network that a token invites to",
		Long: "The token comes from drawbridge token create on a voter.\n" +
			"With - it is read from standard input, where other users of this host cannot see it.\n" +
			"What was interrupted can be repeated with the same token and name.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := t.readToken(args[0])
			if err != nil {
				return err
			}
			return t.join(cmd.Context(), &s, token)
		},
	}
	s.flags(cmd)
	return cmd
}

func (t *tool) readToken(arg string) (secure.Token, error) {
	if arg != "-" {
		return secure.ParseToken(arg)
	}
	text, err := io.ReadAll(io.LimitReader(t.in, maxTokenText))
	if err != nil {
		return secure.Token{}, fmt.Errorf("token on standard input: %w", err)
	}
	return secure.ParseToken(strings.TrimSpace(string(text)))
}

func (t *tool) join(ctx context.Context, s *setup, token secure.Token) error {
	peer, err := s.peer()
	if err != nil {
		return err
	}
	c, undo, err := s.prepare(t, peer, token.Addrs)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.err, "joining network %s as %s\n", token.Network.Name, peer)
	credentials, err := secure.Join(ctx, token, peer, c.StateDir, secure.JoinOptions{Progress: progress(t.err)})
	if err != nil {
		undo()
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted; the same command goes on where this one stopped: %w", err)
		}
		return err
	}
	defer credentials.Close()
	fmt.Fprintf(t.out, "%s (%s) has joined network %s; roles: %s\n", peer, credentials.ID(), credentials.Network.Name, list(credentials.Self().Roles.Words()))
	fmt.Fprint(t.out, next())
	return nil
}

// progress tells of every address that is called, and why that was not enough once another one is called. The
// last reason is part of the error of joining.
func progress(to io.Writer) func(addr string, err error) {
	refused := ""
	return func(addr string, err error) {
		if err != nil {
			refused = fmt.Sprintf("%s did not admit this host: %v\n", addr, err)
			return
		}
		fmt.Fprintf(to, "%scalling %s\n", refused, addr)
		refused = ""
	}
}
