package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Config is what access rests on.
type Config struct {
	Store Store
	Audit Audit
	Log   *slog.Logger
	Now   func() time.Time

	// Announce shows a one-time code to whoever is at the machine. Nil: there is no first run over HTTP.
	Announce func(code string)
	Group    string       // whose members may use the unix socket
	Issuer   string       // what authenticator apps call this network
	Rules    []Rule       // nil: those of the API
	Client   *http.Client // for calls to an OIDC issuer; nil: the default one
}

// Access knows who may do what.
type Access struct {
	cfg      Config
	sessions *sessions
	limiter  *limiter
	first    *firstRun
	hashing  chan struct{} // holds one: hashing takes memory and a core, and this is a gateway
	verify   func(hash, string) bool
	unknown  hash // for users that do not exist: they take as long
	csrf     *http.CrossOriginProtection
	issuers  issuers

	mu      sync.Mutex // guards what follows
	steps   map[string]int64
	pending map[string]enrolment
	live    map[*visit]struct{}
	waiting int // for hashing
}

// New makes an Access. It starts nothing.
func New(cfg Config) *Access {
	if cfg.Rules == nil {
		cfg.Rules = Rules
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Access{
		cfg: cfg, sessions: newSessions(), limiter: newLimiter(), hashing: make(chan struct{}, 1), verify: hash.verify,
		unknown: hash{hashMemory, hashTime, hashThreads, make([]byte, hashSalt), make([]byte, hashKey)},
		csrf:    http.NewCrossOriginProtection(),
		steps:   map[string]int64{}, pending: map[string]enrolment{}, live: map[*visit]struct{}{},
	}
	a.first = &firstRun{announce: cfg.Announce}
	a.issuers.client = cfg.Client
	return a
}

// recheckEvery bounds how long a stream goes on after the right to it ended for a reason that nobody told us:
// time, or a change that another node made.
const recheckEvery = 5 * time.Second

// Run shows the one-time code while there are no users, and ends streams whose callers lost their right.
func (a *Access) Run(ctx context.Context) error {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		a.FirstRunCode()
		a.recheck()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// FirstRunCode is the one-time code; empty when there are users, or nobody could be shown one.
func (a *Access) FirstRunCode() string {
	d, err := a.cfg.Store.Load()
	if err != nil || !d.Empty() || a.cfg.Announce == nil {
		a.first.done()
		return ""
	}
	return a.first.current(a.cfg.Now())
}

// Directory is everybody who has access.
func (a *Access) Directory() (Directory, error) { return a.cfg.Store.Load() }

// changeTries is how often a change is made again when somebody else was faster.
const changeTries = 5

// change replaces the directory by what edit makes of it, and ends what rested on what was before. With a
// version, only that one is replaced.
func (a *Access) change(version *uint64, edit func(Directory) (Directory, error)) (Directory, error) {
	d, err := a.swap(version, edit)
	if err == nil {
		a.recheck()
	}
	return d, err
}

func (a *Access) swap(version *uint64, edit func(Directory) (Directory, error)) (d Directory, err error) {
	for range changeTries {
		old, err := a.cfg.Store.Load()
		if err != nil {
			return old, err
		}
		if version != nil && *version != old.Version {
			return old, ErrStale
		}
		if d, err = edit(old); err != nil {
			return old, err
		}
		if err = a.cfg.Store.Save(old.Version, d); !errors.Is(err, ErrStale) {
			return d, err
		}
	}
	return d, ErrStale
}

// maxWaiting is how many may wait for hashing: at 20 ms each, a fifth of a second.
const maxWaiting = 10

// slow runs f, which hashes, when it is its turn.
func (a *Access) slow(ctx context.Context, f func()) error {
	busy := &Refusal{Status: http.StatusServiceUnavailable, Detail: "too many log ins at once: try again in two seconds", Wait: 2 * time.Second}
	a.mu.Lock()
	if a.waiting >= maxWaiting {
		a.mu.Unlock()
		return busy
	}
	a.waiting++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.waiting--
		a.mu.Unlock()
	}()
	select {
	case a.hashing <- struct{}{}:
	case <-ctx.Done():
		return busy
	}
	defer func() { <-a.hashing }()
	f()
	return nil
}

// newHash checks and hashes a password.
func (a *Access) newHash(ctx context.Context, name, password string) (h string, err error) {
	if err := errors.Join(CheckName(name), CheckPassword(name, password)); err != nil {
		return "", err
	}
	err = a.slow(ctx, func() { h = HashPassword(password) })
	return h, err
}
