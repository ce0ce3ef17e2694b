package installer

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/fat"
)

// MaxBackup bounds what is read of a backup, in bytes. A peer with all its state has some hundred kilobytes; a file that is larger
// than this would not fit beside a system on a small disk.
const MaxBackup = 64 << 20

// Backup is a file on a medium that has the name of one. Whether it is one only its passphrase tells.
type Backup struct {
	Medium  string    `json:"medium"` // sdb1
	Name    string    `json:"name"`
	Size    int64     `json:"size"` // bytes
	Changed time.Time `json:"changed,omitzero"`
}

// maxBackups bounds an answer to one line.
const maxBackups = 50

// named like the ones that the console and the documentation make.
func named(name string) bool {
	name = strings.ToLower(name)
	return name == "backup" || strings.HasSuffix(name, ".age") || strings.HasSuffix(name, ".backup")
}

// backups looks at every medium. What cannot be read as FAT has none.
func (s *Server) backups() (all []Backup, err error) {
	h, err := s.Disks()
	if err != nil {
		return nil, err
	}
	media, err := h.Media()
	for _, m := range media {
		found, err := files(h, m)
		if err != nil {
			s.Log.Debug("no backup is looked for on a medium", "medium", m, "err", err)
		}
		all = append(all, found...)
	}
	return all[:min(len(all), maxBackups)], err
}

func files(h disks.Host, medium string) (all []Backup, err error) {
	f, err := os.Open(h.Path(disks.Disk{Name: medium}))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	system, err := fat.Open(f)
	if err != nil {
		return nil, err
	}
	for _, one := range system.Files {
		if named(one.Name) && len(one.Name) <= 200 { // an answer is one line
			all = append(all, Backup{medium, one.Name, one.Size, one.Changed})
		}
	}
	return all, nil
}

// read copies a backup into the client's file: the service has the right to read a medium, and none to write a state.
func (s *Server) read(r Request, to *os.File) error {
	if to == nil {
		return fmt.Errorf("%w: no file came with it", ErrRequest)
	}
	h, err := s.Disks()
	if err != nil {
		return err
	}
	found, err := files(h, r.Disk)
	if err != nil {
		return fmt.Errorf("medium %s: %w", r.Disk, err)
	}
	for _, one := range found {
		if one.Name == r.File {
			return transfer(h, one, to)
		}
	}
	return fmt.Errorf("there is no backup %s on %s any more", r.File, r.Disk)
}

func transfer(h disks.Host, b Backup, to *os.File) error {
	f, err := os.Open(h.Path(disks.Disk{Name: b.Medium}))
	if err != nil {
		return err
	}
	defer f.Close()
	system, err := fat.Open(f)
	if err != nil {
		return err
	}
	file, err := system.Find(b.Name)
	if err != nil {
		return err
	}
	content, err := system.Read(file, MaxBackup)
	if err != nil {
		return err
	}
	_, err = to.WriteAt(content, 0)
	return err
}
