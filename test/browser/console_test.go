package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// axe is axe-core, of which the page knows nothing: the browser evaluates it beside the page's policy.
const axe = "../../build/npm/node_modules/axe-core/axe.min.js"

// violation is what axe found against WCAG 2.2 AA.
type violation struct {
	ID    string
	Help  string
	Nodes []struct {
		HTML           string
		Target         []any
		FailureSummary string
	}
}

// accessible asks axe about the page as it is.
func (b *tab) accessible(what string) {
	b.t.Helper()
	code, err := os.ReadFile(axe)
	if err != nil && os.Getenv("DRAWBRIDGE_EVERYTHING") != "" {
		b.t.Fatalf("accessibility cannot be checked: %v", err)
	}
	if err != nil {
		b.t.Log("accessibility was not checked: no axe-core here; `make browser` fetches it")
		return
	}
	run[bool](b, string(code)+"; true")
	found := run[[]violation](b, `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then(r => r.violations)`)
	for _, v := range found {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s: %s\n%s\n%s", what, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

func TestEveryScreenIsCleanInBothThemes(t *testing.T) {
	_, b := lookInside(t)
	for _, path := range screens {
		for _, look := range []struct {
			theme         string
			width, height int64
		}{{"light", 1280, 860}, {"dark", 1280, 860}, {"light", 360, 780}} {
			b.theme(look.theme)
			b.size(look.width, look.height)
			b.open(path)
			b.accessible(fmt.Sprintf("%s, %s, %d px", path, look.theme, look.width))
			if over := run[float64](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s at %d px is %v px too wide", path, look.width, over)
			}
			if run[bool](b, `document.getElementById("app").textContent.includes(" ·")`) {
				t.Errorf("%s has a dot that may begin a line: format.ts says how one is written", path)
			}
		}
	}
}

func TestEveryDialogIsClean(t *testing.T) {
	_, b := look(t)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		for _, path := range []string{"/peers?open=y", "/ports?open=eth1.42", "/macs?open=1-02:00:00:00:00:01", "/tokens?open=0102030405", "/tokens?new=1", "/routes?open=y"} {
			b.open(path)
			b.await("a dialog", `document.querySelector("dialog[open]") !== null`)
			b.accessible(path + ", " + theme)
		}
	}
	b.open("/ports?open=eth1.42")
	b.await("a curve", `document.querySelector(".chart canvas") !== null`)
}

func TestAMoveChangesTheHeader(t *testing.T) {
	n, b := look(t)
	b.open("/peers")
	b.awaitText(".carriers", "a carries office")
	began := time.Now()
	run[int](b, `fetch("/api/v1/status").then(r => r.json()).then(() => new Promise(done => requestAnimationFrame(() => done(1))))`)
	busy := time.Since(began) // what anything takes here and now
	began = time.Now()
	n.Carry("b", "test of the header")
	b.awaitText(".carriers", "b carries office")
	late := time.Since(began)
	t.Logf("figure: the header changed %v after the move; an answer and a frame take %v here", late.Round(time.Millisecond), busy.Round(time.Millisecond))
	if late > 10*time.Second+20*busy { // 1 s is the rule, on a machine that does nothing else
		t.Errorf("the header changed %v after the move", late)
	}
	b.click("nav a", "Home")
	b.awaitText("h1", "b carries office")
	b.awaitText(".sentence-why", "test of the header")
	b.awaitText(".badge", "standby gateway of office")
	b.awaitText(".ruler", "a → b")
}

// The way of an event from the node to the screen, as often as it takes for its tail to be seen.
func TestEventToPixel(t *testing.T) {
	n, b := look(t)
	b.open("/")
	var took []time.Duration
	for i := range 40 {
		name := []string{"b", "a"}[i%2]
		run[bool](b, `(window.shown = new Promise(done => { const wait = () => document.querySelector(".carriers").textContent.includes("`+name+` carries office") ? done(Date.now()) : requestAnimationFrame(wait); wait() }), true)`)
		began := time.Now()
		n.Carry(name, "figure")
		took = append(took, time.UnixMilli(int64(run[float64](b, `window.shown`))).Sub(began))
	}
	slices.Sort(took)
	t.Logf("figure: event to pixel: median %v, the longest of %d %v", took[len(took)/2].Round(time.Millisecond), len(took), took[len(took)-1].Round(time.Millisecond))
}

func TestAStreamThatBreaksIsShownAtOnce(t *testing.T) {
	n, b := look(t)
	b.open("/")
	icon := run[string](b, `document.getElementById("icon").href`)
	b.ignore("net::ERR_")
	n.Cut(true)
	b.awaitText(".live", "Stale since")
	b.awaitText(".alarm.stale", "Not live")
	b.awaitText(".alarm.stale", "a does not answer")
	if run[string](b, `document.getElementById("icon").href`) == icon || !strings.HasPrefix(run[string](b, `document.title`), "… ") {
		t.Error("the tab does not show that the page is stale")
	}
	b.accessible("stale")
	n.Cut(false)
	b.await("life", `document.querySelector(".frame").dataset.live === "live"`)
	b.await("no alarm", `document.querySelector(".alarm.stale") === null`)
}

// A host that vanishes closes nothing: only silence tells.
func TestSilenceIsStale(t *testing.T) {
	n, b := look(t)
	b.open("/")
	n.Freeze(true)
	defer n.Freeze(false)
	b.awaitText(".live", "Stale since")
}

func TestTwoOpenGatesAreAnAlarm(t *testing.T) {
	n, b := look(t)
	b.open("/macs")
	n.Change(func(v *webtest.Values) { v.Segments[1].Gateways[1].Gate = "open" })
	b.awaitText(".alarm.bad", "Two gates are open on office: a and b")
	b.accessible("two gates")
}

func TestTenThousandAddresses(t *testing.T) {
	const many = 10_000
	n, b := look(t)
	n.Change(func(v *webtest.Values) { v.MACs = stations(many) })
	b.open("/macs")
	b.awaitText(".table-count", "10,000 addresses")
	if rows := run[int](b, `document.querySelectorAll("tbody tr").length`); rows > 100 {
		t.Errorf("%d rows exist at once", rows)
	}
	// Scrolls to the end in 120 frames and measures each, in milliseconds.
	frames := run[[]float64](b, `new Promise(done => {
		const f = document.querySelector(".table-frame"), times = []; let last = performance.now();
		const step = () => { const now = performance.now(); times.push(now - last); last = now;
			f.scrollTop = f.scrollHeight * times.length / 120; times.length < 120 ? requestAnimationFrame(step) : done(times) };
		requestAnimationFrame(step);
	})`)
	slow := 0
	for _, ms := range frames {
		if ms > 50 {
			slow++
		}
	}
	t.Logf("figure: %d of %d frames took more than 50 ms while 10,000 addresses were scrolled through", slow, len(frames))
	b.awaitText("tbody", "52:54:00:00:27:0f") // the last one
	if rows := run[int](b, `document.querySelectorAll("tbody tr").length`); rows > 100 {
		t.Errorf("%d rows exist at once", rows)
	}
	b.fill(".table-tools input[type=search]", "00:27:0f")
	b.awaitText(".table-count", "1 of 10,000")
	if at := run[string](b, `location.search`); at != "?q=00%3A27%3A0f" {
		t.Errorf("the address of the page has %q", at)
	}
	b.open("/macs?q=00%3A27%3A0f&sort=-seen")
	b.awaitText(".table-count", "1 of 10,000")
}

func TestExportsAreWhatIsShown(t *testing.T) {
	_, b := look(t)
	b.open("/macs?at=peer")
	saved := `new Promise(done => { const was = URL.createObjectURL; URL.createObjectURL = b => { b.text().then(done); return was.call(URL, b) };
		[...document.querySelectorAll(".exports button")].find(e => e.textContent.includes("%s")).click() })`
	csv := run[string](b, fmt.Sprintf(saved, "CSV"))
	if lines := strings.Split(strings.TrimSpace(csv), "\r\n"); len(lines) != 2 || !strings.HasPrefix(lines[0], "mac,where,") || !strings.HasPrefix(lines[1], "02:00:00:00:00:03,at peer y,") {
		t.Errorf("CSV is %q", csv)
	}
	var rows []struct{ MAC string }
	if err := json.Unmarshal([]byte(run[string](b, fmt.Sprintf(saved, "JSON"))), &rows); err != nil || len(rows) != 1 || rows[0].MAC != "02:00:00:00:00:03" {
		t.Errorf("JSON has %v, %v", rows, err)
	}
}

// Names come from others. The page shows them; the policy would stop them if it did not.
func TestHostileNamesAreText(t *testing.T) {
	const evil = `<img src=x onerror=document.title='owned'>`
	n, b := look(t)
	n.Change(func(v *webtest.Values) {
		v.Peers[1].Name, v.Segments[1].Cause, v.Status.Problems[0].Summary = evil, evil, evil
		v.MACs[0].Segment = evil
	})
	for _, path := range []string{"/", "/peers", "/macs", "/segments"} {
		b.open(path)
		b.awaitText("#app", "<img src=x")
		if strings.Contains(run[string](b, `document.title`), "owned") || run[int](b, `document.querySelectorAll("img").length`) > 0 {
			t.Errorf("%s runs what a name says", path)
		}
	}
}

func TestKeyboardAlone(t *testing.T) {
	_, b := look(t)
	b.open("/peers")
	b.key("\t")
	if got := run[string](b, `document.activeElement.textContent`); got != "Skip to content" {
		t.Errorf("the first stop is %q", got)
	}
	b.key("\r")
	if got := run[string](b, `document.activeElement.id`); got != "title" {
		t.Errorf("the skip leads to %q", got)
	}
	for range 40 {
		b.key("\t")
		if run[bool](b, `document.activeElement.matches(".row-name")`) {
			break
		}
	}
	b.key("\r")
	b.await("a dialog", `document.querySelector("dialog[open]") !== null && document.querySelector("dialog").contains(document.activeElement)`)
	b.key("\x1b")
	b.await("no dialog", `document.querySelector("dialog") === null && !location.search.includes("open")`)
	if !run[bool](b, `document.activeElement.matches(".row-name")`) {
		t.Error("the focus is not where it was before the dialog")
	}
}
