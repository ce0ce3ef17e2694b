package secure

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// JoinOptions change how Join works. The zero value is what a command wants.
type JoinOptions struct {
	// Progress hears of every address: once with nil when it is called, once more with the reason when it did
	// not admit us.
	Progress func(addr string, err error)
	// Dial makes the connections; nil: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

const (
	// callLimit bounds one contact: connecting, the TLS handshake and the exchange.
	callLimit = 20 * time.Second
	// maxContacts bounds how far we follow contacts that name others.
	maxContacts = 2 * maxTokenAddrs
	// maxKeys bounds how often we draw another key because its short id is taken: in a network of a thousand
	// peers the second draw fails once in four million times.
	maxKeys = 3
)

// Join makes this host the peer called name of the network that token invites to, and keeps the identity in
// dir. It tries the addresses of the token, and the voters that a contact names, in order. It may be
// repeated after a crash at any moment with the same token, name and dir.
func Join(ctx context.Context, token Token, name drawbridge.PeerName, dir string, opts JoinOptions) (*Credentials, error) {
	if err := errors.Join(drawbridge.CheckName(string(name)), token.valid()); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	d, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	c, err := d.join(ctx, token, name, opts)
	return d.keep(c, err)
}

func (d *stateDir) join(ctx context.Context, token Token, name drawbridge.PeerName, opts JoinOptions) (*Credentials, error) {
	if err := d.vacantFor(token); err != nil {
		return nil, err
	}
	j := joining{token: token, name: name, dir: d, opts: opts.complete()}
	if err := j.firstKey(); err != nil {
		return nil, err
	}
	got, err := j.callAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("join network %s: %w", token.Network, err)
	}
	if err := d.keepContacts(token.Addrs); err != nil {
		return nil, err
	}
	if err := d.settle(got.network, got.ca, got.cert); err != nil {
		return nil, err
	}
	return d.open()
}

// vacantFor is vacant, but what an unfinished joining of a voter to the same network left is not in the way.
func (d *stateDir) vacantFor(token Token) error {
	if !d.has(certFile) && d.has(authorityFile) {
		n, err := d.readNetwork()
		if err == nil && n.KeyHash() == token.KeyHash {
			return nil
		}
	}
	return d.vacant()
}

