package secure

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Limits of tokens. A token is meant to be used by somebody who waits for it.
const (
	DefaultTokenLife = time.Hour
	MaxTokenLife     = 30 * 24 * time.Hour
	MaxTokenUses     = 1000
	maxTokens        = 1000

	// deadTokens are kept this long after they expired, so that a late comer hears "expired on ..." rather
	// than "unknown".
	deadTokens = 30 * 24 * time.Hour
)

// TokenSpec says what a new token is for. Zero values: one hour, one use, no roles.
type TokenSpec struct {
	Addrs     []string // where the voter that creates it can be called: host:port
	Life      time.Duration
	Uses      int
	Roles     Roles
	CreatedBy string // who asked, for the list
}

// TokenInfo is what this peer keeps of a token: everything but the secret.
type TokenInfo struct {
	ID        TokenID
	Roles     Roles
	Created   time.Time
	CreatedBy string
	Expires   time.Time
	Uses      int // how many peers it was made for
	Left      int // how many more it can admit
	Revoked   bool
}

// Issued is one certificate that was signed for a joining peer here.
type Issued struct {
	Name  drawbridge.PeerName
	Key   ed25519.PublicKey
	Roles Roles
	Token TokenID
	At    time.Time
}

// Tokens are the invitations that this voter has given out, and whom it admitted by them. Every change is on
// disk before anybody hears of it, so a crash never lets a one-use token admit two peers.
type Tokens struct {
	credentials *Credentials

	mu     sync.Mutex
	ledger ledger
}

// OpenTokens reads the ledger in the state directory of c, which must hold the authority's key.
func OpenTokens(c *Credentials) (*Tokens, error) {
	if c.CA == nil {
		return nil, fmt.Errorf("tokens: %w", ErrNoAuthority)
	}
	t := &Tokens{credentials: c}
	b, err := c.dir.read(tokensFile)
	if missing(err) {
		return t, nil
	}
	if err == nil {
		t.ledger, err = parseLedger(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w; remove the file to go on without the tokens in it", c.dir.file(tokensFile), ErrState, err)
	}
	return t, nil
}

// Create makes a token and keeps the hash of its secret. The token is shown once: it cannot be read back.
func (t *Tokens) Create(spec TokenSpec, now time.Time) (Token, error) {
	if spec.Life == 0 {
		spec.Life = DefaultTokenLife
	}
	if spec.Uses == 0 {
		spec.Uses = 1
	}
	if spec.Life < 0 || spec.Life > MaxTokenLife {
		return Token{}, fmt.Errorf("token life of %s: want more than nothing and at most %s", spec.Life, MaxTokenLife)
	}
	if spec.Uses < 0 || spec.Uses > MaxTokenUses {
		return Token{}, fmt.Errorf("token for %d peers: want 1 to %d", spec.Uses, MaxTokenUses)
	}
	n := t.credentials.Network
	token := Token{
		Roles: spec.Roles, Expires: now.Add(spec.Life).UTC().Truncate(time.Second),
		Network: Network{Name: n.Name, ID: n.ID}, KeyHash: n.KeyHash(), Addrs: slices.Clone(spec.Addrs),
	}
	rand.Read(token.ID[:]) // never fails (crypto/rand)
	rand.Read(token.Secret[:])
	if err := token.valid(); err != nil {
		return Token{}, err
	}
	return token, t.keep(token, spec, now)
}

func (t *Tokens) keep(token Token, spec TokenSpec, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.ledger.clone()
	next.Tokens = slices.DeleteFunc(next.Tokens, func(k keptToken) bool { return now.Sub(k.Expires) > deadTokens })
	if len(next.Tokens) >= maxTokens {
		return fmt.Errorf("%d tokens are kept already: revoke some", len(next.Tokens))
	}
	hash := sha256.Sum256(token.Secret[:])
	next.Tokens = append(next.Tokens, keptToken{
		ID: token.ID.String(), Hash: hex.EncodeToString(hash[:]), Roles: token.Roles.Words(), Created: now.UTC().Truncate(time.Second),
		CreatedBy: spec.CreatedBy, Expires: token.Expires, Uses: spec.Uses, Left: spec.Uses,
	})
	return t.commit(next)
}

// List is every token that is kept, expired, used and revoked ones included.
func (t *Tokens) List() []TokenInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]TokenInfo, len(t.ledger.Tokens))
	for i, k := range t.ledger.Tokens {
		list[i] = k.info()
	}
	return list
}

// Issued is every certificate that was signed here for a joining peer.
func (t *Tokens) Issued() []Issued {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Issued, len(t.ledger.Issued))
	for i, k := range t.ledger.Issued {
		list[i] = k.issued()
	}
	return list
}

// Revoke makes a token useless. Peers that have joined by it stay.
func (t *Tokens) Revoke(id TokenID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.ledger.clone()
	i := next.find(id)
	if i < 0 {
		return fmt.Errorf("token %s: %w", id, ErrTokenGone)
	}
	next.Tokens[i].Revoked = true
	return t.commit(next)
}

// claim is what somebody who wants to join says of himself; his possession of the key has been checked.
type claim struct {
	token  TokenID
	secret []byte
	name   drawbridge.PeerName
	key    ed25519.PublicKey
}

