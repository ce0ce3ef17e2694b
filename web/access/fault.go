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

func missing(format string, args ...any) error {
	return &fault{ErrNotFound, fmt.Sprintf(format, args...) + " does not exist"}
}

func conflict(format string, args ...any) error {
	return &fault{ErrConflict, fmt.Sprintf(format, args...)}
}
