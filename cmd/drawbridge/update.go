package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/systemd"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) updateCommand() *cobra.Command {
	var r web.UpdateRequest
	var wait bool
	cmd := &cobra.Command{
		Use:   "update FILE|URL",
		Short: "Install a signed update bundle in the idle slot of an appliance",
		Long: "The appliance is the one that is asked, or another one by --node. Every byte is verified before the\n" +
			"first is written. The next start tries it; it stays when the peer becomes healthy, or else the loader falls back.\n" +
			"The daemon does it, and fetches an https address itself. Where root gives a file to the appliance that it is on, no\n" +
			"daemon is needed.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.By = caller()
			if !strings.Contains(args[0], "://") && r.Peer == "" && !r.Restart && os.Geteuid() == 0 {
				if m, err := slot.This(); err == nil {
					m.Older = r.Older
					return t.update(m, args[0])
				}
			}
			return t.begin(cmd, wait, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				return sendUpdate(ctx, c, r, args[0])
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Peer, "node", "", "appliance to update (default: the one that is asked)")
	flags.BoolVar(&r.Older, "older", false, "do it although it is not newer than what runs")
	flags.BoolVar(&r.Restart, "restart", false, "start the machine again afterwards; its segments are handed over first")
	t.waitFlags(cmd, &wait)
	t.fail(cmd.RegisterFlagCompletionFunc("node", t.completePeers))
	var within time.Duration
	confirm := &cobra.Command{
		Use: "confirm", Short: "Mark the running slot good as soon as this peer is healthy", Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.confirmSlot(cmd.Context(), within) },
	}
	confirm.Flags().DurationVar(&within, "within", 5*time.Minute, "fail when that takes longer, on trial")
	status := &cobra.Command{
		Use: "status", Short: "What is in the two slots of an appliance, and which one starts next",
		RunE: func(cmd *cobra.Command, _ []string) error { return t.updateStatus(cmd.Context()) },
	}
	t.readingFlags(status)
	cmd.AddCommand(
		status,
		&cobra.Command{Use: "rollback", Short: "Start the other slot of an appliance from now on", RunE: func(cmd *cobra.Command, _ []string) error { return t.rollbackSlot(cmd.Context()) }},
		confirm,
		&cobra.Command{
			Use: "serve", Short: "Write bundles into slots for the daemon, which has no right to do so", Hidden: true,
			RunE: func(cmd *cobra.Command, _ []string) error { return t.serveUpdates(cmd.Context()) },
		},
	)
	return cmd
}

// serveUpdates is the root half of the daemon's updates. systemd starts it when the daemon asks for something.
func (t *tool) serveUpdates(ctx context.Context) error {
	all, err := systemd.Listeners()
	if err != nil {
		return err
	}
	l, ok := all["update"].(*net.UnixListener)
	if !ok {
		return usagef("drawbridge-update.socket starts this")
	}
	log := slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{ReplaceAttr: undated}))
	return (&installer.Server{Machine: slot.This, Disks: otherDisks, Log: log}).Run(ctx, l, installer.Idle)
}

// sendUpdate has the daemon do it.
func sendUpdate(ctx context.Context, c *client.Client, r web.UpdateRequest, from string) (web.Operation, error) {
	if strings.Contains(from, "://") {
		return c.FetchUpdate(ctx, web.FetchRequest{UpdateRequest: r, URL: from})
	}
	f, size, err := openBundle(from)
	if err != nil {
		return web.Operation{}, err
	}
	defer f.Close()
	return c.UploadUpdate(ctx, r, io.NopCloser(f), size)
}

// openBundle opens a file, or a disk that begins with a bundle, and tells how many bytes it has.
func openBundle(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("a bundle must be a file: %w", err)
	}
	return f, size, nil
}

// update writes it with the rights of this process.
func (t *tool) update(m slot.Machine, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	manifest, err := m.Update(f, t.percent())
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s is in slot %s; restart to try it\n", manifest.Version, m.Running.Other())
	return nil
}

// percent tells of every tenth.
func (t *tool) percent() slot.Progress {
	last := ""
	return func(step string, done, total int64) {
		if now := fmt.Sprintf("%s %d %%", step, done*10/max(total, 1)*10); now != last {
			last = now
			fmt.Fprintln(t.err, now)
		}
	}
}

// slotReading shows what is in the slots, whoever says so.
var slotReading = reading[web.Update]{path: "update", show: showSlots}

// updateStatus asks the machine, or the daemon where this process may not read the boot state.
func (t *tool) updateStatus(ctx context.Context) error {
	m, err := slot.This()
	if err != nil {
		return err
	}
	if _, err := m.Store.Load(); errors.Is(err, os.ErrPermission) {
		return slotReading.run(ctx, t)
	}
	return t.readSlots(ctx, m)
}

// slotsEvery is how often a watching command looks at the boot state: nobody tells of its changes.
const slotsEvery = time.Second

