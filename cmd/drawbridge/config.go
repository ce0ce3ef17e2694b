package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The network configuration: one document for all peers, in numbered versions",
	}
	cmd.AddCommand(t.configShow(), t.configEdit(), t.configCheck(), t.configDiff(), t.configApply(), t.configConfirm(), t.configRollback(),
		t.configWait(), t.configLog(), t.configExport(), t.configImport())
	for _, c := range cmd.Commands() {
		if c.Flags().Lookup("json") == nil {
			c.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
		}
	}
	return cmd
}

// versionArg reads an optional argument: the number of a version.
func versionArg(args []string, i int) (uint64, error) {
	if len(args) <= i {
		return 0, nil
	}
	n, err := strconv.ParseUint(args[i], 10, 64)
	if err != nil || n == 0 {
		return 0, usagef("version %q: want a number from drawbridge config log", args[i])
	}
	return n, nil
}

// act makes the command that does something with the daemon.
func (t *tool) act(use, short string, args cobra.PositionalArgs, do func(context.Context, *client.Client, []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		c, err := t.client()
		if err != nil {
			return err
		}
		return do(cmd.Context(), c, args)
	}}
}

func (t *tool) configShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show [N]", Short: "Show the configuration in force, or version N", Args: cobra.MaximumNArgs(1)}
	return readsAbout(t, cmd, func(args []string) (r reading[web.ConfigVersion], err error) {
		n, err := versionArg(args, 0)
		if err != nil {
			return r, err
		}
		r.path = "config"
		if n > 0 {
			r.path = fmt.Sprintf("config/versions/%d", n)
		}
		r.show = func(ctx context.Context, c *client.Client, p *page, v web.ConfigVersion) error {
			text, err := c.ExportConfig(ctx, v.Version, "toml")
			if err != nil {
				return err
			}
			fmt.Fprintf(p, "# %s\n%s", t.describe(v), text)
			return nil
		}
		return r, nil
	})
}

// describe is a version in one line.
func (t *tool) describe(v web.ConfigVersion) string {
	if v.Version == 0 {
		return v.Comment
	}
	text := fmt.Sprintf("version %d by %s at %s", v.Version, clean1(v.Author), v.Time.Format(time.RFC3339))
	if v.ConfirmBy != nil {
		text += fmt.Sprintf("; goes at %s unless confirmed: drawbridge config confirm %d", v.ConfirmBy.Format(time.TimeOnly), v.Version)
	}
	if v.Comment != "" {
		text += ": " + clean1(v.Comment)
	}
	return text
}

// clean1 takes control characters out of what somebody wrote.
func clean1(s string) string {
	v := struct{ S string }{s}
	clean(&v)
	return strings.ReplaceAll(v.S, "\n", " ")
}

func (t *tool) configDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use: "diff [FROM [TO]]", Short: "Show how two versions differ: the newest and the one before it, or the newest and FROM", Args: cobra.MaximumNArgs(2),
	}
	return readsAbout(t, cmd, func(args []string) (r reading[web.ConfigDiff], err error) {
		from, err := versionArg(args, 0)
		if err != nil {
			return r, err
		}
		to, err := versionArg(args, 1)
		if err != nil {
			return r, err
		}
		r.path, r.lines = "config/diff", true
		r.query = func() url.Values {
			return url.Values{"from": {strconv.FormatUint(from, 10)}, "to": {strconv.FormatUint(to, 10)}}
		}
		r.show = func(_ context.Context, _ *client.Client, p *page, d web.ConfigDiff) error {
			p.diff(d.Unified, sameVersions(d))
			return nil
		}
		return r, nil
	})
}

func sameVersions(d web.ConfigDiff) string {
	if d.To == 0 {
		return "nothing was configured yet: drawbridge config edit makes the first version"
	}
	return fmt.Sprintf("version %d and version %d say the same", d.From, d.To)
}

// writeDiff writes a difference, or that there is none.
func (t *tool) writeDiff(unified, same string) error {
	p := &page{colour: t.colour}
	p.diff(unified, same)
	_, err := t.out.Write(p.Bytes())
	return err
}

