package setuppage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// done is the answer to what has no other.
type done struct {
	Done bool `json:"done"`
}

// look tells that the code is right, and that there is something to set up.
func (p *page) look(w http.ResponseWriter, _ *http.Request) error { return answer(w, done{true}) }

// open takes a backup to a file without a name and reads it to its end. Nothing is changed by it.
func (p *page) open(w http.ResponseWriter, r *http.Request) error {
	p.opened = nil
	f, err := os.CreateTemp("", "backup")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	passphrase, err := upload(w, r, f)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	what, err := p.machine.Open(r.Context(), f, passphrase)
	if err != nil {
		return err
	}
	p.opened = &what
	return answer(w, what)
}

// upload reads the form: the passphrase first, then the file.
func upload(w http.ResponseWriter, r *http.Request, to io.Writer) (passphrase string, err error) {
	patience := http.NewResponseController(w)
	r.Body = http.MaxBytesReader(w, r.Body, maxBackup+maxForm)
	parts, err := r.MultipartReader()
	if err != nil {
		return "", wrong("no form was sent: load the page again")
	}
	for {
		_ = patience.SetReadDeadline(time.Now().Add(restFor)) // a recorder in a test has none
		part, err := parts.NextPart()
		if err != nil {
			return "", early(err)
		}
		if part.FormName() == "backup" {
			n, err := io.Copy(to, steady{part, patience})
			switch {
			case errors.Is(err, syscall.ENOSPC):
				return "", wrong("this machine has no room for a backup of more than %d MB: give it more memory", n>>20)
			case err != nil:
				return "", early(err)
			case n == 0:
				return "", wrong("the file is empty: choose the backup")
			}
			return passphrase, nil
		}
		text, err := io.ReadAll(io.LimitReader(part, maxForm))
		if err != nil {
			return "", early(err)
		}
		passphrase = string(text)
	}
}

// early is why a form did not come whole.
func early(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return wrong("the file has more than %d MB: is it a backup of Drawbridge?", maxBackup>>20)
	}
	return wrong("the file ended early on its way: send it again")
}

// steady reads as long as something comes.
type steady struct {
	io.Reader
	c *http.ResponseController
}

func (s steady) Read(b []byte) (int, error) {
	_ = s.c.SetReadDeadline(time.Now().Add(restFor))
	return s.Reader.Read(b)
}

// restore wants the name of the peer: two machines with one identity are a clone, and both are cut off.
func (p *page) restore(w http.ResponseWriter, r *http.Request) error {
	in, err := fields[struct {
		Peer  string `json:"peer"`
		Found bool   `json:"found"`
	}](r)
	switch {
	case err != nil:
		return err
	case p.opened == nil:
		return wrong("no backup was opened: choose the file, and give its passphrase, again")
	case in.Peer != p.opened.Peer:
		return wrong("confirm it by the name %s", p.opened.Peer)
	}
	if err := p.machine.Restore(in.Found); err != nil {
		return fmt.Errorf("not restored: %w. This machine is as it was: not set up", err)
	}
	p.log.Warn("this machine was restored from a backup", "peer", p.opened.Peer, "network", p.opened.Network, "made", p.opened.Created)
	return answer(w, done{true})
}

func (p *page) found(w http.ResponseWriter, r *http.Request) error {
	in, err := fields[struct {
		Network string `json:"network"`
		Name    string `json:"name"`
	}](r)
	if err == nil {
		err = p.machine.Found(context.WithoutCancel(r.Context()), in.Network, in.Name)
	}
	if err != nil {
		return err
	}
	return answer(w, done{true})
}

func (p *page) join(w http.ResponseWriter, r *http.Request) error {
	in, err := fields[struct {
		Token string `json:"token"`
		Name  string `json:"name"`
	}](r)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), joinWithin)
		err = p.machine.Join(ctx, in.Token, in.Name)
		cancel()
	}
	if err != nil {
		return err
	}
	return answer(w, done{true})
}

func (p *page) disks(w http.ResponseWriter, r *http.Request) error {
	all, err := p.machine.Disks(r.Context())
	if err != nil {
		return err
	}
	return answer(w, append([]web.Disk{}, all...))
}

// step is a line of the answer to an installation.
type step struct {
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
	End   bool   `json:"end"`
	Error string `json:"error,omitempty"`
}

// install answers with a line for each hundredth, and one for the end. A browser that goes away does not stop it: half a copy is of no
// use to anybody.
func (p *page) install(w http.ResponseWriter, r *http.Request) error {
	in, err := fields[struct {
		Disk    string `json:"disk"`
		Confirm string `json:"confirm"`
	}](r)
	switch {
	case err != nil:
		return err
	case in.Disk == "" || in.Confirm != in.Disk:
		return wrong("this erases disk %s: confirm it by that name", in.Disk)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	last := int64(-1)
	tell := func(s step) {
		_ = out.Encode(s) // whoever is gone is told nothing
		_ = flush.Flush()
	}
	p.log.Warn("this system is written to another disk", "disk", in.Disk)
	err = p.machine.Install(context.WithoutCancel(r.Context()), in.Disk, func(now, total int64) {
		if whole := now * 100 / max(total, 1); whole != last {
			last = whole
			tell(step{Done: now, Total: total})
		}
	})
	end := step{End: true}
	if err != nil {
		end.Error = err.Error()
		p.log.Warn("this system was not written to another disk", "disk", in.Disk, "err", err)
	}
	tell(end)
	return nil
}

func (p *page) reboot(w http.ResponseWriter, _ *http.Request) error {
	if err := p.machine.Reboot(); err != nil {
		return err
	}
	return answer(w, done{true})
}
