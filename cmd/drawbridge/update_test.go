package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func TestSlotsInWords(t *testing.T) {
	made := time.Date(2026, 11, 21, 13, 43, 14, 0, time.UTC)
	u := web.Update{Running: "a", Next: "b"}
	for want, one := range map[string]web.UpdateSlot{
		"empty": {Name: "b", Standing: slot.Empty},
		"release 2026-11-21T13:43:14Z, running, good":         {Name: "a", Release: &made, Standing: slot.Good},
		"release 2026-11-21T13:43:14Z, starts next, on trial": {Name: "b", Release: &made, Standing: slot.Trial},
	} {
		if got := strings.Join(slotWords(&u, &one), ", "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestSlotsAreWatched: once for each state of the machine, however often that is looked at.
func TestSlotsAreWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := slot.Machine{Store: slot.Store{Path: filepath.Join(t.TempDir(), "env")}, Running: slot.A}
		if err := os.WriteFile(m.Store.Path, slot.New(100).Env(), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		to := newTool(nil, &out, nil)
		to.now, to.watch = func() time.Time { return webtest.Now }, true
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- to.readSlots(ctx, m) }()
		time.Sleep(3*slotsEvery + slotsEvery/2)
		if err := m.Store.Change(func(s slot.State) (slot.State, error) { return s.Try(slot.A, 200), nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * slotsEvery)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		const want = "-- 12:00:00\na  release 1970-01-01T00:01:40Z, running, starts next, good\nb  empty\n" +
			"-- 12:00:00\na  release 1970-01-01T00:01:40Z, running, good\nb  release 1970-01-01T00:03:20Z, starts next, on trial\n"
		if out.String() != want {
			t.Errorf("%s", &out)
		}
	})
}

// TestUpdateThroughTheDaemon: a file is sent, an address is passed on, and each says whose.
func TestUpdateThroughTheDaemon(t *testing.T) {
	n := webtest.New()
	socket, file := daemon(t, n), filepath.Join(t.TempDir(), "new.bundle")
	if err := os.WriteFile(file, []byte("a bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		file + " --node b --older":                        `upload "a bundle" of 8 bytes for "b" older=true restart=false`,
		"https://example.net/x.bundle --node b --restart": `fetch https://example.net/x.bundle for "b" older=false restart=true`,
		file + ".none --node b":                           "",
	} {
		before := len(n.Asked())
		r := call(t, nil, append([]string{"update", "--socket", socket}, strings.Fields(line)...)...)
		asked := strings.Join(n.Asked()[before:], "; ")
		if !strings.Contains(asked, want) || want == "" && (asked != "" || r.code != exitFailed || !strings.Contains(r.err, "no such file")) {
			t.Errorf("%s: code %d, asked for %q; %s", line, r.code, asked, r.err)
		}
	}
}
