package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance"
	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

func (t *tool) backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Keep all that makes this peer what it is in one encrypted file, and bring it back",
		Long:  "It has identity, keys, node file, users, tokens, addresses and the network's configuration. The passphrase is asked for, or in " + backup.PassphraseVariable + ". Needs root. `age -d FILE | tar x` opens the file, too.",
		Args:  cobra.NoArgs,
	}
	create := &cobra.Command{Use: "create FILE", Short: "Write a backup of this peer, - for standard output; the daemon may run", Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
		return t.createBackup(cmd.Context(), args[0])
	}}
	show := &cobra.Command{Use: "show FILE", Short: "Verify a backup to its last byte, and say what it is of", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
		b, err := t.openBackup(args[0])
		if err != nil {
			return err
		}
		t.showBackup(&b.Manifest)
		return nil
	}}
	var older, found, yes bool
	restore := &cobra.Command{
		Use: "restore FILE", Short: "Make this host the peer that a backup is of; the daemon must not run",
		Long: "The peer that the backup is of must not run anywhere else any more. What was on this\n" +
			"host is kept beside it. A voter gets what was decided from the others; with --found there are no others any more.",
		Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error { return t.restoreBackup(args[0], older, found, yes) },
	}
	restore.Flags().BoolVar(&older, "older", false, "do it although what is on this host is newer")
	restore.Flags().BoolVar(&found, "found", false, "all voters are lost: this peer founds their group anew")
	restore.Flags().BoolVar(&yes, "yes", false, "do it; without it, say what would be done")
	cmd.AddCommand(create, show, restore)
	return cmd
}

// passphrase asks for it, twice when it is new.
func (t *tool) passphrase(again bool) (string, error) {
	if p := os.Getenv(backup.PassphraseVariable); p != "" {
		return p, nil
	}
	in := bufio.NewReader(t.in)
	p, err := t.ask(in, "Passphrase of the backup: ")
	if err != nil || !again {
		return p, err
	}
	q, err := t.ask(in, "Once more: ")
	if err == nil && p != q {
		err = errors.New("the two differ")
	}
	return p, err
}

func (t *tool) createBackup(ctx context.Context, path string) error {
	c, err := config.Load(t.configPath())
	if err != nil {
		return err
	}
	content := backup.Content{StateDir: c.StateDir, NodeFile: t.configPath()}
	content.Created, content.Software = time.Now().UTC(), version
	if err := identify(c.StateDir, &content.Manifest); err != nil {
		return err
	}
	if err := t.networkConfig(ctx, &content); err != nil {
		fmt.Fprintf(t.err, "the network's configuration is not in the backup: %v\n", err)
	}
	passphrase, err := t.passphrase(true)
	if err != nil {
		return err
	}
	if path == "-" {
		_, err := backup.Create(t.out, passphrase, content)
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is none
	m, err := backup.Create(f, passphrase, content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	t.showBackup(&m)
	return nil
}

// identify reads whose state directory it is, without its lock: a daemon may run.
func identify(dir string, m *backup.Manifest) error {
	self, network, err := secure.ReadIdentity(dir)
	if err != nil {
		return err
	}
	m.Peer, m.PeerID, m.Network = string(self.Name), self.ID.String(), network.Name
	return nil
}

// networkConfig asks the daemon for what the voters agreed on.
func (t *tool) networkConfig(ctx context.Context, c *backup.Content) error {
	api, err := t.client()
	if err != nil {
		return err
	}
	now, err := api.Config(ctx, 0)
	if err != nil || now.Version == 0 { // nothing has been configured yet
		return err
	}
	text, err := api.ExportConfig(ctx, now.Version, "toml")
	if err != nil {
		return err
	}
	c.Config, c.NetworkConfig = now.Version, []byte(text)
	return nil
}

func (t *tool) openBackup(path string) (*backup.Backup, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	passphrase, err := t.passphrase(false)
	if err != nil {
		return nil, err
	}
	return backup.Open(bufio.NewReader(f), passphrase)
}

func (t *tool) showBackup(m *backup.Manifest) {
	shown := *m
	clean(&shown)
	fmt.Fprintf(t.out, "Backup of peer %s (%s) of network %s, made %s by %s\n", shown.Peer, shown.PeerID, shown.Network, m.Created.Format(time.RFC3339), shown.Software)
	fmt.Fprintf(t.out, "  %s, the newest of %s; configuration of the network: version %d\n", drawbridge.Counted(len(m.Files), "file"), m.Changed.Format(time.RFC3339), m.Config)
}

func (t *tool) restoreBackup(path string, older, found, yes bool) error {
	b, err := t.openBackup(path)
	if err != nil {
		return err
	}
	node, err := config.Parse("the backup's node file", b.NodeFile()) // by which the peer will go, whatever this host's says now
	if err != nil {
		return err
	}
	to := backup.Target{StateDir: node.StateDir, NodeFile: t.configPath(), Older: older, Software: version}
	if self, _, err := secure.ReadIdentity(to.StateDir); err == nil {
		to.PeerID = self.ID.String()
	}
	if found {
		to.Found = appliance.FounderFile
	}
	t.showBackup(&b.Manifest)
	if !yes {
		return usagef("this would replace %s and %s: add --yes", to.StateDir, to.NodeFile)
	}
	kept, err := b.Restore(to, time.Now())
	if err != nil {
		return err
	}
	if kept != "" {
		fmt.Fprintf(t.out, "What was here is in %s.\n", kept)
	}
	fmt.Fprintf(t.out, "Restored. Start the daemon: systemctl start drawbridge\n")
	if found && b.Config != 0 {
		fmt.Fprintln(t.out, "The network's configuration comes back with it, as a new version: drawbridge config log")
	}
	return nil
}
