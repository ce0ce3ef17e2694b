// Package backup puts everything that makes a peer what it is into one encrypted file, and back: identity, keys, node file,
// users, tokens, leases of addresses, and the network's configuration as text. The file is in the age format with a
// passphrase (scrypt), so that it can be opened in ten years without this program: age -d FILE | tar x.
//
// What the voters wrote to their log is left out on purpose. A voter that comes back with an old log has forgotten what it
// promised since, and could help to decide something twice; it gets the decisions from the others instead.
package backup

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
)

const (
	// Format is the version of the layout inside.
	Format = 1
	// maxWork bounds what a foreign file may make us compute: sixteen times as much.
	maxWork = 22
	// MaxFile and MaxAll bound one file and all of them, in bytes.
	MaxFile = 64 << 20
	MaxAll  = 512 << 20
	// MinPassphrase is the shortest passphrase, in bytes: the file may lie around for years.
	MinPassphrase = 12

	// PassphraseVariable holds the passphrase, for scripts: arguments are seen by everybody on the host.
	PassphraseVariable = "DRAWBRIDGE_BACKUP_PASSPHRASE"

	manifestName = "manifest.json"
	nodeFileName = "drawbridge.toml"
	configName   = "network-configuration.toml"
	stateFolder  = "state"
)

// work is age's own default for scrypt: 2^18, a second of a core for each guess. Tests take less.
var work = 18

// leftOut are entries of a state directory that mean nothing elsewhere: locks, the voters' log, the number of the last run, what
// is under way.
var leftOut = []string{"lock", "raft", "boot", "rollout.json", "rollout.bundle", "update"}

// undated are the addresses of other peers (docs/protocol/join.md, "State directory"), which are written whenever one of them moves: that
// makes no backup older than what is on the disk.
const undated = "contacts"

// Why a backup is refused.
var (
	ErrPassphrase = errors.New("the passphrase is wrong")
	ErrDamaged    = errors.New("the backup is damaged or incomplete: take another copy")
	ErrNotBackup  = errors.New("this is no backup of Drawbridge")
	ErrForeign    = errors.New("the backup is of another peer")
	ErrNewer      = errors.New("the backup is of a newer release")
	ErrSetUp      = errors.New("this machine is set up already")
	ErrOlder      = errors.New("the backup is older than what is on this disk")
)

// Manifest says what a backup is of.
type Manifest struct {
	Format   int       `json:"format"`
	Product  string    `json:"product"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"` // of the newest file in it
	Peer     string    `json:"peer"`
	PeerID   string    `json:"peer_id"`
	Network  string    `json:"network"`
	Software string    `json:"software"`
	Config   uint64    `json:"config"` // version of the network's configuration; 0: the daemon did not answer
	Files    []string  `json:"files"`
}

const product = "drawbridge"

// Content is what a backup is made of.
type Content struct {
	Manifest
	StateDir, NodeFile string
	NetworkConfig      []byte // as text; nil: unknown
}

// Create writes a backup.
func Create(w io.Writer, passphrase string, c Content) (Manifest, error) {
	if len(passphrase) < MinPassphrase {
		return Manifest{}, fmt.Errorf("the passphrase has %d bytes, want at least %d: the file holds private keys", len(passphrase), MinPassphrase)
	}
	files, err := c.collect()
	if err != nil {
		return Manifest{}, err
	}
	c.Format, c.Product = Format, product
	for _, f := range files {
		c.Files = append(c.Files, f.name)
		if f.changed.After(c.Changed) {
			c.Changed = f.changed
		}
	}
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return Manifest{}, err
	}
	to.SetWorkFactor(work)
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return Manifest{}, err
	}
	return c.Manifest, errors.Join(c.write(sealed, files), sealed.Close())
}

// file is one that is kept.
type file struct {
	name    string
	content []byte
	changed time.Time
}

func (c *Content) collect() (files []file, err error) {
	err = filepath.WalkDir(c.StateDir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(c.StateDir, p)
		if err != nil || name == "." {
			return err
		}
		if slices.Contains(leftOut, name) || strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := read(p, path.Join(stateFolder, filepath.ToSlash(name)))
		if name == undated {
			f.changed = time.Time{}
		}
		files = append(files, f)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	node, err := read(c.NodeFile, nodeFileName)
	if err != nil {
		return nil, fmt.Errorf("node file: %w", err)
	}
	node.changed = time.Time{} // a node file is edited by hand, and says nothing about the age of keys
	files = append(files, node)
	if c.NetworkConfig != nil {
		files = append(files, file{name: configName, content: c.NetworkConfig})
	}
	return files, nil
}

// read takes a file as it is at one moment: they are replaced by renaming.
func read(p, name string) (file, error) {
	content, err := os.ReadFile(p)
	if err != nil {
		return file{}, err
	}
	if len(content) > MaxFile {
		return file{}, fmt.Errorf("%s has %d bytes, at most %d fit: is it of this product?", p, len(content), MaxFile)
	}
	info, err := os.Stat(p)
	if err != nil {
		return file{}, err
	}
	return file{name, content, info.ModTime().UTC()}, nil
}

func (c *Content) write(w io.Writer, files []file) error {
	head, err := json.MarshalIndent(c.Manifest, "", "\t")
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, f := range append([]file{{name: manifestName, content: head}}, files...) {
		h := &tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.content)), ModTime: f.changed, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.content); err != nil {
			return err
		}
	}
	return t.Close()
}
