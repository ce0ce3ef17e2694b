package browser

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/access"
	"github.com/drawbridge-net/drawbridge/web/setuppage"
)

// nobody is an appliance that has not been set up, and notes what is done to it.
type nobody struct {
	mu   sync.Mutex // guards what follows
	done []string
}

func (n *nobody) note(what string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done = append(n.done, what)
	return nil
}

func (n *nobody) Blocked() string { return "" }

func (n *nobody) Open(_ context.Context, f *os.File, passphrase string) (setuppage.Summary, error) {
	if _, err := io.ReadAll(f); err != nil || passphrase != "correct horse battery staple" {
		return setuppage.Summary{}, backup.ErrPassphrase
	}
	return setuppage.Summary{Peer: "gw-a", Network: "home", Software: "1.3.0", Created: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), Files: 9}, nil
}

func (n *nobody) Restore(found bool) error {
	return n.note(map[bool]string{true: "restore found", false: "restore"}[found])
}

func (n *nobody) Found(_ context.Context, network, name string) error {
	return n.note("found " + network + " " + name)
}

func (n *nobody) Join(_ context.Context, token, name string) error {
	return n.note("join " + token + " " + name)
}

func (n *nobody) Disks(context.Context) ([]web.Disk, error) {
	return []web.Disk{
		{Name: "sda", Size: 8e9, Model: "USB Stick", Holds: "a Drawbridge appliance", Refused: "is the disk that this appliance runs from: choose another one"},
		{Name: "nvme0n1", Size: 256e9, Model: "SSD 870", Holds: "2 partitions"},
	}, nil
}

func (n *nobody) Install(_ context.Context, disk string, progress func(done, total int64)) error {
	progress(300<<20, 300<<20)
	return n.note("install " + disk)
}

func (n *nobody) Reboot() error { return n.note("reboot") }

// atTheMachine opens the page of such a machine, and types the code that its screen shows.
func atTheMachine(t *testing.T) (*nobody, *tab) {
	t.Helper()
	n, code := &nobody{}, access.NewOneTimeCode(nil)
	s := httptest.NewServer(setuppage.New(n, code, time.Now, slog.New(slog.DiscardHandler)))
	t.Cleanup(s.Close)
	b := newTab(t, s.URL)
	b.do("open", navigate(b.url+"/"))
	b.accessible("before the code")
	b.ignore("401") // a browser tells of every refusal
	b.fill("#enter input", "no such code")
	b.click("#enter button", "Go on")
	b.awaitText("#enter .wrong", "the newest one is on the screen")
	b.fill("#enter input", strings.ToUpper(code.Current(time.Now())))
	b.click("#enter button", "Go on")
	b.awaitText("#ways", "Restore a backup")
	b.ignore("422")
	return n, b
}

func (n *nobody) did(t *testing.T, want string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if got := strings.Join(n.done, ", "); got != want {
		t.Errorf("done: %s, want %s", got, want)
	}
}

func TestABackupIsRestoredOnTheSetUpPage(t *testing.T) {
	n, b := atTheMachine(t)
	b.click("#way-restore summary", "Restore a backup")
	b.choose("#open input[type=file]", aFile(t, "the backup"))
	b.fill("#open input[type=password]", "wrong")
	b.click("#open button", "Read it")
	b.awaitText("#open .wrong", "the passphrase is wrong")
	b.fill("#open input[type=password]", "correct horse battery staple")
	b.click("#open button", "Read it")
	b.awaitText("#restore", "1.3.0")
	b.awaitText("#restore", "must never start again")
	b.accessible("what a backup is of")
	b.fill("#restore input[name=peer]", "gw-b")
	b.click("#restore button", "Restore")
	b.awaitText("#restore .wrong", "Nothing was restored")
	b.fill("#restore input[name=peer]", "gw-a")
	b.click("#restore label", "All voters of this network are lost: this peer founds their group anew, and decides alone from then on")
	b.click("#restore button", "Restore")
	b.awaitText("#end", "This machine is gw-a now")
	b.accessible("the end")
	n.did(t, "restore found")
}

func TestADiskIsWrittenOnTheSetUpPage(t *testing.T) {
	n, b := atTheMachine(t)
	b.click("#way-install summary", "Install on a disk")
	b.awaitText("#install", "is the disk that this appliance runs from")
	b.click("#install label", "nvme0n1\u00a0· 256.0 GB\u00a0· SSD 870")
	b.awaitText("#install .chosen", "Everything on nvme0n1 is erased")
	b.size(360, 780)
	b.accessible("a disk is chosen")
	b.fill("#install input[name=confirm]", "nvme0n1")
	b.click("#install button", "Erase it and write this system")
	b.awaitText("#reboot", "nvme0n1 is written")
	b.click("#reboot button", "Restart the machine")
	b.awaitText("#end", "The machine starts again")
	n.did(t, "install nvme0n1, reboot")
}

func TestANetworkIsFoundedOnTheSetUpPage(t *testing.T) {
	n, b := atTheMachine(t)
	b.click("#ways summary", "Found a network")
	b.fill("#found input[name=network]", "home")
	b.fill("#found input[name=name]", "gw-a")
	b.click("#found button", "Found it")
	b.awaitText("#end", "This machine is gw-a, the first peer of home")
	n.did(t, "found home gw-a")
}

func TestTheSystemIsWrittenToADiskFromTheConsole(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("button", "Install on a disk…")
	b.awaitText("dialog", "is the disk that this appliance runs from")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.primary").disabled`)
	run[bool](b, `document.querySelector("dialog input[type=radio]:enabled").click() ?? true`)
	b.awaitText("dialog", "Everything on sdb is erased")
	b.accessible("a disk is chosen")
	b.fill("dialog input:not([type=radio])", "sdb")
	b.click("dialog footer button.primary", "Erase sdb and write it")
	b.await("the request", `!document.querySelector("dialog[open]")`)
	if asked := strings.Join(n.Asked(), "\n"); !strings.Contains(asked, "install on sdb, confirmed by sdb, by alice") {
		t.Errorf("asked for %q", asked)
	}
}
