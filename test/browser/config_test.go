package browser

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

// write puts text into the editor, as pasting does.
func (b *tab) write(words string) {
	b.t.Helper()
	b.await("the editor", `document.querySelector(".editor textarea") !== null`)
	run[bool](b, `(e => { e.focus(); e.value = `+text(words)+`; return e.dispatchEvent(new Event("input", { bubbles: true })) })(document.querySelector(".editor textarea"))`)
}

func (n *Network) newestConfig(t *testing.T) web.ConfigVersion {
	t.Helper()
	v, err := n.ConfigVersion(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const fast = "[timers]\nprofile = \"fast\"\n"

// apply puts the fast profile in force, waiting for a confirmation.
func (b *tab) apply() {
	b.t.Helper()
	b.open("/config")
	b.write(fast)
	b.click("button", "Apply…")
	b.awaitText("dialog h2", "Apply the configuration")
	b.accessible("the question before a change")
	b.fill("dialog input[autocomplete=off]", "try the fast profile")
	b.click("dialog footer button", "Apply to all peers")
	b.awaitText(".alarm.pending", "Version 4 of the configuration waits to be confirmed")
}

func TestProblemsOfAConfigurationAreToldByLine(t *testing.T) {
	n, b := look(t)
	b.open("/config")
	b.write("[timers]\nprofile = \"slow\"\nnonsense = 1\n")
	b.click("button", "Check and compare")
	b.awaitText(".found", "Line 2")
	b.awaitText(".found", "timers.profile")
	b.awaitText(".found", "Line 3")
	if got := run[int](b, `document.querySelectorAll(".editor-numbers .bad").length`); got != 2 {
		t.Errorf("%d lines are marked, want 2", got)
	}
	b.accessible("problems")
	b.click(".found button", "Line 3:1")
	if got := run[string](b, `(e => e.value.slice(e.selectionStart, e.selectionEnd))(document.activeElement)`); got != "nonsense = 1" {
		t.Errorf("the problem leads to %q", got)
	}
	if v := n.newestConfig(t); v.Version != 3 {
		t.Errorf("a check made version %d", v.Version)
	}
}

func TestAChangeIsComparedBeforeItIsApplied(t *testing.T) {
	_, b := look(t)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.open("/config")
		b.write(fast)
		b.click("button", "Check and compare")
		b.awaitText(".settings", "timers.profile")
		b.awaitText(".unified .added", "+profile = 'fast'")
		b.accessible("a comparison, " + theme)
	}
}

func TestAChangeThatNobodyConfirmsIsRevertedEverywhere(t *testing.T) {
	n, b := look(t)
	b.apply()
	if v := n.newestConfig(t); v.State != web.ConfigWaiting || v.ConfirmS != 60 || v.Author != "alice@a" || v.Comment != "try the fast profile" {
		t.Errorf("the change is %+v", v)
	}
	for _, path := range []string{"/macs", "/"} {
		b.open(path)
		b.awaitText(".alarm.pending", "try the fast profile")
		b.accessible("a change that waits, on " + path)
	}
	n.End()
	b.await("no more waiting", `document.querySelector(".alarm.pending") === null`)
	b.open("/config/versions")
	b.awaitText("tbody", "reverted")
}

func TestAChangeIsRevertedByHand(t *testing.T) {
	n, b := look(t)
	b.apply()
	b.click(".alarm.pending button", "Revert now…")
	b.awaitText("dialog", "Version 3 is in force again on every peer")
	b.accessible("the question before a revert")
	b.click("dialog footer button", "Revert now")
	b.await("no more waiting", `document.querySelector(".alarm.pending") === null`)
	if v := n.newestConfig(t); v.Version != 5 || v.Of != 3 || v.State != web.ConfigCurrent {
		t.Errorf("after the revert the newest is %+v", v)
	}
}

func TestAChangeIsConfirmedOnAnotherScreen(t *testing.T) {
	n, b := look(t)
	b.apply()
	b.click("nav a", "Peers")
	b.click(".alarm.pending button", "Confirm")
	b.await("no more waiting", `document.querySelector(".alarm.pending") === null`)
	if v := n.newestConfig(t); v.Version != 4 || v.State != web.ConfigCurrent {
		t.Errorf("after the confirmation the newest is %+v", v)
	}
}

// rollBack asks for version 1 again.
func (b *tab) rollBack() {
	b.t.Helper()
	b.open("/config/versions?open=1")
	b.click("dialog button", "Roll back…")
	b.awaitText("dialog h2", "Roll back to version 1?")
}

func TestRollBackAsksFirst(t *testing.T) {
	n, b := look(t)
	b.rollBack()
	b.accessible("the question before a roll back")
	b.click("dialog label.check", "Revert unless confirmed")
	b.fill("dialog input[autocomplete=off]", "b is near again")
	b.click("dialog footer button", "Roll back")
	b.awaitText("tbody", "b is near again")
	if v := n.newestConfig(t); v.Version != 4 || v.Of != 1 || v.State != web.ConfigCurrent {
		t.Errorf("the newest is %+v", v)
	}
}

func TestARollBackIsRevertedUnlessItIsConfirmed(t *testing.T) {
	n, b := look(t)
	b.rollBack()
	b.click("dialog footer button", "Roll back")
	b.awaitText(".alarm.pending", "Version 4 of the configuration waits to be confirmed")
	if v := n.newestConfig(t); v.ConfirmS != 60 || v.State != web.ConfigWaiting {
		t.Errorf("the newest is %+v", v)
	}
	b.rollBack()
	b.awaitText("dialog", "Version 4, which waits to be confirmed, is reverted by it")
	b.accessible("a roll back that ends the waiting")
	b.click("dialog footer button", "Roll back")
	b.await("no more waiting", `document.querySelector(".alarm.pending") === null`)
	if v := n.newestConfig(t); v.Version != 5 || v.Of != 1 || v.State != web.ConfigCurrent {
		t.Errorf("the newest is %+v", v)
	}
}

func TestSomebodyElsesChangeIsNotOverwritten(t *testing.T) {
	n, b := look(t)
	b.open("/config")
	b.write(fast)
	b.click("button", "Apply…")
	b.awaitText("dialog h2", "Apply the configuration")
	if _, err := n.ChangeConfig(t.Context(), web.ConfigProposal{Base: 3, By: "bob", Text: "[timers]\nprofile = \"default\"\n"}); err != nil {
		t.Fatal(err)
	}
	b.ignore("412")
	b.click("dialog footer button", "Apply to all peers")
	b.awaitText("dialog .wrong", "the newest is 4 by bob@a")
	b.click("dialog footer button", "Cancel")
	b.awaitText(".notice", "Version 4 by bob@a came meanwhile")
	b.click(".notice button", "Begin again")
	b.awaitText(".editor-base", "Version 4")
}

func TestWhoMayNotIsToldWhy(t *testing.T) {
	n, b := look(t)
	n.Know(Session{Peer: "a", LoggedIn: true, Name: "olga", Role: "operator", By: "session"})
	b.open("/config")
	b.awaitText("main", "This takes the role admin; you are operator")
	b.open("/config/versions?open=1")
	b.await("a locked button", `[...document.querySelectorAll("dialog button")].some(e => e.textContent === "Roll back…" && e.disabled && e.title.includes("admin"))`)
	n.Know(Session{Peer: "a", LoggedIn: true, Name: "vera", Role: "viewer", By: "session"})
	b.open("/config")
	b.awaitText("main", "Viewers do not see the configuration")
}
