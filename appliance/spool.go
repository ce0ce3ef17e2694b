package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
)

const (
	bundleNames = ".update-*.bundle" // backups leave hidden files out
	// keepFree is what an update leaves free on the state partition, in bytes: what the daemon itself writes there in weeks.
	keepFree = 64 << 20
	// bundlePause is how long a bundle that is fetched may stand still.
	bundlePause = time.Minute
)

// spool keeps a bundle of size bytes (below zero: unknown) in a file without a name: whatever ends the daemon, the room is
// free again.
func spool(ctx context.Context, dir string, from io.Reader, size int64, progress slot.Progress) (_ *os.File, err error) {
	f, err := bundleFile(dir, size)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("keep the bundle: %w", err)
	}
	if err := fill(ctx, f, dir, from, size, progress); err != nil {
		return nil, err
	}
	return f, nil
}

// bundleFile makes a file for a bundle of size bytes, if there is room. leftBundles removes what still has its name at the next start.
func bundleFile(dir string, size int64) (*os.File, error) {
	if size > slot.MaxBundle {
		return nil, fmt.Errorf("%w: %d bytes are more than any bundle has", web.ErrInvalid, size)
	}
	if err := roomFor(dir, max(size, 0)); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, bundleNames)
	if err != nil {
		return nil, fmt.Errorf("keep the bundle: %w", err)
	}
	return f, nil
}

// fill never takes the last room of the disk, on which identity, votes and configuration are.
func fill(ctx context.Context, f *os.File, dir string, from io.Reader, size int64, progress slot.Progress) error {
	n, err := pour(ctx, f, dir, from, func(done int64) {
		if progress != nil {
			progress("receive", done, max(size, 0))
		}
	})
	if err == nil && size >= 0 && n != size {
		return fmt.Errorf("%w: the bundle ended after %d of %d bytes: send it again", web.ErrInvalid, n, size)
	}
	return err
}

// pour copies as long as there is room and ctx lasts.
func pour(ctx context.Context, to io.Writer, dir string, from io.Reader, each func(done int64)) (done int64, err error) {
	buf := make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(from, buf)
		if done+int64(n) > slot.MaxBundle {
			return done, fmt.Errorf("%w: it is larger than any bundle", web.ErrInvalid)
		}
		if short := roomFor(dir, int64(n)); short != nil {
			return done, short
		}
		if _, err := to.Write(buf[:n]); errors.Is(err, syscall.ENOSPC) {
			return done, roomFor(dir, 1<<62)
		} else if err != nil {
			return done, fmt.Errorf("keep the bundle: %w", err)
		}
		done += int64(n)
		each(done)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && ctx.Err() == nil:
			return done, nil
		case err != nil:
			return done, fmt.Errorf("%w: the bundle stopped coming after %d bytes: %w: send it again", web.ErrUnavailable, done, err)
		case ctx.Err() != nil:
			return done, context.Cause(ctx)
		}
	}
}

// roomFor refuses what the disk has no room for.
func roomFor(dir string, size int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("room in %s: %w", dir, err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; size > free-keepFree {
		return fmt.Errorf("%w: %s has %d MB free, of which %d stay free: it has no room for the bundle; remove captures and backups there, or let root write it from a medium: drawbridge update FILE",
			web.ErrConflict, dir, free>>20, keepFree>>20)
	}
	return nil
}

// fetchBundle asks a server for a bundle. Its signature tells whose it is; TLS keeps to itself who runs what.
func fetchBundle(ctx context.Context, address string) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	pause := time.AfterFunc(bundlePause, func() { cancel(fmt.Errorf("nothing came for %s", bundlePause)) })
	give := func(err error) (io.ReadCloser, int64, error) {
		pause.Stop()
		cancel(nil)
		return nil, 0, fmt.Errorf("%w: fetch %s: %w", web.ErrUnavailable, address, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return give(err)
	}
	answer, err := bundleClient.Do(r)
	if err != nil {
		return give(err)
	}
	if answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		return give(fmt.Errorf("the server answered %s: is the address right?", answer.Status))
	}
	return &fetched{answer.Body, pause, cancel}, answer.ContentLength, nil
}

// bundleClient follows redirections to other places that are as secret only.
var bundleClient = &http.Client{
	Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(r *http.Request, via []*http.Request) error {
		switch {
		case r.URL.Scheme != "https":
			return fmt.Errorf("it redirects to %s, which is not https", r.URL)
		case len(via) > 5:
			return errors.New("it redirects without end")
		}
		return nil
	},
}

// fetched is a body that may not stand still.
type fetched struct {
	io.ReadCloser
	pause  *time.Timer
	cancel context.CancelCauseFunc
}

func (f *fetched) Read(b []byte) (int, error) {
	f.pause.Reset(bundlePause)
	return f.ReadCloser.Read(b)
}

func (f *fetched) Close() error {
	f.pause.Stop()
	f.cancel(nil)
	return f.ReadCloser.Close()
}
