package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// aloneKeyService is asked by peers that do not hold the authority's key for the key of ALONE's hellos. Every peer of
// the network may have it: it proves membership, on wires where only members can tell friend from foe.
const aloneKeyService = "alone-key/1"

const (
	// aloneKeyAgain is how long a peer waits before it asks again.
	aloneKeyAgain = time.Second
	// aloneKeyLimit is how long an answer of 32 octets may take.
	aloneKeyLimit = 5 * time.Second
)

// aloneKey is the key of the hellos: derived where the authority's key is, else kept from an earlier run, else asked
// for, until ctx ends.
func (n *Node) aloneKey(ctx context.Context) (key [32]byte, err error) {
	if n.creds.CA != nil {
		return [32]byte(n.creds.CA.Secret("alone v1", nil)), nil
	}
	path := filepath.Join(n.creds.Dir(), "alone-"+n.creds.Network.ID.String()+".key")
	if kept, err := os.ReadFile(path); err == nil && len(kept) == len(key) {
		return [32]byte(kept), nil
	}
	for {
		if key, err = n.askAloneKey(); err == nil {
			return key, keepAloneKey(path, key)
		}
		n.log.Debug("no voter has given the key of ALONE yet", "err", err)
		select {
		case <-ctx.Done():
			return key, ctx.Err()
		case <-time.After(aloneKeyAgain):
		}
	}
}

// keepAloneKey writes the key so that the next run needs nobody.
func keepAloneKey(path string, key [32]byte) error {
	if err := secure.WriteFile(filepath.Dir(path), filepath.Base(path), key[:]); err != nil {
		return fmt.Errorf("keep the key of ALONE: %w", err)
	}
	return nil
}

// askAloneKey asks every voter in turn.
func (n *Node) askAloneKey() (key [32]byte, err error) {
	err = errors.New("no voter is known")
	for _, p := range n.router.Peers() {
		if p.State == mesh.StateSelf || p.State == mesh.StateUnreachable || !p.Roles.Has(secure.Voter) {
			continue
		}
		if key, err = n.askAloneKeyOf(p.ID); err == nil {
			return key, nil
		}
	}
	return key, err
}

func (n *Node) askAloneKeyOf(peer drawbridge.PeerID) (key [32]byte, err error) {
	c, err := n.router.Open(peer, aloneKeyService)
	if err != nil {
		return key, err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(aloneKeyLimit)); err != nil {
		return key, err
	}
	_, err = io.ReadFull(c, key[:])
	return key, err
}

// giveAloneKey answers whoever asks; the streams of the mesh come from members only.
func (n *Node) giveAloneKey(_ drawbridge.PeerID, c net.Conn) {
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(aloneKeyLimit)); err != nil {
		return
	}
	if _, err := c.Write(n.creds.CA.Secret("alone v1", nil)); err != nil {
		n.log.Debug("the key of ALONE was not taken", "err", err)
	}
}
