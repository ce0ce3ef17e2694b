package browser

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to show what a test waits for, on a machine that does other things too: what is
// waited for comes or does not, and how soon is printed, not judged.
const patience = time.Minute

// tab is one page of a browser, and what it complained about.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu       sync.Mutex
	problems []string // errors on its console, exceptions, requests to other hosts
	ignored  string   // what a test expects of them
}

// program is where Chromium is.
func program(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath(os.Getenv("CHROMIUM"))
	if err != nil && os.Getenv("DRAWBRIDGE_EVERYTHING") != "" {
		t.Fatalf("no browser: %v", err)
	}
	if err != nil {
		t.Skip("needs chromium; `make browser` installs it and says where it is")
	}
	return path
}

// newTab opens a browser for pages of url. The test fails at its end if a page complained.
func newTab(t *testing.T, url string) *tab {
	t.Helper()
	litter, err := os.MkdirTemp("", "drawbridge-browser") // a browser that is killed leaves its lock file behind
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(litter) }) // its last process may still be writing
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program(t)), chromedp.Flag("hide-scrollbars", true), chromedp.Env("TMPDIR=" + litter),
	}
	if strings.HasPrefix(url, "https:") {
		options = append(options, chromedp.Flag("ignore-certificate-errors", true)) // this peer signed its own
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewContext(t.Context(), chromedp.WithAllocatorOptions(options...))
	b := &tab{t: t, ctx: ctx, url: strings.TrimSuffix(url, "/")}
	t.Cleanup(func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			t.Error(p)
		}
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.size(1280, 860)
	return b
}

// look opens a page of a node of our own. The page ends first: a node that goes away is something to complain about.
func look(t *testing.T) (*Network, *tab) {
	t.Helper()
	n := NewNetwork()
	t.Cleanup(n.Close)
	return n, newTab(t, n.URL)
}

// hear collects what no page of ours may do.
func (b *tab) hear(event any) {
	complaint := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			complaint = "console: " + text(e.Args)
		}
	case *runtime.EventExceptionThrown:
		complaint = "exception: " + text(e.ExceptionDetails)
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			complaint = "log: " + e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, b.url+"/") && !strings.HasPrefix(u, "blob:"+b.url) {
			complaint = "foreign request: " + u
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if complaint != "" && (b.ignored == "" || !strings.Contains(complaint, b.ignored)) {
		b.problems = append(b.problems, complaint)
	}
}

func text(v any) string {
	out, _ := json.Marshal(v) // it came as JSON
	return string(out)
}

// ignore expects complaints that contain words.
func (b *tab) ignore(words string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ignored = words
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// run evaluates an expression, and waits if it is a promise.
func run[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// open goes to a screen and waits until it is live.
func (b *tab) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.url+path))
	b.await("a live page", `document.querySelector(".frame")?.dataset.live === "live" && document.querySelector("h1") !== null && !document.querySelector(".loading")`)
}

// await waits until an expression is true.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0)))
	for err != nil && ctx.Err() == nil && replaced(err) {
		_, err = chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0)))
	}
	if err != nil {
		shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText.slice(0, 2000)`))
		b.t.Fatalf("no %s: %v; the page shows:\n%s", what, err, shown)
	}
}

// replaced reports whether a page went away while it was asked, because it was navigated: then the next one is asked.
func replaced(err error) bool {
	return strings.Contains(err.Error(), "Cannot find context") || strings.Contains(err.Error(), "Execution context was destroyed")
}

// awaitText waits until an element contains words.
func (b *tab) awaitText(selector, words string) {
	b.t.Helper()
	b.await(words+" in "+selector, `[...document.querySelectorAll(`+text(selector)+`)].some(e => e.textContent.includes(`+text(words)+`))`)
}

// click clicks the element of that kind whose words are these, when it can be clicked.
func (b *tab) click(selector, words string) {
	b.t.Helper()
	found := `[...document.querySelectorAll(` + text(selector) + `)].find(e => e.innerText?.trim().split("\n")[0].trim() === ` + text(words) + ` && !e.disabled)`
	b.await(words+" to click", found+` !== undefined`)
	run[bool](b, `(`+found+`).click() ?? true`)
}

// fill types into a field.
func (b *tab) fill(selector, words string) {
	b.t.Helper()
	b.await(selector, `document.querySelector(`+text(selector)+`)?.checkVisibility() === true`) // a dialog opens after it is there
	run[bool](b, `(e => { e.focus(); e.select(); return true })(document.querySelector(`+text(selector)+`))`)
	b.key(words)
}

// theme makes the system prefer light or dark, without motion.
func (b *tab) theme(name string) {
	b.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do("resize", chromedp.EmulateViewport(width, height))
}

func (b *tab) key(keys string) {
	b.t.Helper()
	b.do("press a key", chromedp.KeyEvent(keys))
}

func navigate(url string) chromedp.Action[chromedp.Void] { return chromedp.Navigate(url) }
