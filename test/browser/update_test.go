package browser

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func TestARollOutIsResumedEndedAndStarted(t *testing.T) {
	n, b := look(t)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.open("/update")
		b.awaitText("main", "b: vlan: listening")
		b.accessible("a paused roll-out, " + theme)
	}
	b.click("button", "Resume…")
	b.accessible("the question before it goes on")
	b.click("dialog footer button.danger", "Resume")
	n.awaitAsked(b, "resume by alice")
	b.click("button", "End it…")
	b.click("dialog footer button.danger", "End it")
	b.await("the answer", `!document.querySelector("dialog")`) // the toast of before may still be there
	n.awaitAsked(b, "abort by alice")
	n.Change(func(v *webtest.Values) { v.Rollouts = nil })
	b.awaitText("main", "Install the new package on every peer first")
	b.click("button", "Start a roll-out…")
	b.accessible("what a roll-out asks for")
	b.click("dialog footer button.primary", "Start")
	n.awaitAsked(b, `rollout [a b] all=false older=false from "restart" by alice`)
}

func TestABundleIsRolledOut(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) { v.Rollouts = nil })
	b.open("/update")
	b.click("button", "Start a roll-out…")
	b.click("dialog label", "A bundle for appliances: a file on this computer")
	b.choose("dialog input[type=file]", aFile(t, "something else"))
	b.awaitText("dialog", "This is no update bundle")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.primary").disabled`)
	b.choose("dialog input[type=file]", aBundle(t, webtest.Now.Add(time.Hour)))
	b.awaitText("dialog", "1.3.0")
	b.accessible("a roll-out of a bundle")
	n.Change(func(v *webtest.Values) { v.Failure = errors.Join(web.ErrConflict, errors.New("roll-out 1 is paused")) })
	b.ignore("409")
	b.click("dialog footer button.primary", "Start")
	b.awaitText("main .notice", "drawbridge-virt.bundle was not rolled out: not possible in this state")
	b.click("main .notice button", "Dismiss")
	n.Change(func(v *webtest.Values) { v.Failure = nil })

	b.click("button", "Start a roll-out…")
	b.click("dialog label", "A bundle for appliances: an address, from which each fetches it")
	b.fill("dialog input[type=url]", "https://example.net/x.bundle")
	b.click("dialog label", "Also a release that is not newer than what a peer runs")
	b.click("dialog label", "A bundle for appliances: a file on this computer")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.primary").disabled`)
	b.choose("dialog input[type=file]", aBundle(t, webtest.Now.Add(time.Hour)))
	b.click("dialog footer button.primary", "Start")
	n.awaitAsked(b, "IMAGES\" of ")
	if asked := strings.Join(n.Asked(), "\n"); !strings.Contains(asked, `rollout [a b] all=false older=true want="" from "DRAWBRIDGE-BUNDLE-1`) || !strings.HasSuffix(asked, "by alice") {
		t.Errorf("asked for %q", asked)
	}
	n.Change(func(v *webtest.Values) {
		r := webtest.Rolled
		r.Source, r.Older, r.Bundle = web.SourceUpload, true, &web.RolloutBundle{Version: "1.3.0", Release: webtest.Now, Size: 59_800_000}
		v.Rollouts = []web.Rollout{r}
	})
	b.awaitText("main", "bundle 1.3.0 of ")
	b.awaitText("main", "59.8\u202fMB, also where that is not newer than what runs")
}

func TestASilentCoordinatorIsTold(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.awaitText("main", "w, told 3\u202fs ago")
	n.Change(func(v *webtest.Values) {
		r := webtest.Rolled
		r.Silent, r.AgeS, r.State, r.Reason, r.LeftOut, r.Remedy = true, 34, "running", "", 12, "start w again"
		v.Rollouts = []web.Rollout{r}
	})
	b.awaitText("main", "w is silent")
	b.awaitText("main", "has told nothing for 34\u202fs")
	b.awaitText("main", "0 of 14 peers updated")
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.accessible("a roll-out whose coordinator is silent, " + theme)
	}
}

func TestWhoDoesNotCoordinateSaysWhoDoes(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) { v.Rollouts, v.Status.Roles = []web.Rollout{}, []string{"gateway"} })
	b.open("/update")
	b.awaitText("main", "Open the console of")
	b.await("a button that does nothing", `[...document.querySelectorAll("button")].some(e => e.textContent.includes("Start a roll-out") && e.disabled)`)
}

func TestABackupIsDownloaded(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("button", "Download a backup…")
	b.accessible("the passphrase of a backup")
	for _, field := range []string{"dialog label:nth-of-type(1) input", "dialog label:nth-of-type(2) input"} {
		b.fill(field, "correct horse battery")
	}
	b.click("dialog footer button.primary", "Make and download it")
	n.awaitAsked(b, "backup with correct horse battery")
	b.awaitText(".toast.ok", "drawbridge-a-20260304T120000Z.age")
}
