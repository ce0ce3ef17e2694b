package browser

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var screensTo = flag.String("screens", "", "folder to put pictures of all screens into")

// screens are all that the console has.
var screens = []string{"/", "/segments", "/timeline", "/alerts", "/peers", "/macs", "/addresses", "/ports", "/routes", "/config", "/config/versions", "/config/changes", "/config/applied", "/update", "/users", "/account", "/sessions", "/access-tokens", "/certificate", "/audit", "/capture", "/tokens", "/about"}

func nameOf(path string) string {
	if path == "/" {
		return "home"
	}
	return strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(strings.TrimPrefix(path, "/"))
}

// aConsole is the one that the environment names, or of a node of our own.
func aConsole(t *testing.T) *tab {
	t.Helper()
	if url := os.Getenv("DRAWBRIDGE_CONSOLE"); url != "" {
		return newTab(t, url)
	}
	_, b := lookInside(t)
	return b
}

// settled is true when the page has kept its height for half a second.
const settled = `new Promise(done => { let last = 0, same = 0;
	const look = () => { const h = document.documentElement.scrollHeight; same = h === last ? same + 1 : 0; last = h; same < 5 ? setTimeout(look, 100) : done(true) };
	look() })`

// allOfTheMenu is a window in which the menu beside a screen is whole; in a lower one it scrolls.
const allOfTheMenu = 1180

// TestScreenshots takes the pictures of the documentation (`make screens`).
func TestScreenshots(t *testing.T) {
	if *screensTo == "" {
		t.Log("no -screens: no pictures")
		return
	}
	if err := os.MkdirAll(*screensTo, 0o755); err != nil {
		t.Fatal(err)
	}
	b := aConsole(t)
	b.ignore("/api/v1/certificate") // a lab's consoles have none
	only := os.Getenv("SCREENS")
	for _, look := range []struct {
		name, theme string
		w, h        int64
	}{{"light", "light", 1280, allOfTheMenu}, {"dark", "dark", 1280, allOfTheMenu}, {"phone", "light", 360, 780}} {
		b.theme(look.theme)
		b.size(look.w, look.h)
		for _, s := range screens {
			if only != "" && !strings.Contains(only, nameOf(s)) {
				continue
			}
			b.open(s)
			if s == "/ports" && os.Getenv("DRAWBRIDGE_CONSOLE") != "" {
				b.awaitText("main", "Loop microscope") // test/browser/scene sees to it
			}
			run[bool](b, settled) // what a stream brings a moment later would be cut off at the bottom
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(*screensTo, nameOf(s)+"-"+look.name+".png"), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
