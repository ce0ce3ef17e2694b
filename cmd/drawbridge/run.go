package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
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
			"It says goodbye to the network before it ends. systemd runs it as drawbridge.service.\n" +
			"SIGHUP has it read the node file again (systemctl reload drawbridge): join and log.level count at once, status names what takes\n" +
			"effect at the next start, and a file with an error changes nothing. The end of the terminal is no end of a gateway, either:\n" +
			"it sends SIGHUP, and the peer goes on until SIGTERM.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.runPeer(cmd.Context()) },
	}
}

func (t *tool) runPeer(ctx context.Context) error {
	again := hangUps()
	c, err := t.nodeFile()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(c.Log.Slog())
	n, err := appliance.New(c, version, logger(c.Log.Format, level, t.err))
	if err != nil {
		return fmt.Errorf("start peer: %w", err)
	}
	n.FollowNodeFile(appliance.NodeFile{Again: again, Read: t.nodeFile, Level: level})
	err = n.Run(ctx)
	if errors.Is(err, appliance.ErrRestart) {
		return startAgain()
	}
	return err
}

// hangUps takes SIGHUP from now to the end of the process, and what a reader of the log that is gone sends (SIGPIPE): neither of them may
// end a gateway. One that waits is enough for any number of them.
func hangUps() <-chan os.Signal {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return again
}

// nodeFile is what the node file says now, with what the command line says otherwise.
func (t *tool) nodeFile() (*config.Config, error) {
	c, err := config.Load(t.configPath())
	if err == nil && t.socket != "" {
		c.Socket = t.socket
	}
	return c, err
}

// logger writes as the node file says. The journal dates every line itself, and says by its variable that it
// is where the lines go (systemd.exec(5)).
func logger(format string, level slog.Leveler, to io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
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
	signal.Ignore(syscall.SIGHUP) // until the new one listens for it: what is ignored stays so (execve(2))
	return fmt.Errorf("start %s again: %w", path, syscall.Exec(path, os.Args, os.Environ()))
}
