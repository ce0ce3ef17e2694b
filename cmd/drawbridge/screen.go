package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/screen"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
)

// screenCommand is what stands on the machine's own console, serial or not: plain text, 80 columns, no login.
func (t *tool) screenCommand() *cobra.Command {
	return &cobra.Command{
		Use: "screen", Short: "Status screen of the appliance", Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.screen(cmd.Context()) },
	}
}

// screenEvery is how often the machine is asked how it does, and screenPatience how long it may take to answer: the screen stays as
// it was meanwhile, instead of saying of a daemon that is busy that it starts.
const (
	screenEvery    = 2 * time.Second
	screenPatience = 10 * time.Second
)

// screen draws what has changed, and takes orders by lines. What takes long is done beside it, and tells the screen.
func (t *tool) screen(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	lines, tell, homes := make(chan string), make(chan func(*screen.Screen)), make(chan screen.Home)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	go func() { // it ends with the process: a read from a terminal cannot be interrupted
		for s := bufio.NewScanner(t.in); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	var s screen.Screen
	var chosen restoration
	show := func() {}
	defer func() { show() }()
	home, shown := t.home(ctx, screenEvery), ""
	work.Go(func() { t.homes(ctx, homes) })
	for {
		show()
		if show = func() {}; s.Secret() {
			show = hideTyping(t.in)
		}
		if now := s.Text(home); now != shown {
			shown = now
			fmt.Fprint(t.out, "\x1b[2J\x1b[H"+strings.ReplaceAll(now, "\n", "\r\n"))
		}
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			order := s.Line(line, home)
			shown = "" // what was typed stands there too
			work.Go(func() {
				news := t.screenOrder(ctx, order, &chosen, func(f func(*screen.Screen)) {
					select {
					case tell <- f:
					case <-ctx.Done():
					}
				})
				if news != nil {
					select {
					case tell <- news:
					case <-ctx.Done():
					}
				}
			})
		case f := <-tell:
			f(&s)
		case home = <-homes:
		}
	}
}

// screenOrder does what was typed; who stands before the machine may.
func (t *tool) screenOrder(ctx context.Context, o screen.Order, chosen *restoration, tell func(func(*screen.Screen))) (news func(*screen.Screen)) {
	service := installer.Client{Path: installer.Socket}
	var err error
	switch o.Do {
	case screen.Nothing:
		return nil
	case screen.Reboot:
		err = errand.Box(errand.Dir).Leave(errand.Reboot)
	case screen.Reset:
		err = errand.Box(errand.Dir).Leave(errand.Reset)
	case screen.Drill:
		return t.screenDrill(ctx, o.Words[0])
	case screen.Found:
		err = t.screenSetup(ctx, "network", o.Words)
	case screen.Join:
		err = t.screenSetup(ctx, "token", o.Words)
	case screen.Look:
		all, err := service.Disks(ctx)
		clean(&all)
		return func(s *screen.Screen) { s.Disks(all, err) }
	case screen.Find:
		all, err := service.Backups(ctx)
		clean(&all)
		return func(s *screen.Screen) { s.Backups(all, err) }
	case screen.Open:
		what, err := chosen.open(ctx, service, o.Words)
		return func(s *screen.Screen) { s.Opened(what, err) }
	case screen.Restore:
		err := chosen.restore(t, len(o.Words) > 0)
		return func(s *screen.Screen) { s.Restored(err) }
	case screen.Install:
		err := service.Copy(ctx, o.Words[0], func(what string, done, total int64) {
			tell(func(s *screen.Screen) { s.Progress(what, done, total) })
		})
		return func(s *screen.Screen) { s.Ended(err) }
	}
	switch {
	case err != nil:
		return func(s *screen.Screen) { s.Say(err.Error()) }
	case o.Do == screen.Found, o.Do == screen.Join:
		return func(s *screen.Screen) { s.Say("this machine is set up; its gateway starts") }
	}
	return nil
}