func (p *page) diff(unified, same string) {
	if unified == "" {
		unified = same + "\n"
	}
	for line := range strings.Lines(unified) {
		style := plain
		switch {
		case strings.HasPrefix(line, "+"):
			style = good
		case strings.HasPrefix(line, "-"):
			style = bad
		case strings.HasPrefix(line, "@"):
			style = faint
		}
		p.WriteString(p.paint(style, clean1(strings.TrimSuffix(line, "\n"))) + "\n")
	}
}

// readFile reads a file, or standard input when it is called -.
func (t *tool) readFile(name string) (string, error) {
	if name == "-" {
		text, err := io.ReadAll(io.LimitReader(t.in, netconfig.MaxSize+1))
		return string(text), err
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

func (t *tool) configCheck() *cobra.Command {
	return t.act("check FILE", "Tell what is wrong with a configuration and what it would change; changes nothing", cobra.ExactArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			text, err := t.readFile(args[0])
			if err != nil {
				return err
			}
			if _, err := netconfig.Parse(args[0], []byte(text)); err != nil && !t.json {
				return fmt.Errorf("the configuration is not valid:\n%w", err)
			}
			k, err := c.CheckConfig(ctx, text)
			if err != nil {
				return err
			}
			if t.json {
				return t.writeValue(k)
			}
			return t.writeDiff(k.Unified, fmt.Sprintf("%s says the same as version %d", args[0], k.Base))
		})
}

// anyBase is the base of a change that is wanted whatever is the newest version.
const anyBase = "*"

// changing are the flags of commands that make a version.
type changing struct {
	comment string
	confirm time.Duration
	base    string
	wait    time.Duration
}

func (g *changing) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&g.comment, "comment", "m", "", "why, for the log")
	cmd.Flags().DurationVar(&g.wait, "wait", 0, "wait at most so long until all peers have applied it, such as 30s")
	cmd.Flags().DurationVar(&g.confirm, "confirm", 0, "revert it everywhere unless drawbridge config confirm comes within this time, such as 60s")
	return cmd
}

// made tells of a new version, and waits for all peers if that is wished.
func (t *tool) made(ctx context.Context, c *client.Client, g *changing, v web.ConfigVersion) error {
	if t.json && g.wait == 0 {
		return t.writeValue(v)
	}
	if !t.json {
		fmt.Fprintln(t.out, t.describe(v))
	}
	if g.wait == 0 {
		return nil
	}
	return t.awaitConfig(ctx, c, v.Version, g.wait)
}

func (t *tool) configApply() *cobra.Command {
	var g changing
	cmd := t.put("apply FILE", "Make a file the configuration of the network; TOML or JSON, - for standard input", &g)
	cmd.Flags().StringVar(&g.base, "base", anyBase, "the version that the file was made from: refused when there is a newer one; *: whatever is the newest")
	return cmd
}

func (t *tool) configImport() *cobra.Command {
	return t.put("import FILE", "Take the configuration from an exported file; the same as apply on top of whatever is the newest", &changing{base: anyBase})
}

// put makes a command by which a file becomes the configuration.
func (t *tool) put(use, short string, g *changing) *cobra.Command {
	return g.flags(t.act(use, short, cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		text, err := t.readFile(args[0])
		if err != nil {
			return err
		}
		if _, err := netconfig.Parse(args[0], []byte(text)); err != nil {
			return fmt.Errorf("the configuration is not valid; nothing was changed:\n%w", err)
		}
		v, err := c.PutConfig(ctx, g.base, rand.Text(), web.ConfigChange{Text: text, Comment: g.comment, By: caller(), ConfirmS: g.confirm.Seconds()})
		if err != nil {
			return err
		}
		return t.made(ctx, c, g, v)
	}))
}

