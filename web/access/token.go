package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// tokenPrefix lets scanners for leaked secrets find our tokens, and people tell them from invitations.
const tokenPrefix = "dbt-api-"

const (
	tokenIDDigits    = 10
	tokenSecretBytes = 32
	maxComment       = 200
	maxTokenLife     = 5 * 365 * 24 * time.Hour
	lastUsedEvery    = time.Hour
)

// errToken hides what exactly is wrong with a token: whoever holds a good one does not need it.
var errToken = errors.New("not an API token: it looks like " + tokenPrefix + "0123456789-… and is shown once, when it is made")

// parseToken splits the text of a token. There is one spelling for every token.
func parseToken(text string) (id string, secret []byte, err error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) < tokenIDDigits+1 || rest[tokenIDDigits] != '-' {
		return "", nil, errToken
	}
	id = rest[:tokenIDDigits]
	secret, err = base64.RawURLEncoding.Strict().DecodeString(rest[tokenIDDigits+1:])
	if err != nil || len(secret) != tokenSecretBytes || !isTokenID(id) || strings.ContainsAny(rest, "\r\n") {
		return "", nil, errToken
	}
	return id, secret, nil
}

func isTokenID(id string) bool {
	return len(id) == tokenIDDigits && strings.Trim(id, "0123456789abcdef") == ""
}

// newToken makes the text of a token and what is kept of it.
func newToken() (text, id string, digest []byte) {
	random := make([]byte, tokenIDDigits/2+tokenSecretBytes)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	id = hex.EncodeToString(random[:tokenIDDigits/2])
	secret := random[tokenIDDigits/2:]
	sum := sha256.Sum256(secret)
	return tokenPrefix + id + "-" + base64.RawURLEncoding.EncodeToString(secret), id, sum[:]
}

// holds reports whether secret is the token's.
func (t Token) holds(secret []byte) bool {
	sum := sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(sum[:], t.Digest) == 1
}

// covers reports whether the token's scope includes a path.
func (t Token) covers(p string) bool { return t.Prefix == "" || below(t.Prefix, p) }

// below reports whether p is prefix or stands below it, by whole segments: /api/v1/mac is not above /api/v1/macs.
func below(prefix, p string) bool {
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// AddToken adds a token.
func (d Directory) AddToken(t Token) (Directory, error) {
	at, taken := d.tokenPlace(t.ID)
	switch err := d.checkToken(t); {
	case err != nil:
		return d, err
	case taken:
		return d, conflict("token %s exists already", t.ID)
	case len(d.Tokens) >= maxTokens:
		return d, conflict("there are %d tokens already, which is the limit: revoke some", maxTokens)
	}
	next := d.next()
	next.Tokens = slices.Insert(next.Tokens, at, t)
	return next, nil
}

func (d Directory) checkToken(t Token) error {
	if t.Owner != "" {
		if _, ok := d.User(t.Owner); !ok {
			return NoUser(t.Owner)
		}
	}
	life := t.Expires.Sub(t.Created)
	switch {
	case !isTokenID(t.ID) || len(t.Digest) != sha256.Size:
		return invalid("token %q: want ten hexadecimal digits and a digest", t.ID)
	case checkRole(t.Role) != nil:
		return fmt.Errorf("token %s: %w", t.ID, checkRole(t.Role))
	case t.Prefix != "" && (t.Prefix[0] != '/' || path.Clean(t.Prefix) != t.Prefix):
		return invalid("token %s: prefix %q: want a path such as /api/v1/macs", t.ID, t.Prefix)
	case life <= 0 || life > maxTokenLife:
		return invalid("token %s: a life of %s: want more than none and at most five years", t.ID, life)
	case len(t.Comment) > maxComment || strings.ContainsFunc(t.Comment, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return invalid("token %s: comment: want at most %d bytes on one line", t.ID, maxComment)
	}
	return nil
}

// RevokeToken removes a token.
func (d Directory) RevokeToken(id string) (Directory, error) {
	at, ok := d.tokenPlace(id)
	if !ok {
		return d, noToken(id)
	}
	next := d.next()
	next.Tokens = slices.Delete(next.Tokens, at, at+1)
	return next, nil
}

// TouchToken notes that a token was used, when that is worth a version; it reports whether it was.
func (d Directory) TouchToken(id string, now time.Time) (Directory, bool) {
	at, ok := d.tokenPlace(id)
	if !ok || now.Sub(d.Tokens[at].LastUsed) < lastUsedEvery {
		return d, false
	}
	next := d.next()
	next.Tokens[at].LastUsed = now.UTC().Truncate(lastUsedEvery)
	return next, true
}
