package screen

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	fresh = Home{Version: "1.0", Addresses: []string{"192.0.2.7"}}
	paged = Home{Version: "1.0", Addresses: []string{"192.0.2.7"}, Page: &Page{Code: "clover jelly rose", Fingerprint: "AA:BB", Addresses: []string{"https://192.0.2.7:8630/"}}}
	inUse = Home{Version: "1.0", Standing: SetUp, Problems: []string{"the update in slot b\nnever became healthy"}, Addresses: []string{"192.0.2.7", "2001:db8::7"}, Peer: &Peer{
		Name: "a", Roles: "gateway, voter", Network: "home", Segments: []Segment{{"guests", ""}, {"office", "b"}}, Problems: []string{"no carrier on ens5"},
		Consoles: []string{"https://192.0.2.7:8630/"}, Fingerprint: "AA:BB", Code: "1234-5678",
	}}
	broken = Home{Version: "1.0", Standing: Broken, Problems: []string{"the state partition cannot be used"}}
	some   = []disks.Disk{
		{Name: "nvme0n1", Size: 1_000_204_886_016, Model: "Samsung SSD 980", Holds: "3 partitions: EFI, Microsoft reserved, Windows"},
		{Name: "sda", Size: 32_000_000_000, Model: "USB Stick", Holds: "a Drawbridge appliance", Refused: "is the disk that this appliance runs from: choose another one"},
		{Name: "vdb", Size: 512 << 20, Holds: "nothing"},
	}
)

// transcript is a conversation, with what is to be seen after each step.
type transcript struct {
	Screen
	h   Home
	out strings.Builder
}

func (c *transcript) note(what string) {
	c.out.WriteString("==== " + what + "\n" + c.Text(c.h) + "\n")
}

func (c *transcript) types(text string) Order {
	o := c.Line(text, c.h)
	c.note("typed: " + text)
	return o
}

func (c *transcript) golden(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(c.out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != c.out.String() {
		t.Errorf("%s is otherwise (%v); now:\n%s", path, err, c.out.String())
	}
}

func TestHomes(t *testing.T) {
	c := &transcript{h: fresh}
	c.note("fresh")
	c.h = paged
	c.note("fresh, with its page for browsers")
	c.h = inUse
	c.note("set up")
	c.h = broken
	c.note("broken")
	c.h = Home{Version: "1.0", Standing: SetUp}
	c.note("starting")
	c.golden(t, "homes")
}

func TestInstall(t *testing.T) {
	c := &transcript{h: fresh}
	if o := c.types("install"); o.Do != Look {
		t.Errorf("%+v", o)
	}
	c.Disks(some, nil)
	c.note("disks are known")
	c.types("sda")
	c.types("sdz")
	c.types("/dev/nvme0n1")
	if o := c.types("nvme0n1"); o.Do != Install || o.Words[0] != "nvme0n1" {
		t.Errorf("%+v", o)
	}
	c.Progress("copy", 100<<20, 400<<20)
	c.note("a quarter is written")
	c.types("reboot")
	c.Ended(nil)
	c.note("ended")
	c.types("")
	c.golden(t, "install")
}

func TestInstallGoesWrong(t *testing.T) {
	c := &transcript{h: inUse}
	c.Line("install", c.h)
	c.Disks(nil, errors.New("the update service is not reached"))
	c.note("no list")
	c.types("")
	c.Line("install", c.h)
	c.Disks(some[1:2], nil)
	c.note("no disk")
	c.types("")
	c.Line("install", c.h)
	c.Disks(some, nil)
	c.Line("vdb", c.h)
	c.types("yes")
	for _, word := range []string{"install", "vdb", "vdb"} {
		if o := c.Line(word, c.h); o.Do == Look {
			c.Disks(some, nil)
		}
	}
	c.Progress("copy", 4<<20, 400<<20)
	c.Ended(errors.New("install on /dev/vdb: input/output error"))
	c.note("the disk is bad")
	for _, word := range []string{"install", "vdb", "vdb"} {
		if o := c.Line(word, c.h); o.Do == Look {
			c.Disks(some, nil)
		}
	}
	c.Ended(errors.New("vdb is in use"))
	c.note("somebody took it meanwhile")
	c.golden(t, "install-wrong")
}

// TestNothingIsErasedByChance: of all lines, only the name of the disk that was chosen, typed twice, writes to it.
func TestNothingIsErasedByChance(t *testing.T) {
	words := []string{"", "install", "vdb", "nvme0n1", "sda", "yes", "reboot", "reset everything"}
	var walk func(s Screen, typed []string)
	walk = func(s Screen, typed []string) {
		if len(typed) == 5 {
			return
		}
		for _, w := range words {
			next, now := s, append(typed[:len(typed):len(typed)], w)
			o := next.Line(w, fresh)
			if o.Do == Look {
				next.Disks(some, nil)
			}
			if n := len(now); o.Do == Install && (o.Words[0] != w || now[n-2] != w || w == "sda") {
				t.Fatalf("%q erases %s", now, o.Words[0])
			}
			walk(next, now)
		}
	}
	walk(Screen{}, nil)
}

func TestOrders(t *testing.T) {
	for _, c := range []struct {
		line string
		h    Home
		want Do
	}{
		{"reboot", fresh, Reboot},
		{"reboot", broken, Reboot},
		{"reset everything", broken, Reset},
		{"reset everything", inUse, Reset},
		{"reset everything", fresh, Nothing},
		{"reset", inUse, Nothing},
		{"drill office", inUse, Drill},
		{"drill office", fresh, Nothing},
		{"found home a", fresh, Found},
		{"found home", inUse, Nothing},
		{"join dbt1x", fresh, Join},
		{"join dbt1x b", broken, Nothing},
		{"install", broken, Nothing},
		{"", fresh, Nothing},
	} {
		var s Screen
		if o := s.Line(c.line, c.h); o.Do != c.want {
			t.Errorf("%q in %d: %+v", c.line, c.h.Standing, o)
		}
	}
	s := &Screen{}
	s.Line("join dbt1x", fresh)
	if o := s.Line("found home", fresh); o.Do != Nothing {
		t.Error("founded while it joins")
	}
	s.Say("nobody answers")
	if o := s.Line("found home", fresh); o.Do != Found {
		t.Errorf("%+v", o)
	}
}

// FuzzLine: whatever is typed, the screen says something and no line of it goes out to the terminal as control characters.
func FuzzLine(f *testing.F) {
	f.Add("install\nvdb\nvdb\n")
	f.Add("\x1b[2J\nreboot")
	f.Fuzz(func(t *testing.T, text string) {
		var s Screen
		for line := range strings.Lines(text) {
			if s.Line(line, fresh).Do == Look {
				s.Disks(some, nil)
			}
			if shown := s.Text(fresh); strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
				t.Fatalf("%q shows %q", text, shown)
			}
		}
	})
}
