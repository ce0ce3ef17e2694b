package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// TestWhatARollOutTakes: a file is sent, an address and what is on the disks are only told, and each is shown as what it is.
func TestWhatARollOutTakes(t *testing.T) {
	n := webtest.New()
	socket, file := daemon(t, n), filepath.Join(t.TempDir(), "new.bundle")
	if err := os.WriteFile(file, []byte("a bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]struct{ asked, shown string }{
		"a b --version 1.3.0 --from " + file:      {`rollout [a b] all=false older=false want="1.3.0" from "a bundle" of 8 bytes by`, "software: bundle 1.3.0, release 2026-03-04T12:00:00Z, 0.0 MB\n"},
		"--all --older --from " + file:            {`rollout [] all=true older=true want="" from "a bundle" of 8 bytes by`, "software: bundle 1.3.0"},
		"a b --from https://example.net/x.bundle": {`rollout [a b] all=false older=false from "https://example.net/x.bundle" by`, ""},
		"":                         {`rollout [] all=false older=false from "restart" by`, "software: what is on the disks\n"},
		"--from " + file + ".none": {"", ""},
	} {
		before := len(n.Asked())
		r := call(t, nil, append([]string{"rollout", "start", "--socket", socket}, strings.Fields(line)...)...)
		asked := strings.Join(n.Asked()[before:], "; ")
		if !strings.Contains(asked, want.asked) || !strings.Contains(r.out, want.shown) || (want.asked == "") != (r.code == exitFailed) || strings.Contains(r.out, file) {
			t.Errorf("%s: code %d, asked for %q; %s%s", line, r.code, asked, r.out, r.err)
		}
	}
}
