package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
)

// screenCommand is what stands on the machine's own console, serial or not: plain text, 80 columns, no login.
func (t *tool) screenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "screen", Short: "Status screen of the appliance", Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.screen(cmd.Context()) },
	}
}

const screenEvery = 2 * time.Second

// screen draws what has changed, and takes orders by lines.
func (t *tool) screen(ctx context.Context) error {
	lines := make(chan string)
	go func() {
		for s := bufio.NewScanner(t.in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	tick := time.NewTicker(screenEvery)
	defer tick.Stop()
	shown := ""
	for {
		if now := t.screenText(ctx); now != shown {
			shown = now
			fmt.Fprint(t.out, "\x1b[2J\x1b[H"+strings.ReplaceAll(now, "\n", "\r\n"))
		}
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			fmt.Fprint(t.out, "\r\n")
			if err := t.screenOrder(ctx, strings.Fields(line)); err != nil {
				fmt.Fprintf(t.out, "%v\r\n", err)
			}
			shown = ""
			<-tick.C
		case <-tick.C:
		}
	}
}

// orderDir is where the appliance's units look for orders that need more rights than the screen has.
const orderDir = "/run/drawbridge-orders"

// screenOrder does what was typed; who stands before the machine may.
func (t *tool) screenOrder(ctx context.Context, words []string) error {
	switch {
	case len(words) == 0:
		return nil
	case len(words) == 1 && words[0] == "reboot", len(words) == 2 && words[0] == "reset" && words[1] == "everything":
		if err := os.WriteFile(filepath.Join(orderDir, words[0]), nil, 0o644); err != nil {
			return err
		}
		fmt.Fprint(t.out, "restarting\r\n")
		return nil
	case len(words) == 2 && words[0] == "drill" && isSetUp():
		return t.screenDrill(ctx, words[1])
	case isSetUp(), len(words) < 2, bootProblem() != "":
		return fmt.Errorf("not understood: %s", strings.Join(words, " "))
	}
	return t.screenSetup(ctx, words)
}

func (t *tool) screenDrill(ctx context.Context, segment string) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	o, err := c.Drill(ctx, segment, web.DrillRequest{By: "status screen"})
	if err != nil {
		return err
	}
	clean(&o)
	fmt.Fprintf(t.out, "the drill has begun; drawbridge drill list, and the web console, show its report\r\n")
	return nil
}

// isSetUp looks for the file that a first set-up writes last. The appliance keeps its state nowhere else.
func isSetUp() bool {
	_, err := os.Stat("/var/lib/drawbridge/peer.crt")
	return err == nil
}

func bootProblem() string {
	text, _ := os.ReadFile("/run/drawbridge-boot/problem") // none: all is well
	return string(text)
}

// screenSetup sets up a machine that has not been.
func (t *tool) screenSetup(ctx context.Context, words []string) error {
	dir, err := os.MkdirTemp("", "setup")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := map[string]string{}
	switch words[0] {
	case "found":
		files["network"] = words[1]
	case "join":
		if _, err := secure.ParseToken(words[1]); err != nil {
			return err
		}
		files["token"] = words[1]
	default:
		return fmt.Errorf("not understood: %s", words[0])
	}
	if len(words) > 2 {
		files["name"] = words[2]
	}
	for name, text := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return t.provision(ctx, dir)
}

func (t *tool) screenText(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, screenEvery)
	defer cancel()
	var b strings.Builder
	fmt.Fprintf(&b, "Drawbridge %s\n\n", version)
	for _, p := range screenProblems() {
		fmt.Fprintf(&b, "problem      %s\n", p)
	}
	addrs := addresses()
	fmt.Fprintf(&b, "addresses    %s\n", orUnknown(strings.Join(addrs, ", ")))
	switch {
	case isSetUp():
		t.screenPeer(ctx, &b, addrs)
		b.WriteString("\nreboot | drill SEGMENT | reset everything\n")
	case bootProblem() != "":
		b.WriteString("\nreboot | reset everything\n")
	default:
		b.WriteString("\nThis machine has not been set up. Type one of:\n\n  found NETWORK NAME    a new network, with this machine as its first peer\n  join TOKEN NAME       a network that invited it (drawbridge token create)\n  reboot\n\n> ")
	}
	return b.String()
}

// screenProblems is what this machine itself has to say, whether or not its daemon runs.
func screenProblems() (all []string) {
	setup, _ := os.ReadFile(setupProblem) // none: it succeeded, or nothing was handed over
	failed, _ := os.ReadFile(slot.FailedFile)
	for _, text := range []string{bootProblem(), string(setup), string(failed)} {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, strings.ReplaceAll(text, "\n", "\n             "))
		}
	}
	if free, total := room("/var"); free < total/20 {
		all = append(all, fmt.Sprintf("the state partition is nearly full: %d of %d MiB are free; what is not needed is in /var", free>>20, total>>20))
	}
	return all
}

// room is what is left of a file system for those who are not root, in bytes.
func room(path string) (free, total uint64) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, 0
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize)
}

func (t *tool) screenPeer(ctx context.Context, b *strings.Builder, addrs []string) {
	c, err := t.client()
	if err != nil {
		fmt.Fprintf(b, "%v\n", err)
		return
	}
	s, err := c.Status(ctx)
	if err != nil {
		b.WriteString("the gateway is starting\n")
		return
	}
	clean(&s)
	fmt.Fprintf(b, "peer         %s (%s) in network %s\n", s.Name, list(s.Roles), s.Network.Name)
	segments, _ := c.Segments(ctx) // none: they are not shown
	clean(&segments)
	for _, g := range segments {
		active := "nobody"
		if g.Active != nil {
			active = *g.Active
		}
		fmt.Fprintf(b, "segment      %s: %s is active\n", g.Name, active)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(b, "problem      %s\n", p.Summary)
	}
	for _, a := range addrs {
		fmt.Fprintf(b, "console      https://%s/\n", net.JoinHostPort(a, "8630"))
	}
	var cert web.Certificate
	if text, err := c.Raw(ctx, "certificate", nil); err == nil && json.Unmarshal(text, &cert) == nil {
		fmt.Fprintf(b, "fingerprint  %s\n", cert.Fingerprint)
	}
	if code, err := c.FirstRunCode(ctx); err == nil && code.Code != "" {
		fmt.Fprintf(b, "\nThere are no users yet. One-time code for the console:\n\n    %s\n", code.Code)
	}
}

// addresses are those at which this host can be reached.
func addresses() (all []string) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range found {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			all = append(all, ip.IP.String())
		}
	}
	return all
}
