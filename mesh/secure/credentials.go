package secure

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// Credentials are who this peer is, and how it tells who others are. Any goroutine may use them. They hold
// the lock of their state directory until Close.
type Credentials struct {
	// Set at construction, then constant.
	Identity
	Network     Network
	CA          *Authority // nil unless this peer holds the authority's key
	Revocations *Revocations
	dir         *stateDir

	self     atomic.Pointer[Peer]
	verified verdicts

	saving sync.Mutex // one writer of the state directory at a time
}

// Dir is the state directory.
func (c *Credentials) Dir() string { return c.dir.path }

// Self is what our own certificate says.
func (c *Credentials) Self() Peer { return *c.self.Load() }

// Certificate is our own, as it stands; renewal replaces it.
func (c *Credentials) Certificate() *x509.Certificate { return c.self.Load().Cert }

// Close gives the state directory back. The credentials can still verify, but not be changed.
func (c *Credentials) Close() error { return c.dir.close() }

// Found begins a network: its authority, its random id, and its first peer, which is a voter and may be a
// gateway. It refuses a directory that already holds an identity or an authority.
func Found(dir, name string, peer drawbridge.PeerName, now time.Time) (*Credentials, error) {
	name, err := networkName(name)
	if err != nil {
		return nil, err
	}
	if err := drawbridge.CheckName(string(peer)); err != nil {
		return nil, fmt.Errorf("peer %w", err)
	}
	d, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	c, err := d.found(name, peer, now)
	return d.keep(c, err)
}

// keep hands the lock to c, or releases it when there was an error.
func (d *stateDir) keep(c *Credentials, err error) (*Credentials, error) {
	if err != nil {
		d.close() // the error that counts is err
		return nil, err
	}
	return c, nil
}

func (d *stateDir) found(name string, peer drawbridge.PeerName, now time.Time) (*Credentials, error) {
	if err := d.vacant(); err != nil {
		return nil, err
	}
	ca, err := newAuthority(name, now)
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(peer, key.Public().(ed25519.PublicKey), Voter|Gateway, now)
	if err != nil {
		return nil, err
	}
	if err := d.write(keyFile, encodeKey(key)); err != nil {
		return nil, err
	}
	if err := d.settle(ca.network, ca, cert); err != nil {
		return nil, err
	}
	return d.open()
}

// settle writes what makes a directory with a key into one with an identity; the certificate goes last.
func (d *stateDir) settle(n Network, ca *Authority, cert *x509.Certificate) error {
	if err := d.write(networkFile, encodeCert(n.Authority)); err != nil {
		return err
	}
	if ca != nil {
		if err := d.write(authorityFile, encodeKey(ca.key)); err != nil {
			return err
		}
	}
	return d.write(certFile, encodeCert(cert))
}

// vacant reports what stands in the way of a new identity in this directory.
func (d *stateDir) vacant() error {
	if !d.has(certFile) && !d.has(authorityFile) {
		return nil
	}
	who := "the key of a network's authority"
	if c, err := d.open(); err == nil {
		who = fmt.Sprintf("peer %s of network %s", c.Name, c.Network)
	}
	return fmt.Errorf("state directory %s holds %s; to leave that network stop drawbridge here, run `drawbridge peers forget` for it on another peer, then remove %s: %w",
		d.path, who, d.path, ErrHasIdentity)
}

// Open reads the identity in dir and takes the directory's lock. Errors name the file and the remedy.
func Open(dir string) (*Credentials, error) {
	d, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	c, err := d.open()
	return d.keep(c, err)
}

