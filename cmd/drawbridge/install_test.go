package main

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// TestResetOfADaemonThatHangs: it takes a connection and never answers. By force the reset goes on, in bounded time.
func TestResetOfADaemonThatHangs(t *testing.T) {
	was := leaveFor
	leaveFor = time.Second / 10
	defer func() { leaveFor = was }()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "d.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, force := range []bool{false, true} {
		var out bytes.Buffer
		to := newTool(strings.NewReader(""), &out, &out)
		to.socket = l.Addr().String()
		err := to.leave(t.Context(), force)
		if (err == nil) != force {
			t.Errorf("force %v: %v", force, err)
		}
		if force && !strings.Contains(out.String(), "drawbridge peers forget") {
			t.Errorf("said %q", &out)
		}
	}
}

// TestResetHandsOverFirst and then leaves the network, or does neither.
func TestResetHandsOverFirst(t *testing.T) {
	n := webtest.New()
	try := func(socket string, force bool) (string, error) {
		var out bytes.Buffer
		to := newTool(strings.NewReader(""), &out, &out)
		to.socket = socket
		err := to.leave(t.Context(), force)
		return out.String(), err
	}
	if said, err := try(filepath.Join(t.TempDir(), "none"), false); err != nil || said != "" {
		t.Errorf("nobody knows this host: %q, %v", said, err)
	}
	socket := daemon(t, n)
	n.Change(func(v *webtest.Values) { v.Moves.Operations[0].State = web.OperationDone })
	if said, err := try(socket, false); err != nil || !strings.Contains(said, "a has left the network") {
		t.Errorf("%q, %v", said, err)
	}
	asked := fmt.Sprint(n.Asked())
	if moved, left := strings.Index(asked, "maint"), strings.LastIndex(asked, "forget"); moved < 0 || left < moved {
		t.Errorf("asked for %s", asked)
	}
	n.Change(func(v *webtest.Values) {
		v.Moves.Operations[0].State, v.Moves.Operations[0].Outcome = web.OperationFailed, "nobody is ready"
	})
	if _, err := try(socket, false); err == nil || !strings.Contains(err.Error(), "nobody is ready: add --force") {
		t.Errorf("nobody takes them: %v", err)
	}
	if said, err := try(socket, true); err != nil || !strings.Contains(said, "nobody is ready") || !strings.Contains(said, "drawbridge peers forget") {
		t.Errorf("by force: %q, %v", said, err)
	}
}
