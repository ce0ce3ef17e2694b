package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual. The package is built with it; cobra/doc would bring two more modules into the daemon for
// what these few lines do.
func (t *tool) manCommand() *cobra.Command {
	var date string
	cmd := &cobra.Command{
		Use: "man DIRECTORY", Short: "Write a manual page for each command", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := t.now()
			if date != "" {
				var err error
				if at, err = time.Parse(time.DateOnly, date); err != nil {
					return usagef("--date: %v", err)
				}
			}
			for name, text := range manual(cmd.Root(), at) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return fmt.Errorf("write the manual: %w", err)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "date of the pages, such as 2026-11-21 (default: today)")
	return cmd
}

// told reports whether a command is one for people.
func told(c *cobra.Command) bool { return !c.Hidden && c.Name() != "help" }

// manual has a page for every command, by the name of its file.
func manual(root *cobra.Command, at time.Time) map[string]string {
	root.InitDefaultCompletionCmd()
	pages := map[string]string{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		pages[pageName(c)+".1"] = manPage(c, at)
		for _, sub := range c.Commands() {
			if told(sub) {
				walk(sub)
			}
		}
	}
	walk(root)
	return pages
}

// pageName is as git and others have it: drawbridge-ports-clear.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// roff is a page under way (man(7)).
type roff struct{ strings.Builder }

// escape keeps roff from reading what is meant for people: a hyphen is a minus that can be copied, and a line must not
// begin with a control character.
var escape = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'", "`", "")

func (r *roff) text(s string) {
	s = escape.Replace("\n" + s)
	r.WriteString(strings.TrimPrefix(s, "\n") + "\n")
}

func (r *roff) section(title string) { fmt.Fprintf(r, ".SH %s\n", title) }

// literal is text whose lines stay as they are.
func (r *roff) literal(s string) {
	r.WriteString(".EX\n")
	r.text(strings.TrimRight(s, "\n"))
	r.WriteString(".EE\n")
}

func manPage(c *cobra.Command, at time.Time) string {
	c.InitDefaultHelpFlag()
	r := &roff{}
	fmt.Fprintf(r, ".TH %q 1 %q %q %q\n", strings.ToUpper(pageName(c)), at.UTC().Format(time.DateOnly), "Drawbridge "+version, "Drawbridge")
	r.section("NAME")
	r.text(pageName(c) + ` - ` + strings.TrimSuffix(c.Short, "."))
	r.section("SYNOPSIS")
	_, group := c.Annotations[onlyGroup]
	if !group {
		r.bold(c.UseLine())
	}
	if len(children(c)) > 0 {
		if !group {
			r.WriteString(".br\n")
		}
		r.bold(c.CommandPath() + " COMMAND")
	}
	r.section("DESCRIPTION")
	r.text(strings.TrimSuffix(c.Short, ".") + ".")
	if c.Long != "" {
		r.WriteString(".PP\n")
		r.paragraphs(c.Long)
	}
	r.commands(c)
	r.options("OPTIONS", c.NonInheritedFlags())
	r.options("OPTIONS OF ALL COMMANDS", c.InheritedFlags())
	if c.Example != "" {
		r.section("EXAMPLES")
		r.literal(c.Example)
	}
	if !c.HasParent() {
		r.generalities()
	}
	r.seeAlso(c)
	return r.String()
}

func (r *roff) bold(s string) { r.WriteString(".B "); r.text(s) }

func (r *roff) paragraphs(s string) {
	for i, p := range strings.Split(s, "\n\n") {
		if i > 0 {
			r.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, "  ") || strings.Contains(p, "\n  ") {
			r.literal(p)
		} else {
			r.text(p)
		}
	}
}

func children(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		if told(sub) {
			all = append(all, sub)
		}
	}
	return all
}

func (r *roff) commands(c *cobra.Command) {
	subs := children(c)
	if len(subs) == 0 {
		return
	}
	r.section("COMMANDS")
	for _, sub := range subs {
		r.WriteString(".TP\n")
		r.bold(sub.Name())
		r.text(strings.TrimSuffix(sub.Short, ".") + "; see " + pageName(sub) + "(1).")
	}
}

func (r *roff) options(title string, flags *pflag.FlagSet) {
	first := true
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		if first {
			r.section(title)
			first = false
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if value != "" {
			name += " " + value
		}
		r.WriteString(".TP\n")
		r.bold(name)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" && f.DefValue != "0s" {
			usage += " (default: " + f.DefValue + ")"
		}
		r.text(usage)
	})
}

// generalities are on the first page alone.
func (r *roff) generalities() {
	r.section("EXIT STATUS")
	for _, x := range [][2]string{
		{"0", "Done; also a watching command that was interrupted."},
		{"1", "Failed; the message says why and what to do."},
		{"2", "The command line makes no sense."},
		{"3", "The daemon cannot be reached; the message names its socket."},
	} {
		fmt.Fprintf(r, ".TP\n.B %s\n%s\n", x[0], x[1])
	}
	r.section("ENVIRONMENT")
	for _, x := range [][2]string{{"DRAWBRIDGE_SOCKET", "Unix socket of the daemon."}, {"DRAWBRIDGE_CONFIG", "Node file."}, {"NO_COLOR", "No colour, also on terminals."}} {
		fmt.Fprintf(r, ".TP\n.B %s\n%s\n", x[0], x[1])
	}
	r.section("FILES")
	for _, x := range [][2]string{{"/etc/drawbridge/drawbridge.toml", "The node file, drawbridge.toml(5)."}, {"/run/drawbridge/drawbridge.sock", "Where the daemon answers."}, {"/var/lib/drawbridge", "Identity, keys, votes, addresses."}, {"/usr/share/drawbridge/wireshark/drawbridge.lua", "Dissector for Wireshark."}} {
		r.WriteString(".TP\n.I ")
		r.text(x[0])
		r.text(x[1])
	}
}

func (r *roff) seeAlso(c *cobra.Command) {
	var all []string
	if c.HasParent() {
		all = append(all, pageName(c.Parent())+"(1)")
		for _, sibling := range children(c.Parent()) {
			if sibling != c && c.Parent().HasParent() {
				all = append(all, pageName(sibling)+"(1)")
			}
		}
	}
	for _, sub := range children(c) {
		all = append(all, pageName(sub)+"(1)")
	}
	if !c.HasParent() {
		all = append(all, "drawbridge.toml(5)")
	}
	r.section("SEE ALSO")
	r.text(strings.Join(all, ",\n"))
}