func (t *tool) configConfirm() *cobra.Command {
	return t.act("confirm [N]", "Keep a version that is reverted otherwise", cobra.MaximumNArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		n, err := versionArg(args, 0)
		if err != nil {
			return err
		}
		if n == 0 {
			v, err := c.Config(ctx, 0)
			if err != nil {
				return err
			}
			if n = v.Version; v.State != web.ConfigWaiting {
				return fmt.Errorf("version %d does not wait to be confirmed", n)
			}
		}
		v, err := c.ConfirmConfig(ctx, n, caller())
		if err != nil {
			return err
		}
		if t.json {
			return t.writeValue(v)
		}
		_, err = fmt.Fprintf(t.out, "version %d stays\n", v.Version)
		return err
	})
}

func (t *tool) configRollback() *cobra.Command {
	var g changing
	cmd := t.act("rollback N", "Go back to version N, by a new version with its content", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		n, err := versionArg(args, 0)
		if err != nil {
			return err
		}
		v, err := c.RollbackConfig(ctx, anyBase, rand.Text(), web.ConfigRollback{To: n, Comment: g.comment, By: caller(), ConfirmS: g.confirm.Seconds()})
		if err != nil {
			return err
		}
		return t.made(ctx, c, &g, v)
	})
	return g.flags(cmd)
}

func (t *tool) configWait() *cobra.Command {
	timeout := 30 * time.Second
	cmd := t.act("wait [N]", "Wait until all peers have applied a version, and name those that have not", cobra.MaximumNArgs(1),
		func(ctx context.Context, c *client.Client, args []string) error {
			n, err := versionArg(args, 0)
			if err != nil {
				return err
			}
			if n == 0 {
				v, err := c.Config(ctx, 0)
				if err != nil {
					return err
				}
				n = v.Version
			}
			return t.awaitConfig(ctx, c, n, timeout)
		})
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait, such as 90s; at most 10m")
	return cmd
}

func (t *tool) awaitConfig(ctx context.Context, c *client.Client, n uint64, timeout time.Duration) error {
	a, err := c.ConfigApplied(ctx, n, min(timeout, 10*time.Minute))
	if err != nil {
		return err
	}
	if t.json {
		if err := t.writeValue(a); err != nil {
			return err
		}
	} else if err := t.writeApplied(a); err != nil {
		return err
	}
	if !a.Complete {
		return fmt.Errorf("version %d is not in force everywhere after %v: %s", n, timeout, strings.Join(missing(a), ", "))
	}
	return nil
}

// missing names the peers that do not go by the version.
func missing(a web.ConfigApplied) (names []string) {
	for _, p := range a.Peers {
		if p.State != web.AppliedYes && p.State != web.AppliedAway {
			names = append(names, p.Peer)
		}
	}
	return names
}

func (t *tool) writeApplied(a web.ConfigApplied) error {
	clean(&a)
	tab := newTable("PEER", "STATE", ">VERSION", "WHY")
	styles := map[string]style{web.AppliedYes: good, web.AppliedRefused: bad, web.AppliedSilent: bad, web.AppliedBehind: warn, web.AppliedAway: warn}
	for _, p := range a.Peers {
		tab.row(as(strong, p.Peer), as(styles[p.State], p.State), p.Version, p.Reason)
	}
	p := &page{now: t.now(), colour: t.colour}
	p.add(tab, "no peer has told which version it goes by: drawbridge peers shows whether this peer reaches anybody")
	_, err := t.out.Write(p.Bytes())
	return err
}

func (t *tool) configLog() *cobra.Command {
	cmd := &cobra.Command{Use: "log", Short: "List the versions, the newest first", Args: cobra.NoArgs}
	limit := cmd.Flags().Int("limit", 20, "how many versions, at most 1000")
	return reads(t, cmd, reading[web.ConfigHistory]{path: "config/versions", show: showVersions, query: func() url.Values {
		return url.Values{"limit": {strconv.Itoa(*limit)}}
	}})
}

