// Package setuppage is the page by which an appliance that is nobody yet is set up from a browser: restored from a backup, made the first
// peer of a new network or a further one of a network that invited it, or written to another disk. It is there until the machine is a
// peer, on the port of the console, for whoever has seen the one-time code on the machine's screen.
package setuppage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
)

// Machine is the appliance that is set up. One call at a time.
type Machine interface {
	// Blocked is why nothing may be set up: it is done already, or the state cannot be used. Empty: it may.
	Blocked() string
	// Open reads a backup to its end, and changes nothing.
	Open(ctx context.Context, backup *os.File, passphrase string) (Summary, error)
	// Restore makes the machine the peer of what was opened last. found: all voters of its network are lost.
	Restore(found bool) error
	Found(ctx context.Context, network, name string) error
	Join(ctx context.Context, token, name string) error
	Disks(ctx context.Context) ([]web.Disk, error)
	// Install writes the system to a disk, all of which is erased; progress is in bytes.
	Install(ctx context.Context, disk string, progress func(done, total int64)) error
	Reboot() error
}

// Summary says what a backup is of.
type Summary struct {
	Peer     string    `json:"peer"`
	Network  string    `json:"network"`
	Software string    `json:"software"`
	Created  time.Time `json:"created"`
	Files    int       `json:"files"`
}

// CodeHeader has the one-time code, as somebody typed it. No other site can have a browser send it without asking, so that this is the
// guard against requests from elsewhere, too.
const CodeHeader = "Drawbridge-Code"

const (
	maxForm   = 16 << 10 // bytes of what is no file
	maxBackup = 64 << 20 // the same as installer.MaxBackup, from a medium
	// restFor is how long an upload may stand still.
	restFor = time.Minute
	// joinWithin is how long a voter of the network that is joined may take to answer.
	joinWithin = time.Minute
)

// page answers browsers.
type page struct {
	machine Machine
	code    *access.OneTimeCode
	now     func() time.Time
	log     *slog.Logger

	deed   sync.Mutex // held while something is done: a machine is set up once
	opened *Summary   // what may be restored; guarded by deed
}

// New returns the handler of the page. It starts nothing.
func New(m Machine, code *access.OneTimeCode, now func() time.Time, log *slog.Logger) http.Handler {
	p := &page{machine: m, code: code, now: now, log: log}
	mux := http.NewServeMux()
	files(mux)
	mux.HandleFunc("POST /setup/look", p.guarded(p.look))
	mux.HandleFunc("POST /setup/open", p.guarded(p.open))
	mux.HandleFunc("POST /setup/restore", p.guarded(p.restore))
	mux.HandleFunc("POST /setup/found", p.guarded(p.found))
	mux.HandleFunc("POST /setup/join", p.guarded(p.join))
	mux.HandleFunc("POST /setup/disks", p.guarded(p.disks))
	mux.HandleFunc("POST /setup/install", p.guarded(p.install))
	mux.HandleFunc("POST /setup/reboot", p.guarded(p.reboot))
	return mux
}

// wrong is about what somebody typed or chose.
func wrong(format string, args ...any) error {
	return &access.Refusal{Status: http.StatusUnprocessableEntity, Detail: fmt.Sprintf(format, args...)}
}

// guarded lets nobody in who has not seen the code, and one at a time.
func (p *page) guarded(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		heads(w)
		err := p.code.Check(r.Header.Get(CodeHeader), from(r), p.now())
		if err == nil {
			err = p.alone(w, r, do)
		}
		if err != nil {
			p.refuse(w, r, err)
		}
	}
}

func (p *page) alone(w http.ResponseWriter, r *http.Request, do func(http.ResponseWriter, *http.Request) error) error {
	if !p.deed.TryLock() {
		return &access.Refusal{Status: http.StatusConflict, Detail: "something is being done on this machine already: wait until it has ended"}
	}
	defer p.deed.Unlock()
	if why := p.machine.Blocked(); why != "" && r.URL.Path != "/setup/reboot" {
		return &access.Refusal{Status: http.StatusConflict, Detail: why}
	}
	return do(w, r)
}

// from is the address of who asks.
func from(r *http.Request) netip.Addr {
	a, _ := netip.ParseAddrPort(r.RemoteAddr) // without one, everybody shares a limit
	return a.Addr()
}

func (p *page) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p.log.Warn("the set-up was refused, or did not succeed", "what", r.URL.Path, "addr", r.RemoteAddr, "err", err)
	refusal, ok := errors.AsType[*access.Refusal](err)
	if !ok {
		refusal = &access.Refusal{Status: http.StatusUnprocessableEntity, Detail: err.Error()}
	}
	refusal.Write(w)
}

func answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // likewise
	return nil
}

// fields reads what a form of the page sends.
func fields[T any](r *http.Request) (v T, err error) {
	d := json.NewDecoder(io.LimitReader(r.Body, maxForm))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, wrong("this page and the machine do not understand each other: load the page again")
	}
	return v, nil
}
