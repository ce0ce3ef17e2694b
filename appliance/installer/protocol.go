// Package installer is the half of an update that needs root. The daemon has no right to write a slot: it passes a bundle
// that it has received, as an open file, over a unix socket to a small service that runs as root only as long as it has
// something to do, and that believes nothing but the release key (docs/protocol/update.md).
package installer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

// Format is the version of the protocol. Both ends come from one image; a daemon that was started from another one in a
// moment of transition is refused and not misunderstood.
const Format = 1

// Socket is where the service listens (drawbridge-update.socket).
const Socket = "/run/drawbridge-update.sock"

// What can be asked for.
const (
	DoInstall  = "install"  // the bundle comes with the request, as a file descriptor
	DoSlots    = "slots"    // how the slots stand
	DoRollback = "rollback" // start the other slot from now on
	DoDisks    = "disks"    // which disks there are, and what is on them
	DoCopy     = "copy"     // write this system to another disk, all of which is overwritten
	DoBackups  = "backups"  // which backups of peers lie on sticks and other media
	DoRead     = "read"     // one of them into the file that comes with the request
)

// maxLine bounds a request and an answer in bytes: a few short fields, and the reason of a failure.
const maxLine = 16 << 10

// Request is the one line that a client sends.
type Request struct {
	Format int    `json:"format"`
	Do     string `json:"do"`
	Older  bool   `json:"older,omitempty"` // install: also a bundle that is not newer than what runs
	Disk   string `json:"disk,omitempty"`  // copy: its name, such as sda; read: the medium's, such as sdb1
	File   string `json:"file,omitempty"`  // read: its name
}

// ErrRequest is about a request that makes no sense.
var ErrRequest = errors.New("request not understood")

// ParseRequest reads the line of a client, without its end.
func ParseRequest(line []byte) (Request, error) {
	var r Request
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Request{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Request{}, fmt.Errorf("%w: something comes after it", ErrRequest)
	}
	switch {
	case r.Format != Format:
		return Request{}, fmt.Errorf("%w: format %d, and this is %d: restart the machine, so that all of it is of one release", ErrRequest, r.Format, Format)
	case !slices.Contains([]string{DoInstall, DoSlots, DoRollback, DoDisks, DoCopy, DoBackups, DoRead}, r.Do):
		return Request{}, fmt.Errorf("%w: %q", ErrRequest, r.Do)
	case r.Older && r.Do != DoInstall:
		return Request{}, fmt.Errorf("%w: older is about an installation", ErrRequest)
	case (r.File == "") == (r.Do == DoRead):
		return Request{}, fmt.Errorf("%w: a file is read, and nothing else is done with it", ErrRequest)
	case (r.Disk == "") == (r.Do == DoCopy || r.Do == DoRead) || strings.ContainsAny(r.Disk, "/\x00"):
		return Request{}, fmt.Errorf("%w: a copy and a file want the name of a disk, and nothing else does", ErrRequest)
	}
	return r, nil
}

// Answer is a line of the service. The last one has End; those before it tell how far an installation is.
type Answer struct {
	Step        string `json:"step,omitempty"` // verify, write; of a copy: copy
	Done        int64  `json:"done,omitempty"` // bytes
	Total       int64  `json:"total,omitempty"`
	End         bool   `json:"end,omitempty"`
	Error       string `json:"error,omitempty"`        // why it was not done
	NoAppliance bool   `json:"no_appliance,omitempty"` // that is why
	Slots       *Slots `json:"slots,omitempty"`        // how they stand now

	Disks   []disks.Disk `json:"disks,omitempty"` // that this machine has
	Backups []Backup     `json:"backups,omitempty"`
}

// Slots is how the slots of an appliance stand.
type Slots struct {
	Running slot.Name `json:"running"`
	Next    slot.Name `json:"next"` // starts next
	Slots   []Slot    `json:"slots"`
	Failure string    `json:"failure,omitempty"` // why the last update was given up
}

// Slot is one of them.
type Slot struct {
	Name     slot.Name `json:"name"`
	Release  time.Time `json:"release,omitzero"` // when it was made; zero: the slot is empty
	Standing string    `json:"standing"`         // slot.Empty and its like
}

// look reads how the slots of a machine stand.
func look(m slot.Machine) (*Slots, error) {
	s, err := m.Store.Load()
	if err != nil {
		return nil, err
	}
	next, _ := s.Boot()
	v := &Slots{Running: m.Running, Next: next}
	for _, n := range []slot.Name{slot.A, slot.B} {
		one := Slot{Name: n, Standing: s.Standing(n, m.Running)}
		if at := s.Slots[n].Version; at != 0 {
			one.Release = time.Unix(int64(at), 0).UTC()
		}
		v.Slots = append(v.Slots, one)
	}
	if f := m.Failed(s); f != nil {
		v.Failure = f.String()
	}
	return v, nil
}
