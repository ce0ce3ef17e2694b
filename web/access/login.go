package access

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Login is what somebody shows to get a session.
type Login struct {
	Name, Password string
	Code           string // of the authenticator app, or a recovery code; empty: none was asked for yet
}

// LogIn begins a session and returns its cookie. Whether the name, the password or the account is wrong is not
// told, also not by the time that it takes.
func (a *Access) LogIn(ctx context.Context, in Login) (http.Cookie, error) {
	c, now := CallerOf(ctx), a.cfg.Now()
	d, err := a.cfg.Store.Load()
	if err != nil {
		return http.Cookie{}, err
	}
	account, known := in.Name, in.Name
	if CheckName(account) != nil {
		account = "" // all names that cannot be share one limit
	}
	if _, ok := d.User(in.Name); !ok {
		known = "(unknown)" // people type their password there
	}
	Note(ctx, nil, map[string]string{"name": known})
	if err := a.mayTry(account, c.From, now); err != nil {
		return http.Cookie{}, err
	}
	u, ok, err := a.checkPassword(ctx, d, in)
	if err != nil {
		a.limiter.back(account, c.From, now)
		return http.Cookie{}, err
	}
	if !ok || u.Disabled {
		return http.Cookie{}, wrong("the name or the password is wrong; after five wrong tries there is one a minute")
	}
	if err := a.secondFactor(u, in.Code, now); err != nil {
		if in.Code == "" {
			a.limiter.back(account, c.From, now)
		}
		return http.Cookie{}, err
	}
	a.limiter.right(account, c.From, now)
	return a.begin(c, session{user: u.Name, generation: u.Generation, made: u.Created}), nil
}

func (a *Access) mayTry(account string, from netip.Addr, now time.Time) error {
	if wait := a.limiter.take(account, from, now); wait > 0 {
		return &Refusal{
			Status: http.StatusTooManyRequests, Kind: KindSlow, Wait: wait,
			Detail: "too many wrong tries: wait " + wait.Round(time.Second).String() + ", or use drawbridge users on the host itself",
		}
	}
	return nil
}

// checkPassword hashes exactly once, whoever it is.
func (a *Access) checkPassword(ctx context.Context, d Directory, in Login) (u User, ok bool, err error) {
	u, known := d.User(in.Name)
	h := a.unknown
	if known {
		if h, err = parseHash(u.Hash); err != nil {
			return u, false, err
		}
	}
	password := in.Password
	if len(password) > 4*maxPassword {
		password, known = "", false
	}
	err = a.slow(ctx, func() { ok = a.verify(h, password) && known })
	return u, ok, err
}

// secondFactor checks a code of the app or a recovery code, which is spent.
func (a *Access) secondFactor(u User, code string, now time.Time) error {
	switch {
	case u.TOTP == nil:
		return nil
	case code == "":
		return &Refusal{Status: http.StatusUnauthorized, Kind: KindTOTP, Detail: "send the code of the authenticator app besides, or a recovery code"}
	case a.spendTOTP(u.Name, u.TOTP, code, now):
		return nil
	}
	digest := recoveryDigest(code)
	if slices.Contains(u.Recovery, digest) {
		_, err := a.change(nil, func(d Directory) (Directory, error) { return d.UseRecovery(u.Name, digest) })
		return err
	}
	return wrong("the code is wrong, or it was used already: wait for the next one, and check the clock of the phone")
}

// spendTOTP reports whether a code is right and was not used on this node before.
func (a *Access) spendTOTP(name string, secret []byte, code string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	step, ok := matchTOTP(secret, code, now, a.steps[name])
	if ok {
		a.steps[name] = step
	}
	return ok
}

func wrong(detail string) error {
	return &Refusal{Status: http.StatusUnauthorized, Kind: KindWrong, Detail: detail}
}

// begin starts a session for who is known now. The session of before, if there was one, ends: whoever planted
// its cookie does not come along.
func (a *Access) begin(c Caller, s session) http.Cookie {
	now := a.cfg.Now()
	if c.By == BySession {
		a.sessions.end(func(old session) bool { return old.key == c.key })
	}
	c.became(s.user)
	s.from, s.agent, s.began, s.seen = c.Address(), c.Agent, now, now
	return sessionCookie(a.sessions.begin(s))
}

// LogOut ends the caller's session and returns the cookie that takes it back.
func (a *Access) LogOut(ctx context.Context) http.Cookie {
	if c := CallerOf(ctx); c.By == BySession {
		a.sessions.end(func(s session) bool { return s.key == c.key })
		a.recheck()
	}
	return sessionCookie("")
}

// firstRunAccount has a limit of its own; it is the name of no user.
const firstRunAccount = ":first-run"

// FirstRun makes the first admin for somebody who has seen the one-time code, and logs them in.
func (a *Access) FirstRun(ctx context.Context, code, name, password string) (http.Cookie, error) {
	c, now := CallerOf(ctx), a.cfg.Now()
	if a.FirstRunCode() == "" {
		if _, err := a.cfg.Store.Load(); err != nil {
			return http.Cookie{}, err
		}
		return http.Cookie{}, conflict("there are users already: log in, or make one with drawbridge users add on the host")
	}
	if err := errors.Join(CheckName(name), CheckPassword(name, password)); err != nil {
		return http.Cookie{}, err // before the code is spent
	}
	if err := a.mayTry(firstRunAccount, c.From, now); err != nil {
		return http.Cookie{}, err
	}
	if !a.first.matches(code, now) {
		return http.Cookie{}, wrong("the code is wrong or has ended: the newest one is in the log (journalctl -u drawbridge) and shown by drawbridge users code on the host")
	}
	a.limiter.right(firstRunAccount, c.From, now)
	h, err := a.newHash(ctx, name, password)
	if err != nil {
		return http.Cookie{}, err
	}
	_, err = a.change(nil, func(d Directory) (Directory, error) {
		if !d.Empty() {
			return d, conflict("somebody else was faster: there are users already")
		}
		return d.AddUser(name, Admin, h, now)
	})
	if err != nil {
		return http.Cookie{}, err
	}
	a.first.done()
	return a.begin(c, session{user: name, generation: 1, made: now.UTC()}), nil
}
