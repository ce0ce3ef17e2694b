package access

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Cookie is the name of the session cookie. With __Host- a browser takes it over TLS only, for every path and
// for no other host (RFC 6265bis §4.1.3.2).
const Cookie = "__Host-drawbridge"

// Life of a session: until nobody asked for anything for a while, and in any case until the next working day.
// NIST SP 800-63B-4 §2.2.3 recommends 1 h and 24 h; the console of a shift is left alone for longer than one.
const (
	sessionIdle = 2 * time.Hour
	sessionLife = 24 * time.Hour

	sessionBytes    = 32
	maxSessions     = 10_000
	maxUserSessions = 50
)

// session is one log in.
type session struct {
	key        [sha256.Size]byte // digest of the cookie: memory does not hold what would let somebody in
	user       string
	generation uint64
	made       time.Time // when the user was: another of the same name, of another node, is somebody else
	external   Role      // of somebody whom an issuer vouches for; Nobody: a user of the directory
	from       string
	agent      string
	began      time.Time
	seen       time.Time
}

// id names a session in lists; it opens nothing.
func (s session) id() string { return hex.EncodeToString(s.key[:8]) }

func (s session) expired(now time.Time) bool {
	return now.Sub(s.seen) >= sessionIdle || now.Sub(s.began) >= sessionLife
}

// sessions are those of this node. They end with the process.
type sessions struct {
	mu  sync.Mutex // guards what follows
	all map[[sha256.Size]byte]session
}

func newSessions() *sessions { return &sessions{all: map[[sha256.Size]byte]session{}} }

// begin starts a session and returns its cookie's value. One user's oldest session ends when there are too many.
func (s *sessions) begin(new session) string {
	random := make([]byte, sessionBytes)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	new.key = sha256.Sum256(random)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(new.user, new.began)
	s.all[new.key] = new
	return base64.RawURLEncoding.EncodeToString(random)
}

func (s *sessions) makeRoom(user string, now time.Time) {
	var oldest, own session
	count := 0
	for key, v := range s.all {
		if v.expired(now) {
			delete(s.all, key)
			continue
		}
		if oldest.seen.IsZero() || v.seen.Before(oldest.seen) {
			oldest = v
		}
		if v.user == user {
			count++
			if own.seen.IsZero() || v.seen.Before(own.seen) {
				own = v
			}
		}
	}
	if count >= maxUserSessions {
		delete(s.all, own.key)
	}
	if len(s.all) >= maxSessions {
		delete(s.all, oldest.key)
	}
}

// parseCookie is the key of the session that a cookie's value names. There is one spelling.
func parseCookie(value string) (key [sha256.Size]byte, ok bool) {
	if len(value) != base64.RawURLEncoding.EncodedLen(sessionBytes) {
		return key, false
	}
	random, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(random) != sessionBytes {
		return key, false
	}
	return sha256.Sum256(random), true
}

// find is the living session of a key; touch tells that somebody used it.
func (s *sessions) find(key [sha256.Size]byte, now time.Time, touch bool) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.all[key]
	if !ok || v.expired(now) {
		delete(s.all, key)
		return session{}, false
	}
	if touch {
		v.seen = now
		s.all[key] = v
	}
	return v, true
}

// renew lets one session outlive a change that ends the others of its user.
func (s *sessions) renew(key [sha256.Size]byte, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.all[key]; ok {
		v.generation = generation
		s.all[key] = v
	}
}

// end ends all sessions that which selects and reports how many.
func (s *sessions) end(which func(session) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, v := range s.all {
		if which(v) {
			delete(s.all, key)
			n++
		}
	}
	return n
}

// list is all living sessions, the latest used first.
func (s *sessions) list(now time.Time) (list []session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.all {
		if !v.expired(now) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b session) int { return cmp.Or(b.seen.Compare(a.seen), cmp.Compare(a.id(), b.id())) })
	return list
}

// sessionCookie carries a session's value; an empty one takes it back.
func sessionCookie(value string) http.Cookie {
	c := http.Cookie{Name: Cookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLife / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}
