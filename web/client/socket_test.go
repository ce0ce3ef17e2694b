package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "d.sock")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close() // as a killed daemon leaves it

	l, err := web.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := stat(t, path).Mode().Perm(); mode != 0o600 && mode != 0o660 {
		t.Errorf("mode %o", mode)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	n := webtest.New()
	go func() {
		ended <- web.Serve(ctx, l, web.New(n, slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
	}()
	if s, err := client.New(path).Status(t.Context()); err != nil || s.Name != "a" {
		t.Errorf("status %+v: %v", s, err)
	}
	if _, err := web.ListenUnix(path); !errors.Is(err, web.ErrInUse) {
		t.Errorf("a second daemon: %v", err)
	}

	n.Happen(web.Event{Kind: "peer_up"})
	stream, began := make(chan error, 1), make(chan struct{})
	go func() {
		stream <- client.New(path).Follow(context.WithoutCancel(ctx), 0, nil, nil, func(web.Event) error { close(began); return nil })
	}()
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	if err := <-stream; !errors.Is(err, client.ErrEnded) {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestUnreachable(t *testing.T) {
	_, err := client.New(filepath.Join(t.TempDir(), "none.sock")).Status(t.Context())
	var u *client.UnreachableError
	if !errors.As(err, &u) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
