package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance"
	"github.com/drawbridge-net/drawbridge/appliance/config"
)

func (t *tool) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run this peer until it is told to stop",
		Long: "Run this peer in the foreground, as the node file says, until SIGTERM or Ctrl-C.\n" +
			"It says goodbye to the network before it ends. systemd runs it as drawbridge.service.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.runPeer(cmd.Context()) },
	}
}

func (t *tool) runPeer(ctx context.Context) error {
	c, err := config.Load(t.configPath())
	if err != nil {
		return err
	}
	n, err := appliance.New(c, version, logger(c.Log, t.err))
	if err != nil {
		return fmt.Errorf("start peer: %w", err)
	}
	return n.Run(ctx)
}

func logger(l config.Log, to io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.Slog()}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, o))
	}
	return slog.New(slog.NewTextHandler(to, o))
}