// redeem uses up one admission for the claim and says in which roles. The same key under the same name and
// token is let through again without another use: its first answer may have been lost. free says whether
// name and key are not another peer's as far as the rest of the network knows.
func (t *Tokens) redeem(c claim, now time.Time, free func() error) (Roles, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.ledger.clone()
	i := next.find(c.token)
	if i < 0 || !next.Tokens[i].opens(c.secret) || next.Tokens[i].Revoked {
		return 0, fmt.Errorf("token %s: %w", c.token, ErrTokenGone)
	}
	k := &next.Tokens[i]
	if now.After(k.Expires) {
		return 0, fmt.Errorf("token %s ended at %s: create another: %w", c.token, k.Expires.Format(time.RFC3339), ErrTokenOver)
	}
	if id := PeerIDOf(c.key); t.credentials.Revocations.Revoked(id) {
		return 0, fmt.Errorf("the key of peer %s (%s): remove the state directory of that host and join with a new key: %w", c.name, id, ErrRevoked)
	}
	if next.redeemed(c) {
		return k.info().Roles, nil
	}
	if k.Left == 0 {
		return 0, fmt.Errorf("token %s was made for %d peers, which have joined: create another: %w", c.token, k.Uses, ErrTokenUsed)
	}
	if err := errors.Join(next.free(c, t.credentials.Revocations.Revoked), free()); err != nil {
		return 0, err
	}
	k.Left--
	next.Issued = append(next.Issued, keptIssue{string(c.name), c.key, k.Roles, k.ID, now.UTC().Truncate(time.Second)})
	return k.info().Roles, t.commit(next)
}

// commit is called with mu held: what is on disk is what counts.
func (t *Tokens) commit(next ledger) error {
	b, err := json.MarshalIndent(next, "", "\t")
	if err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	if err := t.credentials.dir.write(tokensFile, append(b, '\n')); err != nil {
		return err
	}
	t.ledger = next
	return nil
}

// ledger is the form of tokensFile.
type ledger struct {
	Version int         `json:"version"`
	Tokens  []keptToken `json:"tokens"`
	Issued  []keptIssue `json:"issued"`
}

type keptToken struct {
	ID        string    `json:"id"`
	Hash      string    `json:"secret_sha256"`
	Roles     []string  `json:"roles"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Expires   time.Time `json:"expires"`
	Uses      int       `json:"uses"`
	Left      int       `json:"left"`
	Revoked   bool      `json:"revoked,omitempty"`
}

type keptIssue struct {
	Name  string    `json:"name"`
	Key   []byte    `json:"key"`
	Roles []string  `json:"roles"`
	Token string    `json:"token"`
	At    time.Time `json:"at"`
}

const ledgerVersion = 1

func parseLedger(b []byte) (l ledger, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return ledger{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return ledger{}, errors.New("something follows the ledger")
	}
	if l.Version != ledgerVersion {
		return ledger{}, fmt.Errorf("ledger version %d, this program knows %d", l.Version, ledgerVersion)
	}
	for _, k := range l.Tokens {
		if err := k.valid(); err != nil {
			return ledger{}, err
		}
	}
	for _, k := range l.Issued {
		if len(k.Key) != ed25519.PublicKeySize {
			return ledger{}, fmt.Errorf("issued to %q: key of %d bytes", k.Name, len(k.Key))
		}
	}
	return l, nil
}

func (k keptToken) valid() error {
	_, idErr := ParseTokenID(k.ID)
	_, rolesErr := ParseRoles(k.Roles)
	hash, hashErr := hex.DecodeString(k.Hash)
	if err := errors.Join(idErr, rolesErr, hashErr); err != nil {
		return err
	}
	if len(hash) != sha256.Size || k.Left < 0 {
		return fmt.Errorf("token %s: bad hash or %d uses left", k.ID, k.Left)
	}
	return nil
}

func (l ledger) clone() ledger {
	return ledger{ledgerVersion, slices.Clone(l.Tokens), slices.Clone(l.Issued)}
}

func (l ledger) find(id TokenID) int {
	return slices.IndexFunc(l.Tokens, func(k keptToken) bool { return k.ID == id.String() })
}

// opens compares in constant time.
func (k keptToken) opens(secret []byte) bool {
	got := sha256.Sum256(secret)
	want, err := hex.DecodeString(k.Hash)
	return err == nil && subtle.ConstantTimeCompare(got[:], want) == 1
}

func (k keptToken) info() TokenInfo {
	id, _ := ParseTokenID(k.ID) // checked when it was read
	roles, _ := ParseRoles(k.Roles)
	return TokenInfo{id, roles, k.Created, k.CreatedBy, k.Expires, k.Uses, k.Left, k.Revoked}
}

func (k keptIssue) issued() Issued {
	id, _ := ParseTokenID(k.Token)
	roles, _ := ParseRoles(k.Roles)
	return Issued{drawbridge.PeerName(k.Name), k.Key, roles, id, k.At}
}

// redeemed reports whether exactly this claim was granted before.
func (l ledger) redeemed(c claim) bool {
	return slices.ContainsFunc(l.Issued, func(k keptIssue) bool {
		return k.Token == c.token.String() && k.Name == string(c.name) && bytes.Equal(k.Key, c.key)
	})
}

// free reports whether name or id was given to another peer that has not been revoked since.
func (l ledger) free(c claim, revoked func(drawbridge.PeerID) bool) error {
	for _, k := range l.Issued {
		id := PeerIDOf(k.Key)
		if revoked(id) {
			continue
		}
		if err := c.collides(drawbridge.PeerName(k.Name), id); err != nil {
			return err
		}
	}
	return nil
}

// collides compares a claim with a peer of the network. The same name and id is the same peer, joining again.
func (c claim) collides(name drawbridge.PeerName, id drawbridge.PeerID) error {
	sameName, sameID := c.name == name, PeerIDOf(c.key) == id
	switch {
	case sameName && !sameID:
		return fmt.Errorf("peer %s exists with another key (%s): choose another name, or have the old one forgotten: %w", name, id, ErrNameTaken)
	case sameID && !sameName:
		return fmt.Errorf("peer %s has id %s: %w", name, id, errIDTaken)
	}
	return nil
}
