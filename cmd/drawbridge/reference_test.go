package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const referenceIntro = `# Command line

One binary is the daemon and the tool that operates it. This page is made from the commands themselves
(` + "`go test ./cmd/drawbridge -update`" + `); a test fails when it is out of date.

Every command takes:

%s
Reading commands take ` + "`--json`" + ` (what the API answers) and ` + "`--watch`" + ` (go on, and show every change; with
` + "`--json`" + ` one document a line). Colour is for terminals, and not when ` + "`NO_COLOR`" + ` is set.

| exit code | means |
|---|---|
| 0 | done; also a watching command that was interrupted |
| 1 | failed; the message says why and what to do |
| 2 | the command line makes no sense |
| 3 | the daemon cannot be reached; the message names its socket |

The socket is the first of: ` + "`--socket`, `DRAWBRIDGE_SOCKET`" + `, the node file, ` + "`/run/drawbridge/drawbridge.sock`" + `.
` + "`drawbridge completion bash|zsh|fish`" + ` prints a script for the shell, which completes names of peers, ports,
segments and tokens from the running daemon.
`

// reference is docs/reference/cli.md.
func reference(root *cobra.Command) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, referenceIntro, fence(root.PersistentFlags().FlagUsages()))
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
				continue
			}
			fmt.Fprintf(&b, "\n## `%s`\n\n%s.\n\n", sub.UseLine(), sub.Short)
			if sub.Long != "" {
				fmt.Fprintf(&b, "%s\n\n", sub.Long)
			}
			if sub.Example != "" {
				b.WriteString(fence(sub.Example+"\n") + "\n")
			}
			sub.InitDefaultHelpFlag()
			_ = sub.Flags().MarkHidden("help")
			if flags := sub.LocalFlags().FlagUsages(); flags != "" {
				b.WriteString(fence(flags))
			}
			walk(sub)
		}
	}
	walk(root)
	return strings.ReplaceAll(b.String(), "\n\n\n", "\n\n")
}

func fence(text string) string { return "```\n" + text + "```\n" }

func TestReference(t *testing.T) {
	const path = "../../docs/reference/cli.md"
	want := reference(newTool(nil, nil, nil).root())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is out of date; go test ./cmd/drawbridge -update writes it (%v)", path, err)
	}
}

func TestEveryReadingCommandTakesJSON(t *testing.T) {
	root := newTool(nil, nil, nil).root()
	all := slices.DeleteFunc(slices.Clone(root.Commands()), func(c *cobra.Command) bool { return c.GroupID != groupLook })
	for _, line := range []string{
		"config show", "config diff", "config log", "ipam why", "macs story", "segments mode", "segments gate", "rollout status", "update status",
		"drill list", "peers links", "alerts sinks", "token list", "users token list", "users sessions", "users list",
	} {
		c, _, err := root.Find(strings.Fields(line))
		if err != nil || c.CommandPath() != "drawbridge "+line {
			t.Errorf("there is no %s", line)
			continue
		}
		all = append(all, c)
	}
	for _, c := range all {
		for _, flag := range []string{"json", "watch"} {
			if c.Flags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", c.CommandPath(), flag)
			}
		}
	}
}