// readSlots shows what is in the slots of a machine, and with --watch whenever that has changed.
func (t *tool) readSlots(ctx context.Context, m slot.Machine) error {
	look := time.NewTicker(slotsEvery)
	defer look.Stop()
	var last []byte
	for {
		s, err := m.Store.Load()
		if err != nil {
			return err
		}
		raw, err := json.Marshal(slotsOf(m, s))
		if err != nil {
			return err
		}
		if !bytes.Equal(raw, last) {
			if err := slotReading.write(ctx, t, nil, nil, raw); err != nil {
				return err
			}
			last = raw
		}
		if !t.watch {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// slotsOf is what the API would say.
func slotsOf(m slot.Machine, s slot.State) web.Update {
	next, _ := s.Boot()
	u := web.Update{Appliance: true, Running: string(m.Running), Next: string(next)}
	for _, n := range []slot.Name{slot.A, slot.B} {
		one := web.UpdateSlot{Name: string(n), Standing: s.Standing(n, m.Running)}
		if at := s.Slots[n].Version; at != 0 {
			made := time.Unix(int64(at), 0).UTC()
			one.Release = &made
		}
		u.Slots = append(u.Slots, one)
	}
	if f := m.Failed(s); f != nil {
		u.Failure = f.String()
	}
	return u
}

func showSlots(_ context.Context, _ *client.Client, p *page, u web.Update) error {
	if !u.Appliance {
		return errors.New(u.Reason)
	}
	for _, one := range u.Slots {
		fmt.Fprintf(p, "%s  %s\n", one.Name, strings.Join(slotWords(&u, &one), ", "))
	}
	if u.Failure != "" {
		fmt.Fprintln(p, u.Failure)
	}
	return nil
}

// standings in the words of this command.
var standings = map[string]string{slot.Good: "good", slot.Trial: "on trial", slot.Failed: "never became healthy"}

func slotWords(u *web.Update, one *web.UpdateSlot) (words []string) {
	if one.Release == nil {
		return []string{slot.Empty}
	}
	words = append(words, "release "+one.Release.UTC().Format(time.RFC3339))
	if one.Name == u.Running {
		words = append(words, "running")
	}
	if one.Name == u.Next {
		words = append(words, "starts next")
	}
	return append(words, standings[one.Standing])
}

func (t *tool) rollbackSlot(ctx context.Context) error {
	m, err := slot.This()
	if err != nil {
		return err
	}
	err = m.Store.Change(func(s slot.State) (slot.State, error) { return s.Rollback(m.Running) })
	if errors.Is(err, os.ErrPermission) {
		c, failed := t.client()
		if failed != nil {
			return failed
		}
		_, err = c.RollbackUpdate(ctx, caller())
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "slot %s starts next; restart to run it\n", m.Running.Other())
	return nil
}

// confirmSlot waits for the peer to be ready. A slot that has been good once is good again when it has started: a
// network that is away must not send a gateway back to an old release.
func (t *tool) confirmSlot(ctx context.Context, within time.Duration) error {
	m, err := slot.This()
	if err != nil {
		return err
	}
	s, err := m.Store.Load()
	if err != nil {
		return err
	}
	if s.Trial(m.Running) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		if err := t.untilHealthy(ctx); err != nil {
			return errors.Join(fmt.Errorf("slot %s did not become healthy in %s: %w", m.Running, within, err), m.Blame(err.Error(), t.now()))
		}
	}
	if f := m.Failed(s); f != nil {
		fmt.Fprintln(t.err, f)
		_ = os.WriteFile(slot.FailedFile, []byte(f.String()+"\n"), 0o644) // for the screen; it is in the journal too
	} else {
		_ = os.Remove(slot.FailedFile)
	}
	err = m.Store.Change(func(s slot.State) (slot.State, error) { return s.Healthy(m.Running), nil })
	switch {
	case err == nil:
		fmt.Fprintf(t.out, "slot %s is good\n", m.Running)
	case !s.Trial(m.Running): // a restart, which is what the unit does for an error, would help nothing
		fmt.Fprintf(t.err, "slot %s stays good, but that could not be noted: %v\n", m.Running, err)
		return nil
	}
	return err
}

// untilHealthy asks the daemon until it answers that it does everything that its node file asks for. A machine that has
// not been set up has nothing to show.
func (t *tool) untilHealthy(ctx context.Context) error {
	if _, err := os.Stat(t.configPath()); os.IsNotExist(err) {
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var why error
	for {
		err := t.healthy(ctx)
		if err == nil {
			return nil
		}
		if why == nil || ctx.Err() == nil { // that time is up is no reason
			why = err
		}
		select {
		case <-ctx.Done():
			return why
		case <-tick.C:
		}
	}
}

func (t *tool) healthy(ctx context.Context) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if !s.Ready {
		return fmt.Errorf("the peer is not ready: %s", problemTexts(s.Problems))
	}
	return nil
}
