package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/drawbridge-net/drawbridge/appliance"
	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/installer"
	"github.com/drawbridge-net/drawbridge/appliance/screen"
)

// lastOfSetUp is the file that a set-up writes last: with it, a machine is a peer.
const lastOfSetUp = "peer.crt"

// restoration is what somebody before the screen is about to do. One order at a time owns it.
type restoration struct{ backup *backup.Backup }

// open reads a backup from a medium to its last byte, in words: medium, file and passphrase.
func (r *restoration) open(ctx context.Context, service installer.Client, words []string) (screen.Summary, error) {
	r.backup = nil
	f, err := os.CreateTemp("", "backup")
	if err != nil {
		return screen.Summary{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := service.Read(ctx, installer.Backup{Medium: words[0], Name: words[1]}, f); err != nil {
		return screen.Summary{}, err
	}
	return r.read(f, words[2])
}

// read takes what is in a file, when all of it is whole.
func (r *restoration) read(f *os.File, passphrase string) (_ screen.Summary, err error) {
	if r.backup, err = openQuietly(f, passphrase); err != nil {
		r.backup = nil
		return screen.Summary{}, err
	}
	m := r.backup.Manifest
	clean(&m)
	return screen.Summary{Peer: m.Peer, Network: m.Network, Software: m.Software, Created: m.Created, Files: len(m.Files)}, nil
}

// openQuietly gives the memory that making the key took back at once: a small machine starts its gateway next.
func openQuietly(f *os.File, passphrase string) (*backup.Backup, error) {
	defer debug.FreeOSMemory()
	return backup.Open(f, passphrase)
}

func (r *restoration) restore(t *tool, found bool) error {
	if r.backup == nil {
		return errors.New("no backup was opened")
	}
	err := t.fillFrom(r.backup, found)
	if err == nil {
		r.backup = nil
	}
	return err
}

// fillFrom makes this appliance, which is no peer yet, the one of a backup.
func (t *tool) fillFrom(b *backup.Backup, found bool) error {
	node, err := config.Parse("the backup's node file", b.NodeFile())
	if err != nil {
		return err
	}
	if node.StateDir != t.stateDir {
		return fmt.Errorf("its node file says state_dir = %q, and an appliance keeps its state in %s: restore it on a host with the Debian package", node.StateDir, t.stateDir)
	}
	to := backup.Target{StateDir: t.stateDir, NodeFile: t.configPath(), Software: version}
	if found {
		to.Found = appliance.FounderFile
	}
	err = b.Fill(to, lastOfSetUp)
	if errors.Is(err, syscall.ENOSPC) {
		free, total := room(t.stateDir)
		err = fmt.Errorf("the state partition is full, with %d of %d MiB free: reset the machine, or write the image to a larger disk: %w", free>>20, total>>20, err)
	}
	return err
}

// errBackup says that a backup that was handed over cannot be restored; to try again would be in vain.
var errBackup = errors.New("backup")

// provisionBackup restores one that was handed over with its passphrase. A name and a network that come with it must be its own.
func (t *tool) provisionBackup(dir, passphrase, name, network string) error {
	if passphrase == "" {
		return fmt.Errorf("%w: its passphrase was not handed over: type restore on this screen, or add it as a file passphrase", errBackup)
	}
	f, err := os.Open(filepath.Join(dir, "backup"))
	if err != nil {
		return fmt.Errorf("%w: %w", errBackup, err)
	}
	defer f.Close()
	b, err := openQuietly(f, passphrase)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errBackup, err)
	case name != "" && name != b.Peer:
		return fmt.Errorf("%w: it is of peer %s, and the file name says %s", errBackup, b.Peer, name)
	case network != "" && network != b.Network:
		return fmt.Errorf("%w: it is of network %s, and the file network says %s", errBackup, b.Network, network)
	}
	if err := t.fillFrom(b, false); err != nil {
		return fmt.Errorf("%w: %w", errBackup, err)
	}
	fmt.Fprintf(t.out, "this machine is peer %s of network %s, as its backup of %s has it\n", b.Peer, b.Network, b.Created)
	return errors.Join(os.Remove(filepath.Join(dir, "passphrase")), os.Remove(filepath.Join(dir, "backup")))
}
