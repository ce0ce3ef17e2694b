package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of a directory: it is replicated whole, within a document of at most 256 kB, and searched from end to end by
// every request. A user with recovery codes takes 0.9 kB, a token 0.4 kB.
const (
	maxUsers  = 120
	maxTokens = 250
)

// Directory is everybody who may use this network's API. It is a value: changes return another one with the
// next version and leave the receiver as it is, so that a store can compare and swap.
type Directory struct {
	Version uint64  `json:"version"`
	Users   []User  `json:"users"`  // by name
	Tokens  []Token `json:"tokens"` // by ID
	OIDC    *OIDC   `json:"oidc,omitempty"`
}

// User is one person.
type User struct {
	Name     string   `json:"name"`
	Role     Role     `json:"role"`
	Hash     string   `json:"hash"`               // argon2id in PHC form; never leaves the store
	TOTP     []byte   `json:"totp,omitempty"`     // RFC 6238 secret; nil: not enrolled
	Recovery []string `json:"recovery,omitempty"` // digests of recovery codes that are left
	Disabled bool     `json:"disabled,omitempty"`

	// Generation grows with every change after which sessions of before must end: password, TOTP, disabling.
	Generation uint64    `json:"generation"`
	Created    time.Time `json:"created"`
	Changed    time.Time `json:"changed"` // the password
}

// Token is a key for a program. Only the digest of its secret is kept: 256 random bits need no slow hash.
type Token struct {
	ID       string    `json:"id"` // ten hexadecimal digits; not a secret
	Digest   []byte    `json:"digest"`
	Owner    string    `json:"owner,omitempty"` // user whose role bounds it; empty: made on the host by root
	Comment  string    `json:"comment,omitempty"`
	Role     Role      `json:"role"`
	Prefix   string    `json:"prefix,omitempty"` // only paths below; empty: all
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	LastUsed time.Time `json:"last_used,omitzero"` // to the hour, or every request would be a write
}

// The colon is left out on purpose: callers that are no users have one in their name.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// CheckName reports whether name can be a user's.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return invalid("user name %q: want 1 to 32 of a-z, 0-9, '.', '_' and '-', first a letter or digit", name)
	}
	return nil
}

// User finds one by name.
func (d Directory) User(name string) (User, bool) {
	i, ok := d.place(name)
	if !ok {
		return User{}, false
	}
	return d.Users[i], true
}

func (d Directory) place(name string) (int, bool) {
	return slices.BinarySearchFunc(d.Users, name, func(u User, n string) int { return strings.Compare(u.Name, n) })
}

// Token finds one by ID.
func (d Directory) Token(id string) (Token, bool) {
	i, ok := d.tokenPlace(id)
	if !ok {
		return Token{}, false
	}
	return d.Tokens[i], true
}

func (d Directory) tokenPlace(id string) (int, bool) {
	return slices.BinarySearchFunc(d.Tokens, id, func(t Token, id string) int { return strings.Compare(t.ID, id) })
}

// Empty reports whether the first user is still to be made.
func (d Directory) Empty() bool { return len(d.Users) == 0 }

// next is a copy that can be changed. What its users and tokens point to is shared, and never written to.
func (d Directory) next() Directory {
	d.Version++
	d.Users, d.Tokens = slices.Clone(d.Users), slices.Clone(d.Tokens)
	return d
}

// guarded refuses a change that would leave nobody who can make the next one.
func guarded(before, after Directory) (Directory, error) {
	if before.admins() > 0 && after.admins() == 0 {
		return before, conflict("the last admin that can log in stays one: make another user an admin first")
	}
	return after, nil
}

// admins counts those who can log in.
func (d Directory) admins() (n int) {
	for _, u := range d.Users {
		if u.Role == Admin && !u.Disabled {
			n++
		}
	}
	return n
}