func (o JoinOptions) complete() JoinOptions {
	if o.Progress == nil {
		o.Progress = func(string, error) {}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return o
}

// joining is one run of Join.
type joining struct {
	token Token
	name  drawbridge.PeerName
	dir   *stateDir
	opts  JoinOptions
	key   ed25519.PrivateKey
}

// admitted is what a voter gave us.
type admitted struct {
	network Network
	ca      *Authority // when we are a voter
	cert    *x509.Certificate
}

// firstKey takes the key of a joining that was not finished, so that the voter knows us again, or draws one.
func (j *joining) firstKey() error {
	if !j.dir.has(keyFile) {
		return j.drawKey()
	}
	key, err := j.dir.readKey(keyFile)
	j.key = key
	return err
}

func (j *joining) drawKey() (err error) {
	if j.key, err = newKey(); err != nil {
		return err
	}
	return j.dir.write(keyFile, encodeKey(j.key))
}

// callAll goes through the contacts until one admits us or one refuses us for all.
func (j *joining) callAll(ctx context.Context) (admitted, error) {
	contacts := slices.Clone(j.token.Addrs)
	var failures []error
	answered := false
	for i := 0; i < len(contacts); i++ {
		addr := contacts[i]
		j.opts.Progress(addr, nil)
		got, err := j.call(ctx, addr)
		if err == nil {
			return got, nil
		}
		j.opts.Progress(addr, err)
		failures = append(failures, fmt.Errorf("%s: %w", addr, err))
		if final(err) || ctx.Err() != nil {
			return admitted{}, errors.Join(failures...)
		}
		answered = answered || spokeToUs(err)
		contacts = follow(contacts, err)
	}
	if !answered {
		failures = slices.Insert(failures, 0, ErrUnreachable)
	}
	return admitted{}, errors.Join(failures...)
}

// final reports whether every other voter would say the same. ErrClock is not final: the clock that is wrong
// may be the contact's, and nothing was told to it.
func final(err error) bool {
	for _, last := range []error{ErrTokenOver, ErrTokenUsed, ErrNameTaken, ErrRevoked, drawbridge.ErrName} {
		if errors.Is(err, last) {
			return true
		}
	}
	return false
}

// spokeToUs reports whether err is the word of a Drawbridge peer, of whatever network.
func spokeToUs(err error) bool {
	var refused *refusedError
	var other *OtherNetworkError
	return errors.As(err, &refused) || errors.As(err, &other) || errors.Is(err, ErrNotVoter) || errors.Is(err, ErrForged) || errors.Is(err, ErrClock)
}

// follow adds the voters that a contact named.
func follow(contacts []string, err error) []string {
	var not *NotVoterError
	if !errors.As(err, &not) {
		return contacts
	}
	for _, addr := range not.Voters {
		if len(contacts) < maxContacts && checkAddr(addr) == nil && !slices.Contains(contacts, addr) {
			contacts = append(contacts, addr)
		}
	}
	return contacts
}

// call asks one contact, with other keys when the short id of ours is taken.
func (j *joining) call(ctx context.Context, addr string) (admitted, error) {
	for attempt := 1; ; attempt++ {
		got, err := j.callOnce(ctx, addr)
		if !errors.Is(err, errIDTaken) || attempt == maxKeys {
			return got, err
		}
		if err := j.drawKey(); err != nil {
			return admitted{}, err
		}
	}
}

func (j *joining) callOnce(ctx context.Context, addr string) (admitted, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	raw, err := j.opts.Dial(ctx, "tcp", addr)
	if err != nil {
		return admitted{}, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	var contact contact
	conn := tls.Client(raw, j.token.tls(&contact))
	if err := conn.HandshakeContext(ctx); err != nil {
		return admitted{}, fmt.Errorf("TLS handshake: %w", err)
	}
	return j.ask(conn, contact)
}

// contact is the peer that a joining host has called, once it has proven itself.
type contact struct {
	network Network
	peer    Peer
}

// tls pins the far end to the authority that the token names. Dates are checked later: the greeting tells
// what time it is there.
func (t Token) tls(found *contact) *tls.Config {
	config := base(JoinProtocol)
	config.InsecureSkipVerify = true // verified against the token instead of a DNS name
	config.VerifyConnection = func(cs tls.ConnectionState) (err error) {
		if err := spoke(cs, JoinProtocol); err != nil {
			return err
		}
		*found, err = t.verify(cs.PeerCertificates)
		return err
	}
	return config
}

func (t Token) verify(chain []*x509.Certificate) (contact, error) {
	if len(chain) == 0 {
		return contact{}, fmt.Errorf("no certificate: %w", ErrCertificate)
	}
	if theirs, ok := claimedNetwork(chain[0]); ok && theirs.ID != t.Network.ID {
		return contact{}, fmt.Errorf("token %s: %w", t.ID, &OtherNetworkError{Mine: t.Network, Theirs: theirs})
	}
	i := slices.IndexFunc(chain, t.pinned)
	if i < 0 {
		return contact{}, fmt.Errorf("contact does not show the authority that token %s names for network %s: %w", t.ID, t.Network, ErrForged)
	}
	n, err := networkOf(chain[i])
	if err != nil {
		return contact{}, err
	}
	if n.ID != t.Network.ID || n.Name != t.Network.Name {
		return contact{}, fmt.Errorf("token %s: %w", t.ID, &OtherNetworkError{Mine: t.Network, Theirs: n})
	}
	p, err := n.verify(chain[0])
	return contact{n, p}, err
}

func (t Token) pinned(cert *x509.Certificate) bool {
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	return ok && sha256.Sum256(key) == t.KeyHash
}

// ask goes through the exchange on a connection to a proven contact.
func (j *joining) ask(conn *tls.Conn, with contact) (got admitted, err error) {
	var hello greeting
	if err := readMessage(conn, &hello); err != nil {
		return got, err
	}
	if err := with.welcomes(hello, time.Now()); err != nil {
		return got, err
	}
	r, err := j.request(conn.ConnectionState())
	if err != nil {
		return got, err
	}
	if err := writeMessage(conn, r); err != nil {
		return got, err
	}
	var a answer
	if err := readMessage(conn, &a); err != nil {
		return got, err
	}
	if err := a.refusal(string(with.peer.Name)); err != nil {
		return got, err
	}
	return j.accept(with.network, a)
}

// welcomes checks all that must hold before the secret is told.
func (c contact) welcomes(hello greeting, now time.Time) error {
	if hello.Version != joinVersion {
		return fmt.Errorf("joining version %d, this program knows %d: %w", hello.Version, joinVersion, ErrProtocol)
	}
	if ahead := now.Sub(hello.Time); ahead.Abs() > MaxSkew {
		return &ClockError{Here: now, Ahead: ahead, Other: "peer " + string(c.peer.Name)}
	}
	if err := checkDates(c.peer.Cert, now); err != nil {
		return err
	}
	if !hello.Voter || !c.peer.Roles.Has(Voter) {
		return &NotVoterError{c.peer.Name, hello.Voters}
	}
	return nil
}

func (j *joining) request(cs tls.ConnectionState) (request, error) {
	r := request{
		Version: joinVersion, Token: j.token.ID.String(), Secret: j.token.Secret[:],
		Name: string(j.name), Key: j.key.Public().(ed25519.PublicKey),
	}
	proof, err := proofMessage(cs, r.Token, r.Name)
	if err != nil {
		return request{}, err
	}
	r.Proof = ed25519.Sign(j.key, proof)
	return r, nil
}

// accept checks that we got what we asked for.
func (j *joining) accept(n Network, a answer) (admitted, error) {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return admitted{}, fmt.Errorf("certificate in the answer: %w: %w", ErrCertificate, err)
	}
	p, err := n.verify(cert)
	if err != nil {
		return admitted{}, fmt.Errorf("certificate in the answer: %w", err)
	}
	if p.Name != j.name || !p.Key.Equal(j.key.Public()) {
		return admitted{}, fmt.Errorf("certificate in the answer is for peer %s (%s): %w", p.Name, p.ID, ErrCertificate)
	}
	ca, err := authorityFor(n, p.Roles, a.AuthorityKey)
	return admitted{n, ca, cert}, err
}

// authorityFor makes a voter's authority of the seed in the answer; nil for anybody else.
func authorityFor(n Network, roles Roles, seed []byte) (*Authority, error) {
	if !roles.Has(Voter) {
		return nil, nil
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("answer to a voter has an authority key of %d bytes: %w", len(seed), ErrProtocol)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if !key.Public().(ed25519.PublicKey).Equal(n.Authority.PublicKey) {
		return nil, fmt.Errorf("answer to a voter has a key that is not the authority's: %w", ErrForged)
	}
	return &Authority{n, key}, nil
}
