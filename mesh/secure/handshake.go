package secure

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// handshakeLimit bounds a TLS handshake and the verdicts after it: three round trips of a bad satellite link,
// and short enough that a silent stranger does not hold a connection for long.
const handshakeLimit = 10 * time.Second

// errUnchecked is what we think of a far end until its certificate has been looked at.
var errUnchecked = fmt.Errorf("nobody looked at the certificate: %w", ErrCertificate)

// verdictLimit bounds how long we wait to tell a far end why it was refused.
const verdictLimit = 2 * time.Second

// Accept makes a control connection of one that came in. Both ends learn why when it is refused: each sends a
// verdict after the TLS handshake (docs/protocol/join.md, "Verdict"), which TLS alone has no words for. A
// connection of JoinProtocol comes back with the zero Peer and belongs to Admission.Admit. On error raw is
// closed.
func (c *Credentials) Accept(ctx context.Context, raw net.Conn, revoked func(drawbridge.PeerID) bool) (*tls.Conn, Peer, error) {
	found := errUnchecked
	conn := tls.Server(raw, c.serverTLS(func(cs tls.ConnectionState) error {
		found = c.check(cs, revoked)
		return nil // refused by a verdict below, before anybody else gets the connection
	}))
	return c.shake(ctx, conn, &found)
}

// Connect makes a control connection of one that we called. On error raw is closed.
func (c *Credentials) Connect(ctx context.Context, raw net.Conn, revoked func(drawbridge.PeerID) bool) (*tls.Conn, Peer, error) {
	found := errUnchecked
	conn := tls.Client(raw, c.clientTLS(func(cs tls.ConnectionState) error {
		found = c.check(cs, revoked)
		return nil // as in Accept
	}))
	return c.shake(ctx, conn, &found)
}

// shake completes the handshake and exchanges verdicts. found is set by the handshake.
func (c *Credentials) shake(ctx context.Context, conn *tls.Conn, found *error) (*tls.Conn, Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.NetConn().Close() }) // ends any read or write below
	p, err := c.agree(ctx, conn, found)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.NetConn().Close() // not conn.Close, which may wait for the far end
		return nil, Peer{}, err
	}
	return conn, p, nil
}

func (c *Credentials) agree(ctx context.Context, conn *tls.Conn, found *error) (Peer, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		return Peer{}, fmt.Errorf("TLS handshake with %s: %w", conn.RemoteAddr(), err)
	}
	cs := conn.ConnectionState()
	if cs.NegotiatedProtocol == JoinProtocol {
		return Peer{}, nil
	}
	heard, err := exchangeVerdicts(conn, *found)
	if *found != nil {
		return Peer{}, precise(*found, heard)
	}
	if err != nil {
		return Peer{}, fmt.Errorf("verdict of %s: %w", conn.RemoteAddr(), err)
	}
	p, err := PeerOf(cs)
	if err != nil {
		return Peer{}, err
	}
	return p, heard.refusal(p)
}

// exchangeVerdicts tells the far end ours while it reads its own.
func exchangeVerdicts(conn *tls.Conn, found error) (verdict, error) {
	if found != nil {
		conn.SetDeadline(time.Now().Add(verdictLimit)) // the far end may not be worth waiting for
	}
	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(verdictOn(found, time.Now()).append(nil))
		sent <- err
	}()
	var b [verdictSize]byte
	_, readErr := io.ReadFull(conn, b[:])
	writeErr := <-sent
	if readErr != nil || writeErr != nil {
		return verdict{}, errors.Join(readErr, writeErr)
	}
	return parseVerdict(b[:])
}

// verdictSize is the length of a verdict: version, code, and the sender's clock in Unix milliseconds.
const verdictSize = 10

const verdictVersion = 1

// verdictCode says what one end thinks of the other. Codes are only ever appended.
type verdictCode uint8

const (
	accepted verdictCode = iota
	otherNetwork
	forged
	revokedPeer
	expired
	notYetValid
	badCertificate
)

var verdictErrors = []error{
	accepted: nil, otherNetwork: nil, forged: ErrForged, revokedPeer: ErrRevoked, expired: ErrExpired,
	notYetValid: ErrClock, badCertificate: ErrCertificate,
}

type verdict struct {
	code verdictCode
	at   time.Time
}

func verdictOn(err error, now time.Time) verdict {
	var other *OtherNetworkError
	switch {
	case err == nil:
		return verdict{accepted, now}
	case errors.As(err, &other):
		return verdict{otherNetwork, now}
	}
	for code, known := range verdictErrors {
		if known != nil && errors.Is(err, known) {
			return verdict{verdictCode(code), now}
		}
	}
	return verdict{badCertificate, now}
}

func (v verdict) append(b []byte) []byte {
	b = append(b, verdictVersion, byte(v.code))
	return binary.BigEndian.AppendUint64(b, uint64(v.at.UnixMilli()))
}

func parseVerdict(b []byte) (verdict, error) {
	if len(b) != verdictSize || b[0] != verdictVersion {
		return verdict{}, fmt.Errorf("verdict of %d bytes is not version %d: %w", len(b), verdictVersion, ErrProtocol)
	}
	return verdict{verdictCode(b[1]), time.UnixMilli(int64(binary.BigEndian.Uint64(b[2:])))}, nil
}

// refusal is the error at the end that was refused by p.
func (v verdict) refusal(p Peer) error {
	var reason error
	switch {
	case v.code == accepted:
		return nil
	case v.code == notYetValid:
		now := time.Now()
		reason = &ClockError{Here: now, Ahead: now.Sub(v.at), Other: "peer " + string(p.Name)}
	case int(v.code) < len(verdictErrors) && verdictErrors[v.code] != nil:
		reason = verdictErrors[v.code]
	default:
		reason = fmt.Errorf("reason %d: %w", v.code, ErrCertificate) // a code of a later version
	}
	return fmt.Errorf("refused by peer %s: %w", p.Name, reason)
}

// precise replaces "at least" in a ClockError by what the clock of the far end says, if it said anything.
// The far end is a holder of a certificate of ours, or ClockError would not be what was found.
func precise(found error, heard verdict) error {
	var off *ClockError
	if !errors.As(found, &off) || heard.at.IsZero() {
		return found
	}
	ahead := off.Here.Sub(heard.at)
	if ahead.Abs() < MaxSkew {
		return found // both agree, so it is a third clock that was wrong
	}
	return &ClockError{Here: off.Here, Ahead: ahead, Other: "the far end"}
}