func (d *stateDir) open() (*Credentials, error) {
	if err := d.complete(); err != nil {
		return nil, err
	}
	c := &Credentials{dir: d}
	steps := []func() error{c.openNetwork, c.openPeer, c.openAuthority, c.openRevocations}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// complete tells an empty directory and an unfinished joining from an identity.
func (d *stateDir) complete() error {
	switch {
	case d.has(certFile):
		return nil
	case d.has(authorityFile):
		return fmt.Errorf("%s is missing beside %s: repeat the `drawbridge join` that was interrupted, restore the file from a backup, or remove %s and begin anew: %w",
			d.file(certFile), authorityFile, d.path, ErrUnfinished)
	case d.has(keyFile):
		return fmt.Errorf("state directory %s has a key but no certificate: run `drawbridge join` again with the same token and name: %w", d.path, ErrUnfinished)
	}
	return fmt.Errorf("state directory %s is empty: run `drawbridge init` or `drawbridge join` first: %w", d.path, ErrNoIdentity)
}

// damaged names the file and what can be done about it.
func (d *stateDir) damaged(name string, err error) error {
	return fmt.Errorf("%s: %w: %w; restore it from a backup, or have this peer forgotten, remove %s and join anew", d.file(name), ErrState, err, d.path)
}

func (c *Credentials) openNetwork() (err error) {
	c.Network, err = c.dir.readNetwork()
	return err
}

func (d *stateDir) readNetwork() (Network, error) {
	b, err := d.read(networkFile)
	if err != nil {
		return Network{}, d.damaged(networkFile, err)
	}
	cert, err := decodeCert(b)
	if err != nil {
		return Network{}, d.damaged(networkFile, err)
	}
	n, err := networkOf(cert)
	if err != nil {
		return Network{}, d.damaged(networkFile, err)
	}
	return n, nil
}

func (c *Credentials) openPeer() error {
	key, err := c.dir.readKey(keyFile)
	if err != nil {
		return err
	}
	b, err := c.dir.read(certFile)
	if err != nil {
		return c.dir.damaged(certFile, err)
	}
	cert, err := decodeCert(b)
	if err != nil {
		return c.dir.damaged(certFile, err)
	}
	self, err := c.Network.verify(cert)
	if err != nil {
		return c.dir.damaged(certFile, err)
	}
	if !self.Key.Equal(key.Public()) {
		return c.dir.damaged(certFile, fmt.Errorf("it is not for the key in %s", keyFile))
	}
	c.Identity = Identity{self.Name, key}
	c.self.Store(&self)
	return nil
}

func (c *Credentials) openAuthority() error {
	if !c.dir.has(authorityFile) {
		return nil
	}
	key, err := c.dir.readKey(authorityFile)
	if err != nil {
		return err
	}
	if !key.Public().(ed25519.PublicKey).Equal(c.Network.Authority.PublicKey) {
		return c.dir.damaged(authorityFile, fmt.Errorf("it is not the key of %s", networkFile))
	}
	c.CA = &Authority{c.Network, key}
	return nil
}

func (c *Credentials) openRevocations() error {
	c.Revocations = newRevocations(c.Network, func(b []byte) error { return c.dir.write(revocationFile, b) })
	b, err := c.dir.read(revocationFile)
	if missing(err) {
		return nil
	}
	if err == nil {
		err = c.Revocations.load(b)
	}
	if err != nil {
		return c.dir.damaged(revocationFile, err)
	}
	return nil
}

func (d *stateDir) readKey(name string) (ed25519.PrivateKey, error) {
	b, err := d.read(name)
	if err != nil {
		return nil, d.damaged(name, err)
	}
	key, err := decodeKey(b)
	if err != nil {
		return nil, d.damaged(name, err)
	}
	return key, nil
}

// Renewed takes a certificate that the authority signed again for this peer, keeps it on disk and uses it
// for every connection from now on.
func (c *Credentials) Renewed(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("renewed certificate: %w: %w", ErrCertificate, err)
	}
	p, err := c.Network.verify(cert)
	if err != nil {
		return fmt.Errorf("renewed certificate: %w", err)
	}
	if p.Name != c.Name || !p.Key.Equal(c.Public()) {
		return fmt.Errorf("renewed certificate is for peer %s (%s), this is peer %s (%s): %w", p.Name, p.ID, c.Name, c.ID(), ErrCertificate)
	}
	c.saving.Lock()
	defer c.saving.Unlock()
	if err := c.dir.write(certFile, encodeCert(cert)); err != nil {
		return err
	}
	c.self.Store(&p)
	return nil
}

// Revoke removes a peer from the network for good: nobody will talk to its key again. Only a peer that
// holds the authority's key can.
func (c *Credentials) Revoke(name drawbridge.PeerName, id drawbridge.PeerID, now time.Time) error {
	if c.CA == nil {
		return fmt.Errorf("revoke peer %s: %w", name, ErrNoAuthority)
	}
	if id == c.ID() {
		return fmt.Errorf("revoke peer %s: a peer cannot revoke itself; do it on another voter", name)
	}
	_, err := c.Revocations.Merge(c.CA.revoke(name, id, now))
	return err
}

// tlsCertificate is our certificate with its key; the authority's follows when the far end cannot know it.
func (c *Credentials) tlsCertificate(withAuthority bool) *tls.Certificate {
	cert := c.Certificate()
	chain := [][]byte{cert.Raw}
	if withAuthority {
		chain = append(chain, c.Network.Authority.Raw)
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: c.Private, Leaf: cert}
}
