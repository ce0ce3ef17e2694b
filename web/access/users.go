package access

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// enrolment is a TOTP secret that its user has not shown a code of yet.
type enrolment struct {
	secret []byte
	until  time.Time
}

const (
	enrolFor   = 10 * time.Minute
	maxPending = 100
)

// AddUser makes a user. version: see Directory.Version; nil: whatever it is now.
func (a *Access) AddUser(ctx context.Context, version *uint64, name string, role Role, password string) (Directory, error) {
	h, err := a.newHash(ctx, name, password)
	if err != nil {
		return Directory{}, err
	}
	d, err := a.change(version, func(d Directory) (Directory, error) { return d.AddUser(name, role, h, a.cfg.Now()) })
	if err == nil {
		a.first.done()
	}
	return d, err
}

// UpdateUser changes what is not nil.
func (a *Access) UpdateUser(version *uint64, name string, role *Role, disabled *bool) (Directory, error) {
	return a.change(version, func(d Directory) (_ Directory, err error) {
		old := d.Version
		if role != nil {
			if d, err = d.SetRole(name, *role); err != nil {
				return d, err
			}
		}
		if disabled != nil {
			if d, err = d.SetDisabled(name, *disabled); err != nil {
				return d, err
			}
		}
		if d.Version > old {
			d.Version = old + 1 // one change, however many parts
		}
		return d, err
	})
}

// SetPassword gives somebody else a password, and ends their sessions.
func (a *Access) SetPassword(ctx context.Context, version *uint64, name, password string) (Directory, error) {
	h, err := a.newHash(ctx, name, password)
	if err != nil {
		return Directory{}, err
	}
	return a.change(version, func(d Directory) (Directory, error) { return d.SetPassword(name, h, a.cfg.Now()) })
}

// RemoveUser removes a user with their sessions and tokens.
func (a *Access) RemoveUser(version *uint64, name string) (Directory, error) {
	d, err := a.change(version, func(d Directory) (Directory, error) { return d.RemoveUser(name) })
	if err == nil {
		a.sessions.end(func(s session) bool { return s.user == name && s.external == Nobody })
	}
	return d, err
}

// SetOIDC replaces the issuer; nil takes it away.
func (a *Access) SetOIDC(version *uint64, o *OIDC) (Directory, error) {
	d, err := a.change(version, func(d Directory) (Directory, error) { return d.SetOIDC(o) })
	if err == nil {
		a.sessions.end(func(s session) bool { return s.external != Nobody })
		a.recheck()
	}
	return d, err
}

// errNoAccount is for callers who are nobody in the directory.
var errNoAccount = conflict("only somebody who logged in as a user has an account here: name the user instead (/api/v1/users/NAME, drawbridge users)")

// ChangePassword replaces the caller's own. Their other sessions end; this one goes on.
func (a *Access) ChangePassword(ctx context.Context, current, password string) error {
	c := CallerOf(ctx)
	if !c.account() {
		return errNoAccount
	}
	if err := a.confirm(ctx, c, current); err != nil {
		return err
	}
	h, err := a.newHash(ctx, c.Name, password)
	if err != nil {
		return err
	}
	return a.keeping(c, func(d Directory) (Directory, error) { return d.SetPassword(c.Name, h, a.cfg.Now()) })
}

// confirm demands the caller's password once more: somebody may have left a console open. It is bound by the
// same limit as log in.
func (a *Access) confirm(ctx context.Context, c Caller, password string) error {
	d, err := a.cfg.Store.Load()
	if err != nil {
		return err
	}
	now := a.cfg.Now()
	if err := a.mayTry(c.Name, c.From, now); err != nil {
		return err
	}
	_, ok, err := a.checkPassword(ctx, d, Login{Name: c.Name, Password: password})
	switch {
	case err != nil:
		return err
	case !ok:
		return &Refusal{Status: http.StatusForbidden, Kind: KindWrong, Detail: "the current password is wrong"}
	}
	a.limiter.right(c.Name, c.From, now)
	return nil
}

// keeping makes a change after which the caller's sessions end, all but the one that asks.
func (a *Access) keeping(c Caller, edit func(Directory) (Directory, error)) error {
	d, err := a.swap(nil, edit)
	if err != nil {
		return err
	}
	if u, ok := d.User(c.Name); ok && c.account() {
		a.sessions.renew(c.key, u.Generation)
	}
	a.recheck()
	return nil
}

// Enrol begins TOTP for a user: the secret, and the text of the QR code.
func (a *Access) Enrol(name string) (secret, uri string, err error) {
	d, err := a.cfg.Store.Load()
	if err != nil {
		return "", "", err
	}
	if _, ok := d.User(name); !ok {
		return "", "", NoUser(name)
	}
	e := enrolment{newTOTP(), a.cfg.Now().Add(enrolFor)}
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, old := range a.pending {
		if len(a.pending) >= maxPending || !a.cfg.Now().Before(old.until) {
			delete(a.pending, n)
		}
	}
	a.pending[name] = e
	return base32Plain.EncodeToString(e.secret), totpURI(e.secret, a.cfg.Issuer, name), nil
}

// ConfirmTOTP ends the enrolment with a code of the app, and returns the recovery codes, which are shown once.
func (a *Access) ConfirmTOTP(ctx context.Context, name, code string) ([]string, error) {
	now := a.cfg.Now()
	a.mu.Lock()
	e, ok := a.pending[name]
	a.mu.Unlock()
	if !ok || !now.Before(e.until) {
		return nil, conflict("no enrolment of %s is under way: begin another one", name)
	}
	if !a.spendTOTP(name, e.secret, code, now) {
		return nil, invalid("the code is wrong: check the clock of the phone, and take the code that it shows now")
	}
	codes, digests := newRecovery()
	err := a.keeping(CallerOf(ctx).as(name), func(d Directory) (Directory, error) { return d.SetTOTP(name, e.secret, digests) })
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, name)
	return codes, nil
}

// as is the caller if they are that user, and nobody otherwise.
func (c Caller) as(name string) Caller {
	if c.account() && c.Name == name {
		return c
	}
	return Caller{Name: name}
}

// EndTOTP is what an admin does for somebody who lost phone and recovery codes.
func (a *Access) EndTOTP(version *uint64, name string) (Directory, error) {
	return a.change(version, func(d Directory) (Directory, error) { return d.SetTOTP(name, nil, nil) })
}

// EndOwnTOTP asks for the password.
func (a *Access) EndOwnTOTP(ctx context.Context, password string) error {
	c := CallerOf(ctx)
	if !c.account() {
		return errNoAccount
	}
	if err := a.confirm(ctx, c, password); err != nil {
		return err
	}
	return a.keeping(c, func(d Directory) (Directory, error) { return d.SetTOTP(c.Name, nil, nil) })
}

// Account is the user who asks.
func (a *Access) Account(ctx context.Context) (User, error) {
	c := CallerOf(ctx)
	if !c.account() {
		return User{}, errNoAccount
	}
	d, err := a.cfg.Store.Load()
	u, ok := d.User(c.Name)
	if err == nil && !ok {
		err = errors.Join(errNoAccount)
	}
	return u, err
}
