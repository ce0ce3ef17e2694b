package installer

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
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
)

const (
	// patience is how long the other end may take for a line.
	patience = 5 * time.Second
	// Idle is how long the service waits for another request before it ends; systemd starts it again for the next one.
	Idle = 10 * time.Second
)

// Server carries out requests with the rights of its process.
type Server struct {
	Machine func() (slot.Machine, error) // that it is about, read anew for every request
	Disks   func() (disks.Host, error)   // that it has, likewise
	Log     *slog.Logger
}

// Run answers on l until ctx ends or nobody has asked anything for idle. An installation that has begun is brought to its
// end in any case: half of one would be thrown away.
func (s *Server) Run(ctx context.Context, l *net.UnixListener, idle time.Duration) error {
	defer context.AfterFunc(ctx, func() { _ = l.SetDeadline(time.Now()) })()
	var work sync.WaitGroup
	defer work.Wait()
	for {
		_ = l.SetDeadline(time.Now().Add(idle))
		if ctx.Err() != nil {
			return nil
		}
		conn, err := l.AcceptUnix()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		work.Go(func() {
			defer conn.Close()
			s.answer(conn)
		})
	}
}

// answer carries out the request of one connection.
func (s *Server) answer(conn *net.UnixConn) {
	t := &teller{conn: conn}
	request, bundle, err := receive(conn)
	var end Answer
	if err == nil {
		end, err = s.do(request, bundle, t)
	}
	if bundle != nil {
		_ = bundle.Close()
	}
	end.End = true
	if err != nil {
		s.Log.Warn("request refused or not carried out", "request", request.Do, "err", err)
		end.Error, end.NoAppliance = err.Error(), errors.Is(err, slot.ErrNoAppliance)
	}
	t.tell(end)
}

func (s *Server) do(r Request, bundle *os.File, t *teller) (a Answer, err error) {
	switch r.Do {
	case DoDisks, DoCopy:
		a.Disks, err = s.disks(r, t)
	case DoBackups:
		a.Backups, err = s.backups()
	case DoRead:
		err = s.read(r, bundle)
	default:
		a.Slots, err = s.slots(r, bundle, t)
	}
	return a, err
}

// disks tells what there is, after it has written to one if that was asked for.
func (s *Server) disks(r Request, t *teller) ([]disks.Disk, error) {
	h, err := s.Disks()
	if err != nil {
		return nil, err
	}
	if r.Do == DoCopy {
		if err := s.copy(h, r.Disk, t); err != nil {
			return nil, err
		}
	}
	return h.List()
}

func (s *Server) copy(h disks.Host, name string, t *teller) error {
	d, err := h.Find(name)
	if err != nil {
		return err
	}
	m, err := s.Machine()
	if err != nil {
		return err
	}
	if err := m.Copy(h.From, h.Path(d), t.progress()); err != nil {
		return fmt.Errorf("install on %s: %w", h.Path(d), err)
	}
	s.Log.Info("this system was written to another disk", "disk", h.Path(d), "model", d.Model, "held", d.Holds)
	return nil
}

func (s *Server) slots(r Request, bundle *os.File, t *teller) (*Slots, error) {
	m, err := s.Machine()
	if err != nil {
		return nil, err
	}
	switch r.Do {
	case DoInstall:
		m.Older = r.Older
		err = s.install(m, bundle, t)
	case DoRollback:
		err = m.Store.Change(func(s slot.State) (slot.State, error) { return s.Rollback(m.Running) })
	}
	if err != nil {
		return nil, err
	}
	return look(m)
}

func (s *Server) install(m slot.Machine, bundle *os.File, t *teller) error {
	if bundle == nil {
		return fmt.Errorf("%w: no bundle came with it", ErrRequest)
	}
	about, err := bundle.Stat()
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if !about.Mode().IsRegular() || about.Size() > slot.MaxBundle { // a pipe could be waited for without end
		return fmt.Errorf("%w: it is no regular file of at most %d bytes", slot.ErrNotBundle, slot.MaxBundle)
	}
	// The offset of the file is the client's, too. What the client changes in it meanwhile is found by its checksum.
	manifest, err := m.Update(io.NewSectionReader(bundle, 0, about.Size()), t.progress())
	if err == nil {
		s.Log.Info("update installed", "slot", m.Running.Other(), "version", manifest.Version, "release", manifest.Release)
	}
	return err
}

// receive reads a request and what came with it.
func receive(conn *net.UnixConn) (r Request, bundle *os.File, err error) {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	line, rights := make([]byte, maxLine), make([]byte, unix.CmsgSpace(4))
	n, with, flags, _, err := conn.ReadMsgUnix(line, rights)
	files := attached(rights[:with])
	if len(files) > 0 {
		bundle = files[0]
	}
	for _, f := range files[min(1, len(files)):] { // there is room for two
		_ = f.Close()
	}
	switch {
	case err != nil:
		return r, bundle, fmt.Errorf("%w: %w", ErrRequest, err)
	case flags&unix.MSG_CTRUNC != 0 || len(files) > 1:
		return r, bundle, fmt.Errorf("%w: more than one file came with it", ErrRequest)
	}
	text, _, whole := bytes.Cut(line[:n], []byte("\n"))
	if !whole {
		return r, bundle, fmt.Errorf("%w: it is not one line, sent at once", ErrRequest)
	}
	r, err = ParseRequest(text)
	return r, bundle, err
}

// attached are the files that came with a message. Go's runtime marks them close-on-exec.
func attached(rights []byte) (files []*os.File) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "bundle"))
		}
	}
	return files
}

// teller writes answers. A client that does not read them any more does not keep anything from being done.
type teller struct {
	conn net.Conn
	gone bool
}

func (t *teller) progress() slot.Progress {
	return func(step string, done, total int64) { t.tell(Answer{Step: step, Done: done, Total: total}) }
}

func (t *teller) tell(a Answer) {
	line, err := json.Marshal(a)
	if err != nil || t.gone {
		return
	}
	_ = t.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err = t.conn.Write(append(line, '\n'))
	t.gone = err != nil
}
