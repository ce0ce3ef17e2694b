package secure

import (
	"errors"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Conditions that callers test with errors.Is. What is returned wraps one of them and says which peer, file
// or token, and what to do about it.
var (
	ErrRevoked     = errors.New("the peer was removed from the network")
	ErrExpired     = errors.New("the certificate has expired")
	ErrClock       = errors.New("the clock is wrong")
	ErrCertificate = errors.New("not a valid peer certificate")
	ErrForged      = errors.New("not signed by the network's authority")
	ErrProtocol    = errors.New("the far end does not speak this protocol")

	ErrNoIdentity  = errors.New("no identity")
	ErrUnfinished  = errors.New("joining was not finished")
	ErrHasIdentity = errors.New("already has an identity")
	ErrLocked      = errors.New("in use by another process")
	ErrState       = errors.New("damaged state")
	ErrNoAuthority = errors.New("this peer does not hold the key of the network's authority")

	ErrNameTaken   = errors.New("the name belongs to another peer")
	ErrTokenForm   = errors.New("not a join token")
	ErrTokenOver   = errors.New("the token has expired")
	ErrTokenUsed   = errors.New("the token is used up")
	ErrTokenGone   = errors.New("the token is unknown or was revoked")
	ErrNotVoter    = errors.New("the contact is not a voter")
	ErrUnreachable = errors.New("no address of the token answers")

	errIDTaken = errors.New("the key or its short id belongs to another peer") // Join draws another key
)

// OtherNetworkError says that the far end, or a token or record, belongs to a network that is not ours. Theirs
// is what the far end claims: enough to tell an operator, not proof of anything.
type OtherNetworkError struct{ Mine, Theirs Network }

func (e *OtherNetworkError) Error() string {
	return fmt.Sprintf("the far end belongs to network %s, this peer to network %s: networks never mix", e.Theirs, e.Mine)
}

// ClockError says that a certificate is not valid yet, or that two clocks differ by more than MaxSkew. It is
// ErrClock to errors.Is.
type ClockError struct {
	Here  time.Time     // what this host's clock reads
	Ahead time.Duration // by how much this clock is ahead of the other; negative: behind
	Least bool          // the real difference may be larger: all we saw is the date of a certificate
	Other string        // whose clock it was compared with
}

func (e *ClockError) Error() string {
	off, way, least := e.Ahead, "ahead of", ""
	if off < 0 {
		off, way = -off, "behind"
	}
	if e.Least {
		least = "at least "
	}
	return fmt.Sprintf("this host's clock is %s%s %s %s (it reads %s); set the clock of whichever is wrong, then try again",
		least, off.Round(time.Second), way, e.Other, e.Here.UTC().Format(time.RFC3339))
}

// Is makes every ClockError an ErrClock.
func (e *ClockError) Is(target error) bool { return target == ErrClock }

// NotVoterError says that a contact cannot admit anybody, and who can. It is ErrNotVoter to errors.Is.
type NotVoterError struct {
	Contact drawbridge.PeerName
	Voters  []string // addresses, host:port
}

func (e *NotVoterError) Error() string {
	if len(e.Voters) == 0 {
		return fmt.Sprintf("peer %s is not a voter and knows none at the moment: use the address of a voter", e.Contact)
	}
	return fmt.Sprintf("peer %s is not a voter; voters are at %v", e.Contact, e.Voters)
}

// Is makes every NotVoterError an ErrNotVoter.
func (e *NotVoterError) Is(target error) bool { return target == ErrNotVoter }
