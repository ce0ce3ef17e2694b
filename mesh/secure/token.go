package secure

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/drawbridge-net/drawbridge"
)

// TokenID names a token in lists, logs and files; it is not a secret.
type TokenID [5]byte

func (t TokenID) String() string { return hex.EncodeToString(t[:]) }

// ParseTokenID reads the ten hexadecimal digits that String writes.
func ParseTokenID(s string) (t TokenID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(t) {
		return t, fmt.Errorf("token id %q: want %d hexadecimal digits", s, 2*len(t))
	}
	return TokenID(b), nil
}

// Token is an invitation into a network: whom to call, how to know them, and the secret that they want.
type Token struct {
	ID      TokenID
	Secret  [16]byte
	Roles   Roles     // what the certificate will entitle to
	Expires time.Time // to the second
	Network Network   // without the authority's certificate
	KeyHash [sha256.Size]byte
	Addrs   []string // host:port of voters, in the order to try
}

// Layout of a token (docs/protocol/join.md, "Token").
const (
	tokenPrefix   = "dbt1-"
	tokenVersion  = 1
	tokenFixed    = 1 + 1 + 8 + 5 + 16 + 16 + sha256.Size // up to the length of the name
	tokenChecksum = 4
	maxTokenText  = 8 << 10 // characters; more is no token
	maxTokenAddrs = 16
)

// tokenText is the alphabet of RFC 4648 §6 in lower case: it has no 0, 1, 8 or 9 to confuse with letters.
var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String is the form that operators pass on.
func (t Token) String() string { return tokenPrefix + tokenText.EncodeToString(t.marshal()) }

// LogValue keeps the secret out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue("token " + t.ID.String()) }

func (t Token) marshal() []byte {
	b := []byte{tokenVersion, byte(t.Roles)}
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	b = append(b, t.ID[:]...)
	b = append(b, t.Secret[:]...)
	b = append(b, t.Network.ID[:]...)
	b = append(b, t.KeyHash[:]...)
	b = appendString(b, t.Network.Name)
	b = append(b, byte(len(t.Addrs)))
	for _, addr := range t.Addrs {
		b = appendString(b, addr)
	}
	return append(b, checksum(b)...)
}

func appendString(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

func checksum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:tokenChecksum]
}

// ParseToken reads a token as somebody typed or pasted it: case, white space and dashes do not matter.
func ParseToken(s string) (Token, error) {
	if len(s) > maxTokenText {
		return Token{}, fmt.Errorf("%d characters are too many: %w", len(s), ErrTokenForm)
	}
	text, ok := strings.CutPrefix(bare(s), bare(tokenPrefix))
	if !ok {
		return Token{}, fmt.Errorf("a token begins with %q: %w", tokenPrefix, ErrTokenForm)
	}
	b, err := tokenText.DecodeString(text)
	if err != nil {
		return Token{}, fmt.Errorf("%w: %w", ErrTokenForm, err)
	}
	return parseToken(b)
}

// bare removes what does not matter.
func bare(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s))
}

func parseToken(b []byte) (t Token, err error) {
	if len(b) < tokenFixed+2+tokenChecksum {
		return t, fmt.Errorf("%d bytes are too few, part of it is missing: %w", len(b), ErrTokenForm)
	}
	body, sum := b[:len(b)-tokenChecksum], b[len(b)-tokenChecksum:]
	if !bytes.Equal(checksum(body), sum) {
		return t, fmt.Errorf("a character is wrong or missing (checksum): copy it again: %w", ErrTokenForm)
	}
	if body[0] != tokenVersion {
		return t, fmt.Errorf("version %d, this program knows %d: %w", body[0], tokenVersion, ErrTokenForm)
	}
	t.Roles = Roles(body[1])
	t.Expires = time.Unix(int64(binary.BigEndian.Uint64(body[2:])), 0).UTC()
	rest := body[10:]
	rest = rest[copy(t.ID[:], rest):]
	rest = rest[copy(t.Secret[:], rest):]
	rest = rest[copy(t.Network.ID[:], rest):]
	rest = rest[copy(t.KeyHash[:], rest):]
	if t.Network.Name, rest, err = cutString(rest); err != nil {
		return Token{}, err
	}
	if t.Addrs, err = cutAddrs(rest); err != nil {
		return Token{}, err
	}
	return t, t.valid()
}

func cutString(b []byte) (s string, rest []byte, err error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, fmt.Errorf("truncated: %w", ErrTokenForm)
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

func cutAddrs(b []byte) (addrs []string, err error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("truncated: %w", ErrTokenForm)
	}
	count, b := int(b[0]), b[1:]
	for range count {
		var addr string
		if addr, b, err = cutString(b); err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d bytes after the last address: %w", len(b), ErrTokenForm)
	}
	return addrs, nil
}

// valid checks the values of a token, both when one is created and when one is read.
func (t Token) valid() error {
	if err := drawbridge.CheckName(t.Network.Name); err != nil {
		return fmt.Errorf("%w: network %w", ErrTokenForm, err)
	}
	if t.Roles&^(Voter|Gateway) != 0 {
		return fmt.Errorf("roles %#x are not known to this program: %w", uint8(t.Roles), ErrTokenForm)
	}
	if len(t.Addrs) == 0 || len(t.Addrs) > maxTokenAddrs {
		return fmt.Errorf("%d addresses, want 1 to %d: %w", len(t.Addrs), maxTokenAddrs, ErrTokenForm)
	}
	for _, addr := range t.Addrs {
		if err := checkAddr(addr); err != nil {
			return fmt.Errorf("%w: %w", ErrTokenForm, err)
		}
	}
	return nil
}

// checkAddr wants host:port, where host is a name or an address.
func checkAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("address %q: want host:port: %w", addr, err)
	}
	if host == "" || len(addr) > 255 {
		return fmt.Errorf("address %q: want a host of 1 to 250 characters", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: port %q is not a number from 1 to 65535", addr, port)
	}
	return nil
}
