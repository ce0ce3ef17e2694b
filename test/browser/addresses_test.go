package browser

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/drawbridge-net/drawbridge/web"
)

// Subnets implements web.Addresser.
func (n *Network) Subnets(ctx context.Context) ([]web.Subnet, error) {
	if n.bare.Load() {
		return nil, nil
	}
	return n.values.Subnets(ctx)
}

func TestAnAddressIsGivenKeptAndFreed(t *testing.T) {
	n, b := look(t)
	b.open("/addresses")
	b.awaitText(".owners tbody", "10.43.0.128/25")
	b.awaitText(".facts", "2\u202fh at the present rate")
	b.click("button", "Give an address…")
	b.accessible("giving an address")
	b.fill("dialog input[maxlength]", "printer")
	b.click("dialog footer button", "Give")
	n.awaitAsked(b, `allocate "" of "10.43.0.0/24" for "printer", 0 s`)
	b.open("/addresses")
	b.click("button", "Reserve…")
	b.fill("dialog label:nth-of-type(1) input", "10.43.0.200")
	b.fill("dialog label:nth-of-type(2) input", "the old router")
	b.click("dialog footer button", "Reserve")
	n.awaitAsked(b, `allocate "10.43.0.200" of "" for "reserved 10.43.0.200: the old router", 0 s`)
	b.open("/addresses")
	b.click("tbody button", "10.43.0.17")
	b.awaitText("dialog .story", "it is allocated by a to")
	b.accessible("one address")
	b.click("dialog button", "Release…")
	b.awaitText("dialog h2", "Release 10.43.0.17?")
	b.click("dialog footer button.danger", "Release")
	n.awaitAsked(b, "release 10.43.0.17")
}

func TestAFileOfAddressesIsImportedOrRefused(t *testing.T) {
	n, b := look(t)
	bad, good := filepath.Join(t.TempDir(), "bad.csv"), filepath.Join(t.TempDir(), "addresses.csv")
	for file, text := range map[string]string{bad: "nothing", good: "owner,address\r\nprinter,10.43.0.17\r\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.open("/addresses")
	b.click("button", "Import…")
	b.accessible("an import")
	b.ignore("422")
	b.choose("dialog input[type=file]", bad)
	b.awaitText("dialog", "Nothing was imported")
	b.awaitText("dialog .preview", "there is no address")
	b.choose("dialog input[type=file]", good)
	b.awaitText("dialog .preview", "printer")
	n.mustBeAsked(t, `import "owner,address\r\nprinter,10.43.0.17\r\n", dry true`)
	b.click("dialog footer button", "Give 1 address")
	b.await("toast", `document.querySelector(".toast.ok") !== null`)
	n.mustBeAsked(t, `import "owner,address\r\nprinter,10.43.0.17\r\n", dry false`)
}

func TestWithoutSubnetsThePageSaysWhatToDo(t *testing.T) {
	n, b := look(t)
	n.bare.Store(true)
	b.open("/addresses")
	b.awaitText(".empty", "No subnet is configured")
	b.awaitText(".empty", "drawbridge config edit")
	b.accessible("no subnet")
}

// choose gives a file to a field.
func (b *tab) choose(selector, file string) {
	b.t.Helper()
	b.await(selector, `document.querySelector(`+text(selector)+`)?.checkVisibility() === true`)
	b.do("choose a file", chromedp.SetUploadFiles(selector, []string{file}))
}
