package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// asProgram has this test binary be drawbridge: the package's build script calls it.
const asProgram = "DRAWBRIDGE_TEST_AS_PROGRAM"

// everyCommand is the path of each that people may see.
func everyCommand() (all []string) {
	root := newTool(nil, nil, nil).root()
	root.InitDefaultCompletionCmd()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		all = append(all, c.CommandPath())
		for _, sub := range c.Commands() {
			if told(sub) {
				walk(sub)
			}
		}
	}
	walk(root)
	return all
}

func TestEveryCommandHasAPage(t *testing.T) {
	pages := manual(newTool(nil, nil, nil).root(), time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC))
	all := everyCommand()
	if len(pages) != len(all) || len(all) < 40 {
		t.Errorf("%d pages for %d commands", len(pages), len(all))
	}
	for _, path := range all {
		text := pages[strings.ReplaceAll(path, " ", "-")+".1"]
		for _, want := range []string{".TH \"DRAWBRIDGE", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH SEE ALSO\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %q", path, want, text)
			}
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, ".") && !strings.Contains(" .TH .SH .B .I .br .TP .PP .EX .EE ", " "+strings.Fields(line)[0]+" ") {
				t.Errorf("%s: %q is no request", path, line)
			}
		}
	}
	golden(t, "drawbridge-ports-clear.1", strings.ReplaceAll(pages["drawbridge-ports-clear.1"], version, "VERSION"))
	if strings.Contains(pages["drawbridge.1"], "lease-agent") {
		t.Error("a hidden command is shown")
	}
}

func TestRoffIsEscaped(t *testing.T) {
	r := &roff{}
	r.text(".a\n'b\nc-d \\e `f`")
	if got, want := r.String(), "\\&.a\n\\&'b\nc\\-d \\ee f\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPagesAreReadable(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed here, which would read the pages")
	}
	for name, text := range manual(newTool(nil, nil, nil).root(), time.Unix(0, 0)) {
		cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-ww", "-z")
		cmd.Stdin = strings.NewReader(text)
		if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("%s: %v %s", name, err, said)
		}
	}
}

// The package has a page for each command, completions for three shells, and the dissector.
func TestPackage(t *testing.T) {
	for _, need := range []string{"dpkg-deb", "bash", "gzip"} {
		if _, err := exec.LookPath(need); err != nil {
			t.Skip(need + " is not installed here, which builds the package")
		}
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "drawbridge")
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asProgram, self)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "../../systemd/debian/build", program, "1.2.3", dir)
	build.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1763683200", "DEB_ARCH=amd64")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	list, err := exec.CommandContext(t.Context(), "dpkg-deb", "-c", filepath.Join(dir, "drawbridge_1.2.3_amd64.deb")).Output()
	if err != nil {
		t.Fatal(err)
	}
	wants := []string{
		"/usr/share/bash-completion/completions/drawbridge", "/usr/share/zsh/vendor-completions/_drawbridge", "/usr/share/fish/vendor_completions.d/drawbridge.fish",
		"/usr/share/man/man5/drawbridge.toml.5.gz", "/usr/share/drawbridge/wireshark/drawbridge.lua",
	}
	for _, path := range everyCommand() {
		wants = append(wants, "/usr/share/man/man1/"+strings.ReplaceAll(path, " ", "-")+".1.gz")
	}
	for _, want := range wants {
		if !strings.Contains(string(list), want+"\n") {
			t.Errorf("the package has no %s", want)
		}
	}
	pages := strings.Count(string(list), "/usr/share/man/man1/drawbridge")
	if pages != len(everyCommand()) {
		t.Errorf("%d pages for %d commands", pages, len(everyCommand()))
	}
}
