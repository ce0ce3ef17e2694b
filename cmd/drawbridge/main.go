// Command drawbridge is the whole product in one binary: the daemon of a peer, and the tool that operates it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
)

// version is set by the linker (Makefile).
var version = "unversioned"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t := newTool(os.Stdin, os.Stdout, os.Stderr)
	t.terminal = isatty.IsTerminal(os.Stdout.Fd())
	t.interactive = t.terminal && isatty.IsTerminal(os.Stdin.Fd())
	t.colour = t.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	code := t.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