func (t *tool) screenDrill(ctx context.Context, segment string) func(*screen.Screen) {
	said := "the drill has begun; drawbridge drill list, and the web console, show its report"
	c, err := t.client()
	if err == nil {
		_, err = c.Drill(ctx, segment, web.DrillRequest{By: "status screen"})
	}
	if err != nil {
		said = err.Error()
	}
	return func(s *screen.Screen) { s.Say(said) }
}

// isSetUp looks for the file that a first set-up writes last.
func (t *tool) isSetUp() bool {
	_, err := os.Stat(filepath.Join(t.stateDir, lastOfSetUp))
	return err == nil
}

func bootProblem() string {
	text, _ := os.ReadFile("/run/drawbridge-boot/problem") // none: all is well
	return string(text)
}

// screenSetup sets up a machine that has not been, by the file that words[0] would be on a medium, and a name.
func (t *tool) screenSetup(ctx context.Context, file string, words []string) error {
	dir, err := os.MkdirTemp("", "setup")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := map[string]string{file: words[0]}
	if len(words) > 1 {
		files["name"] = words[1]
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return t.provision(ctx, dir)
}

// homes tells again and again how the machine does.
func (t *tool) homes(ctx context.Context, to chan<- screen.Home) {
	tick := time.NewTicker(screenEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case to <- t.home(ctx, screenPatience):
		}
	}
}

// home asks the machine how it does; its daemon has so long to answer.
func (t *tool) home(ctx context.Context, within time.Duration) screen.Home {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	h := screen.Home{Version: version, Problems: t.screenProblems(), Addresses: addresses()}
	switch {
	case t.isSetUp():
		h.Standing, h.Peer = screen.SetUp, t.screenPeer(ctx, h.Addresses)
		if h.Peer != nil { // the daemon tells of what became of orders, too
			h.Peer.Problems = slices.DeleteFunc(h.Peer.Problems, func(p string) bool { return slices.Contains(h.Problems, p) })
		}
	case bootProblem() != "":
		h.Standing = screen.Broken
	default:
		h.Page = readSetupPage(filepath.Join(setupDir, "page"), h.Addresses)
	}
	return h
}

// screenProblems is what this machine itself has to say, whether or not its daemon runs.
func (t *tool) screenProblems() (all []string) {
	var setup []byte
	if !t.isSetUp() {
		setup, _ = os.ReadFile(setupProblem) // none: nothing was handed over
	}
	failed, _ := os.ReadFile(slot.FailedFile)
	orders := errand.Box(errand.Dir).Failures()
	for _, text := range append([]string{bootProblem(), string(setup), string(failed)}, orders...) {
		if text = strings.TrimSpace(text); text != "" {
			all = append(all, text)
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

// screenPeer asks the daemon; nil: it does not answer.
func (t *tool) screenPeer(ctx context.Context, addrs []string) *screen.Peer {
	c, err := t.client()
	if err != nil {
		return nil
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	clean(&s)
	p := &screen.Peer{Name: s.Name, Roles: list(s.Roles), Network: s.Network.Name}
	segments, _ := c.Segments(ctx) // none: they are not shown
	clean(&segments)
	for _, g := range segments {
		one := screen.Segment{Name: g.Name}
		if g.Active != nil {
			one.Active = *g.Active
		}
		p.Segments = append(p.Segments, one)
	}
	for _, w := range s.Problems {
		p.Problems = append(p.Problems, w.Summary)
	}
	p.Consoles = consoles(addrs)
	var cert web.Certificate
	if text, err := c.Raw(ctx, "certificate", nil); err == nil && json.Unmarshal(text, &cert) == nil {
		p.Fingerprint = cert.Fingerprint
	}
	if code, err := c.FirstRunCode(ctx); err == nil {
		p.Code = code.Code
	}
	return p
}

// consoles are the addresses for browsers.
func consoles(addrs []string) (all []string) {
	for _, a := range addrs {
		all = append(all, fmt.Sprintf("https://%s/", net.JoinHostPort(a, config.ConsolePort)))
	}
	return all
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