// AddUser makes a user with a password that has been hashed. The first one must be an admin.
func (d Directory) AddUser(name string, role Role, hash string, now time.Time) (Directory, error) {
	if err := errors.Join(CheckName(name), checkRole(role), checkHash(hash)); err != nil {
		return d, err
	}
	at, taken := d.place(name)
	switch {
	case taken:
		return d, conflict("user %s exists already: choose another name", name)
	case len(d.Users) >= maxUsers:
		return d, conflict("there are %d users already, which is the limit: remove some", maxUsers)
	case d.Empty() && role != Admin:
		return d, conflict("the first user must be an admin, or nobody could make the second")
	}
	next := d.next()
	u := User{Name: name, Role: role, Hash: hash, Generation: 1, Created: now.UTC(), Changed: now.UTC()}
	next.Users = slices.Insert(next.Users, at, u)
	return next, nil
}

func checkRole(r Role) error {
	if _, err := ParseRole(string(r)); err != nil {
		return invalid("%w", err)
	}
	return nil
}

// change edits one user.
func (d Directory) change(name string, edit func(*User) error) (Directory, error) {
	at, ok := d.place(name)
	if !ok {
		return d, NoUser(name)
	}
	next := d.next()
	if err := edit(&next.Users[at]); err != nil {
		return d, err
	}
	return guarded(d, next)
}

// SetRole gives a user another role, which holds from the next request on.
func (d Directory) SetRole(name string, role Role) (Directory, error) {
	return d.change(name, func(u *User) error {
		u.Role = role
		return checkRole(role)
	})
}

// SetDisabled keeps a user from logging in, or lets them again.
func (d Directory) SetDisabled(name string, disabled bool) (Directory, error) {
	return d.change(name, func(u *User) error {
		if disabled && !u.Disabled {
			u.Generation++
		}
		u.Disabled = disabled
		return nil
	})
}

// SetPassword replaces a hash, and ends the user's sessions.
func (d Directory) SetPassword(name, hash string, now time.Time) (Directory, error) {
	return d.change(name, func(u *User) error {
		u.Hash, u.Changed = hash, now.UTC()
		u.Generation++
		return checkHash(hash)
	})
}

// SetTOTP enrols a user with recovery codes, whose digests are kept; a nil secret ends it.
func (d Directory) SetTOTP(name string, secret []byte, recovery []string) (Directory, error) {
	return d.change(name, func(u *User) error {
		if secret != nil && len(secret) != totpBytes {
			return invalid("a TOTP secret has %d bytes, not %d", totpBytes, len(secret))
		}
		u.TOTP, u.Recovery = slices.Clone(secret), slices.Clone(recovery)
		u.Generation++
		return nil
	})
}

// UseRecovery takes away a recovery code.
func (d Directory) UseRecovery(name, digest string) (Directory, error) {
	return d.change(name, func(u *User) error {
		i := slices.Index(u.Recovery, digest)
		if i < 0 {
			return missing("recovery code of "+name, "users list")
		}
		u.Recovery = slices.Delete(slices.Clone(u.Recovery), i, i+1)
		return nil
	})
}

// RemoveUser removes a user and the tokens that they own.
func (d Directory) RemoveUser(name string) (Directory, error) {
	at, ok := d.place(name)
	if !ok {
		return d, NoUser(name)
	}
	next := d.next()
	next.Users = slices.Delete(next.Users, at, at+1)
	next.Tokens = slices.DeleteFunc(next.Tokens, func(t Token) bool { return t.Owner == name })
	return guarded(d, next)
}

// Check reports what is wrong with a directory that was read from somewhere.
func (d Directory) Check() error {
	for i, u := range d.Users {
		if err := errors.Join(CheckName(u.Name), checkRole(u.Role), checkHash(u.Hash)); err != nil {
			return fmt.Errorf("user %d: %w", i+1, err)
		}
		if i > 0 && d.Users[i-1].Name >= u.Name {
			return invalid("user %s stands behind %s", u.Name, d.Users[i-1].Name)
		}
	}
	if len(d.Users) > 0 && d.admins() == 0 {
		return invalid("no admin can log in")
	}
	for i, t := range d.Tokens {
		if err := d.checkToken(t); err != nil {
			return err
		}
		if i > 0 && d.Tokens[i-1].ID >= t.ID {
			return invalid("token %s stands behind %s", t.ID, d.Tokens[i-1].ID)
		}
	}
	if d.OIDC != nil {
		return d.OIDC.Check()
	}
	return nil
}