func showVersions(_ context.Context, _ *client.Client, p *page, h web.ConfigHistory) error {
	tab := newTable(">VERSION", "STATE", "TIME", "AUTHOR", "COMMENT")
	styles := map[string]style{web.ConfigCurrent: good, web.ConfigWaiting: warn, web.ConfigReverted: bad, web.ConfigSuperseded: faint}
	for _, v := range h.Versions {
		comment := v.Comment
		if v.Of != 0 {
			comment = strings.TrimSuffix(fmt.Sprintf("the same as version %d; %s", v.Of, v.Comment), "; ")
		}
		tab.row(v.Version, as(styles[v.State], v.State), v.Time.Format(time.RFC3339), v.Author, comment)
	}
	p.add(tab, "nothing was configured yet: drawbridge config edit makes the first version")
	if h.Gone > 0 {
		fmt.Fprintf(p, "%d older ones are not kept any more\n", h.Gone)
	}
	return nil
}

func (t *tool) configExport() *cobra.Command {
	var n uint64
	cmd := t.act("export [FILE]", "Write the configuration to a file, or to standard output", cobra.MaximumNArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		form := "toml"
		if t.json || len(args) == 1 && strings.HasSuffix(args[0], ".json") {
			form = "json"
		}
		text, err := c.ExportConfig(ctx, n, form)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return os.WriteFile(args[0], []byte(text), 0o600) // it may hold users' secrets
		}
		_, err = io.WriteString(t.out, text)
		return err
	})
	cmd.Flags().Uint64Var(&n, "version", 0, "number of the version; 0: the newest")
	return cmd
}

func (t *tool) configEdit() *cobra.Command {
	var g changing
	cmd := t.act("edit", "Change the configuration in $EDITOR", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		v, err := c.Config(ctx, 0)
		if err != nil {
			return err
		}
		text, err := c.ExportConfig(ctx, v.Version, "toml")
		if err != nil {
			return err
		}
		changed, err := t.edited(ctx, text)
		if err != nil || changed == "" {
			return err
		}
		made, err := c.PutConfig(ctx, strconv.FormatUint(v.Version, 10), rand.Text(), web.ConfigChange{Text: changed, Comment: g.comment, By: caller(), ConfirmS: g.confirm.Seconds()})
		if err != nil {
			return fmt.Errorf("%w; %s", err, t.rescue(changed))
		}
		return t.made(ctx, c, &g, made)
	})
	return g.flags(cmd)
}

// rescue keeps what was edited and could not be applied.
func (t *tool) rescue(text string) string {
	f, err := os.CreateTemp("", "drawbridge-config-*.toml")
	if err != nil {
		return "what you wrote could not be kept: " + err.Error()
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "what you wrote could not be kept: " + err.Error()
	}
	return "what you wrote is in " + f.Name()
}

// remark begins lines that edited adds and takes out again.
const remark = "#! "

// edited has somebody change a text until it is a valid configuration; empty: nothing was changed.
func (t *tool) edited(ctx context.Context, text string) (string, error) {
	before, problems := text, ""
	for {
		shown := problems + text
		after, err := t.editOnce(ctx, shown)
		if err != nil {
			return "", err
		}
		given := withoutRemarks(after)
		if given == before {
			_, err := fmt.Fprintln(t.out, "nothing was changed")
			return "", err
		}
		if after == shown { // given up on
			return "", fmt.Errorf("the configuration is still not valid and was not changed again; %s", t.rescue(given))
		}
		_, err = netconfig.Parse("", []byte(given))
		if err == nil {
			return given, nil
		}
		text, problems = given, remarks(err)
	}
}

// remarks are problems as comments. Lines count as they will without these.
func remarks(err error) string {
	var b strings.Builder
	b.WriteString(remark + "Not valid yet; lines count from below these remarks. Leave the file as it is to give up.\n")
	for line := range strings.Lines(err.Error()) {
		b.WriteString(remark + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

func withoutRemarks(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, strings.TrimSpace(remark)) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// editOnce opens an editor on a text and returns what it was made into.
func (t *tool) editOnce(ctx context.Context, text string) (string, error) {
	f, err := os.CreateTemp("", "drawbridge-edit-*.toml")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	editor := "vi"
	for _, name := range []string{"EDITOR", "VISUAL"} {
		if e := os.Getenv(name); e != "" {
			editor = e
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", f.Name()) // the variable may hold arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.in, t.out, t.err
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("editor %s: %w; nothing was changed", editor, err)
	}
	after, err := os.ReadFile(f.Name())
	return string(after), err
}
