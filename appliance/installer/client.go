package installer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

// Client asks the service at a socket.
type Client struct{ Path string }

// Install has a bundle verified and written. The error of one that was refused is told before a step called write.
func (c Client) Install(ctx context.Context, bundle *os.File, older bool, progress slot.Progress) (Slots, error) {
	return c.askSlots(ctx, Request{Format: Format, Do: DoInstall, Older: older}, bundle, progress)
}

// Slots asks how they stand.
func (c Client) Slots(ctx context.Context) (Slots, error) {
	return c.askSlots(ctx, Request{Format: Format, Do: DoSlots}, nil, nil)
}

// Rollback has the other slot start next.
func (c Client) Rollback(ctx context.Context) (Slots, error) {
	return c.askSlots(ctx, Request{Format: Format, Do: DoRollback}, nil, nil)
}

// Disks asks which ones there are.
func (c Client) Disks(ctx context.Context) ([]disks.Disk, error) {
	a, err := c.ask(ctx, Request{Format: Format, Do: DoDisks}, nil, nil)
	return a.Disks, err
}

// Copy has this system written to a disk, all of which is overwritten. One that cannot be is refused before that.
func (c Client) Copy(ctx context.Context, disk string, progress slot.Progress) error {
	_, err := c.ask(ctx, Request{Format: Format, Do: DoCopy, Disk: disk}, nil, progress)
	return err
}

// Backups asks which ones lie on media that have a FAT file system.
func (c Client) Backups(ctx context.Context) ([]Backup, error) {
	a, err := c.ask(ctx, Request{Format: Format, Do: DoBackups}, nil, nil)
	return a.Backups, err
}

// Read has one of them written to a file.
func (c Client) Read(ctx context.Context, b Backup, to *os.File) error {
	_, err := c.ask(ctx, Request{Format: Format, Do: DoRead, Disk: b.Medium, File: b.Name}, to, nil)
	return err
}

func (c Client) askSlots(ctx context.Context, r Request, bundle *os.File, progress slot.Progress) (Slots, error) {
	a, err := c.ask(ctx, r, bundle, progress)
	switch {
	case err != nil:
		return Slots{}, err
	case a.Slots == nil:
		return Slots{}, errors.New("the update service answered nothing")
	}
	return *a.Slots, nil
}

func (c Client) ask(ctx context.Context, r Request, bundle *os.File, progress slot.Progress) (Answer, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := send(conn, r, bundle); err != nil {
		return Answer{}, fmt.Errorf("ask the update service: %w", err)
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var a Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return Answer{}, fmt.Errorf("answer of the update service: %w", err)
		}
		if !a.End {
			if progress != nil {
				progress(a.Step, a.Done, a.Total)
			}
			continue
		}
		return a.outcome()
	}
	if err := errors.Join(ctx.Err(), lines.Err()); err != nil {
		return Answer{}, fmt.Errorf("the update service did not answer to the end: %w", err)
	}
	return Answer{}, errors.New("the update service ended before it was done: journalctl -u drawbridge-update says why")
}

func (a Answer) outcome() (Answer, error) {
	switch {
	case a.NoAppliance:
		return Answer{}, slot.ErrNoAppliance
	case a.Error != "":
		return Answer{}, errors.New(a.Error)
	}
	return a, nil
}

// dial connects. Where there is no socket there is no appliance, as a rule.
func (c Client) dial(ctx context.Context) (*net.UnixConn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Path)
	if errors.Is(err, os.ErrNotExist) {
		if _, started := os.Stat(slot.BootFile); os.IsNotExist(started) {
			return nil, slot.ErrNoAppliance
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the update service is not reached: %w: systemctl start drawbridge-update.socket", err)
	}
	return conn.(*net.UnixConn), nil
}

func send(conn *net.UnixConn, r Request, bundle *os.File) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var rights []byte
	if bundle != nil {
		rights = unix.UnixRights(int(bundle.Fd()))
	}
	_, _, err = conn.WriteMsgUnix(append(line, '\n'), rights, nil)
	return err
}
