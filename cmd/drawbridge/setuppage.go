package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/errand"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/screen"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
	"github.com/drawbridge-net/drawbridge/web/setuppage"
)

// setupDir is where the set-up page keeps what the status screen shows of it, and its certificate, which is of no use afterwards.
const setupDir = "/run/drawbridge-setup"

// setupPageCommand serves browsers while the machine is nobody (drawbridge-setup.service).
func (t *tool) setupPageCommand() *cobra.Command {
	listen, dir := ":"+config.ConsolePort, setupDir
	cmd := &cobra.Command{
		Use: "setup-page", Short: "Page in the browser by which an appliance is set up", Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.setupPage(cmd.Context(), listen, dir) },
	}
	cmd.Flags().StringVar(&listen, "listen", listen, "address for browsers")
	cmd.Flags().StringVar(&dir, "dir", dir, "where its certificate is kept, and what the status screen shows of it")
	return cmd
}

func (t *tool) setupPage(ctx context.Context, listen, dir string) error {
	certificates, err := access.OpenCertificates(filepath.Join(dir, "tls"), access.HostNames(), t.now)
	if err != nil {
		return err
	}
	shown, err := certificates.Shown()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("set-up page: %w: is another program there?", err)
	}
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{ReplaceAttr: undated}))
	note := filepath.Join(dir, "page")
	code := access.NewOneTimeCode(func(code string) {
		if err := noteSetupPage(note, screen.Page{Code: code, Fingerprint: shown.Fingerprint}); err != nil {
			log.Error("the one-time code cannot be shown", "err", err)
		}
	})
	defer func() { _ = os.Remove(note) }() // the screen has nothing to show any more
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fresh := make(chan struct{})
	go func() {
		defer close(fresh)
		keepFresh(ctx, code, t.now)
	}()
	err = web.ServeTLS(ctx, l, setuppage.New(&settingUp{t: t}, code, t.now, log), certificates.TLS(), log)
	cancel()
	<-fresh
	return err
}

// keepFresh shows a new code when the time of one is over.
func keepFresh(ctx context.Context, code *access.OneTimeCode, now func() time.Time) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for code.Current(now()); ; code.Current(now()) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// noteSetupPage is for the status screen, which runs as the same user, and for nobody else.
func noteSetupPage(path string, p screen.Page) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readSetupPage is what the screen shows; nil: there is no page.
func readSetupPage(path string, addrs []string) *screen.Page {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var p screen.Page
	if json.Unmarshal(text, &p) != nil {
		return nil
	}
	p.Addresses = consoles(addrs)
	return &p
}

// settingUp does what the page asks for, by what the status screen does it by.
type settingUp struct {
	t      *tool
	chosen restoration
}

// Blocked implements setuppage.Machine.
func (s *settingUp) Blocked() string {
	switch {
	case s.t.isSetUp():
		return "this machine is set up already, and its gateway starts: load this address again for its console"
	case bootProblem() != "":
		return bootProblem()
	}
	return ""
}

// Open implements setuppage.Machine.
func (s *settingUp) Open(_ context.Context, backup *os.File, passphrase string) (setuppage.Summary, error) {
	what, err := s.chosen.read(backup, passphrase)
	return setuppage.Summary(what), err
}

// Restore implements setuppage.Machine.
func (s *settingUp) Restore(found bool) error { return s.chosen.restore(s.t, found) }

// Found implements setuppage.Machine.
func (s *settingUp) Found(ctx context.Context, network, name string) error {
	return s.handOver(ctx, "network", network, name)
}

// Join implements setuppage.Machine.
func (s *settingUp) Join(ctx context.Context, token, name string) error {
	return s.handOver(ctx, "token", token, name)
}

func (s *settingUp) handOver(ctx context.Context, file, text, name string) error {
	if text == "" || name == "" {
		return errors.New("a field is empty")
	}
	return s.t.screenSetup(ctx, file, []string{text, name})
}

// Disks implements setuppage.Machine.
func (s *settingUp) Disks(ctx context.Context) ([]web.Disk, error) {
	all, err := installer.Client{Path: installer.Socket}.Disks(ctx)
	return shownDisks(all), err
}

// Install implements setuppage.Machine.
func (s *settingUp) Install(ctx context.Context, disk string, progress func(done, total int64)) error {
	return installer.Client{Path: installer.Socket}.Copy(ctx, disk, func(_ string, done, total int64) { progress(done, total) })
}

// Reboot implements setuppage.Machine.
func (s *settingUp) Reboot() error { return errand.Box(errand.Dir).Leave(errand.Reboot) }
