package browser

import (
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func (n *Network) mustBeAsked(t *testing.T, what string) {
	t.Helper()
	if !slices.ContainsFunc(n.Asked(), func(a string) bool { return strings.HasPrefix(a, what) }) {
		t.Errorf("asked for %q, want %q", n.Asked(), what)
	}
}

func TestASegmentIsMovedAfterItsChecks(t *testing.T) {
	n, b := look(t)
	b.open("/segments?name=office")
	b.click("button", "Switch over…")
	b.awaitText("dialog .checks", "0.3 ms to a majority")
	b.accessible("the checks before a switchover")
	b.click("dialog footer button", "Switch over")
	b.awaitText("dialog .operation-state", "office moved from a to b")
	b.awaitText("dialog .ruler-marks", "the gate of b is open")
	b.accessible("a switchover")
	n.mustBeAsked(t, `switchover office to "b" dry=false`)
}

func TestAFailingCheckKeepsTheButtonLocked(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) {
		gateway := &v.Moves.Takeovers[0]
		gateway.Ready = false
		gateway.Checks = slices.Clone(gateway.Checks)
		gateway.Checks[0].OK, gateway.Checks[0].Need = false, "at most 10 ms"
	})
	b.open("/segments?name=office")
	b.click("button", "Switch over…")
	b.awaitText("dialog .checks", "needs at most 10 ms")
	b.awaitText("dialog", "1 of 1 check fails")
	b.await("a locked button", `[...document.querySelectorAll("dialog footer button")].some(e => e.textContent.trim() === "Switch over" && e.disabled)`)
	b.accessible("a failing check")
	if len(n.Asked()) > 0 {
		t.Errorf("asked for %q", n.Asked())
	}
}

func TestAGatewayGoesIntoMaintenanceAfterAQuestion(t *testing.T) {
	n, b := look(t)
	b.open("/segments?name=office")
	b.click(".gateway-card.active button", "Maintenance…")
	b.awaitText("dialog h2", "Send a into maintenance")
	b.accessible("the question before maintenance")
	b.click("dialog footer button", "Into maintenance")
	b.await("an outcome", `document.querySelector("dialog .operation-state .state") !== null`)
	n.mustBeAsked(t, "maintenance of a true")
}

func TestARehearsalIsReadAfterwards(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) {
		failed := v.Moves.Drills[0]
		failed.ID, failed.OK, failed.Outcome = "00000000000000d2", false, "12 frames were lost on the way back"
		leg := failed.Legs[0]
		leg.From, leg.To = "b", "a"
		leg.Probes = []web.DrillProbe{{Direction: "from-segment", Sent: 600, Lost: 12, Silence: 41.5}}
		failed.Legs = append(slices.Clone(failed.Legs), leg)
		v.Moves.Drills = []web.DrillReport{failed, v.Moves.Drills[0]}
	})
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.open("/segments?name=office")
		b.awaitText(".drill", "12 frames were lost on the way back")
		b.awaitText(".drill-probe", "12 lost, 0 doubled, 0 out of order")
		b.await("both rulers", `[...document.querySelectorAll(".drill[open] .ruler-band")].map(e => e.getAttribute("aria-label")).join().includes("Longest silence out of the segment: 41.5")`)
		b.accessible("the report of a rehearsal, " + theme)
	}
}

func TestTheDetailsOfAnAddressTellItsStory(t *testing.T) {
	_, b := look(t)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.open("/macs?open=1-02:00:00:00:00:01")
		b.awaitText(".story li:nth-child(1)", "moved")
		b.awaitText(".story li:nth-child(2)", "re-pointed")
		b.awaitText(".story li:nth-child(2)", "behind segment office, by gateway a: switchover by ann")
		b.awaitText(".story li:nth-child(3)", "heard first")
		b.accessible("the story of an address, " + theme)
	}
}
