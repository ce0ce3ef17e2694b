package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"

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
	if t.socket != "" {
		c.Socket = t.socket
	}
	n, err := appliance.New(c, version, logger(c.Log, t.err))
	if err != nil {
		return fmt.Errorf("start peer: %w", err)
	}
	err = n.Run(ctx)
	if errors.Is(err, appliance.ErrRestart) {
		return startAgain()
	}
	return err
}

// logger writes as the node file says. The journal dates every line itself, and says by its variable that it
// is where the lines go (systemd.exec(5)).
func logger(l config.Log, to io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: l.Slog()}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(to, o))
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = undated
	}
	return slog.New(slog.NewTextHandler(to, o))
}

func undated(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// startAgain makes this process a new one of what is at its path now. systemd does it itself, with the sockets that it keeps.
func startAgain() error {
	if os.Getenv("NOTIFY_SOCKET") != "" {
		return nil // Restart=always
	}
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	return fmt.Errorf("start %s again: %w", path, syscall.Exec(path, os.Args, os.Environ()))
}
