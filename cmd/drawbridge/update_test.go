package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
