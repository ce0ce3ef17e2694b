package web

import (
	"context"
	"errors"
	"io"
)

// Node is one running peer, as the API sees it. All methods may be called at any time from any goroutine, and
// all but those with a context answer from memory. Slices and maps that they return belong to the caller.
// Lists are sorted, so that two readings without a change between them are equal.
type Node interface {
	Version() Version
	Status() Status
	Peers() []Peer // this peer first
	Links() []Link
	Routes() Routes
	MACs(MACFilter) []MAC
	MACStories(mac string) ([]MACStory, error)
	Ports() []Port
	Segments() []Segment
	Voters() Voters
	Loops() Loops
	Ready() Readiness

	// Events are those that are kept with an ID above after, oldest first. A Journal keeps them.
	Events(after uint64) []Event
	// Watch returns a channel that is closed at the next change of anything that the methods above report,
	// counters and measurements aside. Take it before reading, or a change slips in between.
	Watch() <-chan struct{}

	// FlushMACs forgets what the filter selects and reports how many entries that were on this peer. With
	// everywhere, all peers are told to do the same.
	FlushMACs(ctx context.Context, f MACFilter, everywhere bool) (flushed int, err error)
	// ClearPort lets a port listen again that ALONE blocked. What is still on the wire blocks it again.
	ClearPort(ctx context.Context, port, by string) error
	CreateToken(context.Context, TokenRequest) (NewToken, error)
	Tokens() ([]Token, error)
	RevokeToken(ctx context.Context, id string) error
	// Forget removes a peer from the network for good: its certificate is revoked.
	Forget(ctx context.Context, peer string) error
	// Capture writes frames of a port as pcapng, packet by packet, until ctx ends (then it returns nil) or the
	// port goes away. What is wrong with the request is reported before anything is written.
	Capture(ctx context.Context, r CaptureRequest, w io.Writer) error

	// Diagnose writes a bundle of what somebody far away needs to understand this peer, without secrets, and says what
	// its file may be called.
	Diagnose(ctx context.Context, w io.Writer) (name string, err error)

	// Backup writes all that makes this peer what it is, encrypted with a passphrase, and says what its file may be called.
	Backup(ctx context.Context, passphrase string, w io.Writer) (name string, err error)

	Mover
	Roller
	Updater
	Installer
	Hand
	Configurer
	Addresser
	Alerter
}

// Conditions that a Node reports by wrapping them; the API turns them into the status code behind each. Any
// other error is 500. The text around them goes to the operator: what is wrong, and what to do.
var (
	ErrInvalid     = errors.New("not a valid request")        // 422
	ErrNotFound    = errors.New("does not exist")             // 404
	ErrConflict    = errors.New("not possible in this state") // 409
	ErrUnavailable = errors.New("not available just now")     // 503
)
