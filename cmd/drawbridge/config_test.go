package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// editor is a script that stands for $EDITOR.
func editor(t *testing.T, script string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "editor")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", path)
	t.Setenv("TMPDIR", t.TempDir())
}

func TestTheEditorOpensAgainUntilItIsValid(t *testing.T) {
	editor(t, `if grep -q '^#! .*overlay.1..vni: 0 is not allowed' "$1"; then sed -i 's/vni = 0/vni = 7/' "$1"; else printf '[[overlay]]\nname = "lan"\nvni = 0\n' >> "$1"; fi`)
	var out bytes.Buffer
	text, err := newTool(nil, &out, &out).edited(t.Context(), "format = 1\n")
	if err != nil || text != "format = 1\n[[overlay]]\nname = \"lan\"\nvni = 7\n" {
		t.Errorf("%q, %v; %s", text, err, &out)
	}
}

func TestGivingUpKeepsWhatWasWritten(t *testing.T) {
	editor(t, `grep -q '^#!' "$1" || echo 'colour = 1' >> "$1"`)
	var out bytes.Buffer
	text, err := newTool(nil, &out, &out).edited(t.Context(), "format = 1\n")
	if err == nil || text != "" {
		t.Fatalf("%q was accepted", text)
	}
	_, path, _ := strings.Cut(err.Error(), "what you wrote is in ")
	if kept, readErr := os.ReadFile(path); readErr != nil || string(kept) != "format = 1\ncolour = 1\n" {
		t.Errorf("%v: %q, %v", err, kept, readErr)
	}
}

func TestAnEditorThatChangesNothing(t *testing.T) {
	editor(t, "exit 0")
	var out bytes.Buffer
	if text, err := newTool(nil, &out, &out).edited(t.Context(), "format = 1\n"); text != "" || err != nil || !strings.Contains(out.String(), "nothing was changed") {
		t.Errorf("%q, %v, %s", text, err, &out)
	}
	editor(t, "exit 3")
	if _, err := newTool(nil, &out, &out).edited(t.Context(), "format = 1\n"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("an editor that fails: %v", err)
	}
}

func TestChangesMayHaveToBeConfirmed(t *testing.T) {
	n := webtest.New()
	socket := daemon(t, n)
	file := filepath.Join(t.TempDir(), "home.toml")
	if err := os.WriteFile(file, []byte("format = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	editor(t, `echo '[timers]' >> "$1"`)
	for _, line := range []string{"apply " + file, "import " + file, "rollback 2", "edit"} {
		r := call(t, nil, append(strings.Fields("config "+line), "--confirm", "90s", "--socket", socket)...)
		if asked := n.Asked(); r.code != exitDone || !strings.Contains(asked[len(asked)-1], "within 1m30s") {
			t.Errorf("%s: code %d, %s; asked for %s", line, r.code, r.err, asked)
		}
	}
}

func TestWhoIsMissingIsNamed(t *testing.T) {
	a := web.ConfigApplied{Version: 4, Peers: []web.AppliedPeer{
		{Peer: "b", State: web.AppliedRefused, Version: 3, Reason: "overlay[1].mtu: \x1b[2Jno"}, {Peer: "z", State: web.AppliedSilent}, {Peer: "off", State: web.AppliedAway}, {Peer: "a", State: web.AppliedYes, Version: 4},
	}}
	if names := strings.Join(missing(a), " "); names != "b z" {
		t.Errorf("missing: %s", names)
	}
	var out bytes.Buffer
	if err := newTool(nil, &out, &out).writeApplied(a); err != nil || strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "overlay[1].mtu") {
		t.Errorf("%v: %q", err, &out)
	}
}
