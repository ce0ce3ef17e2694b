package access

import (
	"errors"
	"fmt"
)

// Conditions that errors of this package wrap.
var (
	ErrInvalid  = errors.New("not a valid request")
	ErrNotFound = errors.New("does not exist")
	ErrConflict = errors.New("not possible in this state")
	ErrStale    = errors.New("somebody else changed it in between: read it again and repeat the change")
)

// fault is a condition, told in words that need no addition.
type fault struct {
	kind error
	text string
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.kind }

func invalid(format string, args ...any) error {
	return &fault{ErrInvalid, fmt.Errorf(format, args...).Error()}
}

// missing is what there is none of; lists is the command that shows what there is, as whoever mistyped a name looks there next.
func missing(what, lists string) error {
	return &fault{ErrNotFound, what + " does not exist: drawbridge " + lists + " shows what there is"}
}

// NoUser is that a user is not there.
func NoUser(name string) error { return missing("user "+name, "users list") }

func noToken(id string) error { return missing("token "+id, "users token list") }

// NoIssuer is that nobody can log in by somebody else's account.
func NoIssuer() error {
	return &fault{ErrNotFound, "an OpenID Connect issuer for this network does not exist: drawbridge users issuer set names one"}
}

func conflict(format string, args ...any) error {
	return &fault{ErrConflict, fmt.Sprintf(format, args...)}
}
