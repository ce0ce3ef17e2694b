package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
)

func (t *tool) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Version of this command, and of the daemon when it runs",
		RunE:  func(cmd *cobra.Command, _ []string) error { return t.showVersion(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON")
	return cmd
}

// versions is what version --json writes.
type versions struct {
	web.Version
	Daemon *web.Version `json:"daemon"` // null: it does not run
}

func (t *tool) showVersion(ctx context.Context) error {
	v := versions{Version: web.Version{Version: version, Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if c, err := t.client(); err == nil {
		if daemon, err := c.Version(ctx); err == nil { // none is fine: the command has a version without it
			v.Daemon = &daemon
		}
	}
	if t.json {
		return t.writeValue(v)
	}
	fmt.Fprintf(t.out, "drawbridge %s (%s, %s)\n", v.Version.Version, v.Go, v.OS)
	if v.Daemon != nil && v.Daemon.Version != v.Version.Version {
		fmt.Fprintf(t.out, "daemon     %s (%s, %s): restart it to run this version\n", v.Daemon.Version, v.Daemon.Go, v.Daemon.OS)
	}
	return nil
}
