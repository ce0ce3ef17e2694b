package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/drawbridge-net/drawbridge/appliance/rollout"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
)

// rolloutBundle in the state directory is what the peers of the present roll-out take, if it came with the request.
const rolloutBundle = "rollout.bundle"

func (n *Node) keptBundle() string { return filepath.Join(n.creds.Dir(), rolloutBundle) }

// UploadRollout implements web.Node. The bundle is on the disk here, and every byte of it was looked at, before any peer is touched.
func (n *Node) UploadRollout(ctx context.Context, q web.RolloutRequest, bundle io.Reader, size int64) (web.Rollout, error) {
	q.Source = web.SourceUpload
	r, err := n.newRollout(&q)
	if err != nil {
		return web.Rollout{}, err
	}
	fits, err := n.fitsHere(ctx, r)
	if err != nil {
		return web.Rollout{}, err
	}
	path, b, err := n.keepBundle(ctx, bundle, size, fits)
	if err != nil {
		return web.Rollout{}, err
	}
	defer os.Remove(path) // once the roll-out has begun, there is nothing any more
	r, err = n.newRollout(&q)
	if err != nil { // much may have happened meanwhile
		return web.Rollout{}, err
	}
	r.Bundle = &b
	return n.beginRollout(r, path)
}

// fitsOthers is for bundles that this peer does not take itself: what is for another machine, only that machine knows.
func fitsOthers(slot.Manifest) error { return nil }

// fitsHere asks, before a hundred megabytes are sent in vain, whether this peer could take a bundle, if it is one of those that are
// updated. What it answers says whether it could take a certain one.
func (n *Node) fitsHere(ctx context.Context, r *rollout.Rollout) (func(slot.Manifest) error, error) {
	self := string(n.creds.Name)
	if !slices.ContainsFunc(r.Peers, func(p rollout.Peer) bool { return p.Name == self }) {
		return fitsOthers, nil
	}
	s, err := n.updating.installer.Slots(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is one of the peers to update: %w", web.ErrConflict, self, err)
	}
	m, err := n.updating.machine()
	if err != nil {
		return nil, err
	}
	var running uint64
	for _, one := range s.Slots {
		if one.Name == s.Running && !one.Release.IsZero() && !r.Older {
			running = uint64(one.Release.Unix())
		}
	}
	return func(b slot.Manifest) error { return b.Fits(m.Variant, m.Arch, running) }, nil
}

// keepBundle receives the bundle of a roll-out into a file, and answers what it is called for now. One that is refused leaves none.
func (n *Node) keepBundle(ctx context.Context, from io.Reader, size int64, fits func(slot.Manifest) error) (path string, b rollout.Bundle, err error) {
	release, err := n.updating.claim()
	if err != nil {
		return "", b, err
	}
	defer release()
	f, err := bundleFile(n.creds.Dir(), size)
	if err != nil {
		return "", b, err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := fill(ctx, f, n.creds.Dir(), from, size, nil); err != nil {
		return "", b, err
	}
	if err := f.Sync(); err != nil {
		return "", b, fmt.Errorf("keep the bundle: %w", err)
	}
	open, err := n.opener()
	if err != nil {
		return "", b, err
	}
	b, err = examine(f, open, fits)
	if err != nil {
		return "", b, fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	return f.Name(), b, nil
}

// opener opens bundles with the release key, where there is one.
func (n *Node) opener() (func(io.Reader) (*slot.Bundle, error), error) {
	m, err := n.updating.machine()
	switch {
	case errors.Is(err, slot.ErrNoAppliance):
		return slot.OpenUnverified, nil
	case err != nil:
		return nil, err
	}
	return func(r io.Reader) (*slot.Bundle, error) { return slot.Open(r, m.Key) }, nil
}

// examine reads all of a bundle.
func examine(f *os.File, open func(io.Reader) (*slot.Bundle, error), fits func(slot.Manifest) error) (rollout.Bundle, error) {
	about, err := f.Stat()
	if err != nil {
		return rollout.Bundle{}, err
	}
	b, err := open(io.NewSectionReader(f, 0, about.Size()))
	if err != nil {
		return rollout.Bundle{}, err
	}
	if err := fits(b.Manifest); err != nil {
		return rollout.Bundle{}, err
	}
	return rollout.Bundle{Version: b.Version, Release: b.Release, Size: about.Size()}, b.Whole()
}

// openKept opens the bundle of the present roll-out, if it is still what was uploaded: it may have lain here for days.
func (n *Node) openKept(want *rollout.Bundle) (*os.File, error) {
	f, err := os.Open(n.keptBundle())
	if err != nil {
		return nil, n.errLost(err)
	}
	now, err := examine(f, slot.OpenUnverified, fitsOthers)
	if err == nil && now != *want {
		err = errors.New("it is another one")
	}
	if err != nil {
		_ = f.Close()
		return nil, n.errLost(err)
	}
	return f, nil
}

// lostBundle says what became of a bundle that a peer has yet to be sent. It does not look into it: it is asked every second.
func (n *Node) lostBundle(r *rollout.Rollout) error {
	if r.Bundle == nil || !r.Owes() {
		return nil
	}
	about, err := os.Stat(n.keptBundle())
	if err == nil && about.Size() != r.Bundle.Size {
		err = fmt.Errorf("%d of %d bytes are there", about.Size(), r.Bundle.Size)
	}
	if err != nil {
		return n.errLost(err)
	}
	return nil
}

// errLost leaves out where it was.
func (n *Node) errLost(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("the bundle that was uploaded is not on the disk of %s any more as it was: %w: abort the roll-out, and start another one with the file for the peers that are left", n.creds.Name, err)
}

// dropBundle frees the room of a bundle that no roll-out needs.
func (n *Node) dropBundle() {
	if err := os.Remove(n.keptBundle()); err != nil && !errors.Is(err, os.ErrNotExist) {
		n.log.Warn("the bundle of a roll-out was not removed", "err", err)
	}
}
