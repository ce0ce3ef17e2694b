package browser

import (
	"testing"

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
	n.awaitAsked(b, `rollout [a b] all=false from "restart" by alice`)
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
