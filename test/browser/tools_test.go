package browser

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func TestABlockedPortIsClearedAfterAQuestion(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) {
		ports := append([]web.Port{}, v.Ports...)
		p := &ports[1]
		p.Up, p.Gate, p.Blocked = true, web.GateShut, "guest_on_segment"
		p.Problems = []web.Problem{{Summary: "ALONE blocks the port (guest_on_segment): the guests' network is cabled to a segment", Remedy: "take away the cable or bridge that joins the two, then: drawbridge ports clear tap0"}}
		v.Ports = ports
	})
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.open("/ports?open=tap0")
		b.awaitText("dialog", "cabled to a segment")
		b.accessible("a blocked port, " + theme)
	}
	b.click("dialog button", "Clear it…")
	b.awaitText("dialog h2", "Clear port tap0?")
	b.accessible("the question before a port is cleared")
	if len(n.Asked()) != 0 {
		t.Error("it did not wait for the answer")
	}
	b.click("dialog button.danger", "Clear")
	n.awaitAsked(b, "clear tap0 by alice")
}

func TestDiagnosticsAreDownloaded(t *testing.T) {
	n, b := look(t)
	b.open("/about")
	size := run[int](b, `new Promise(done => { const was = URL.createObjectURL; URL.createObjectURL = b => { done(b.size); return was.call(URL, b) };
		const look = () => { const e = [...document.querySelectorAll("button")].find(e => e.textContent.includes("Download diagnostics")); e ? e.click() : setTimeout(look, 20) }; look() })`)
	if size == 0 || size != len(webtest.New().Values.Bundle) {
		t.Errorf("the file has %d bytes", size)
	}
	n.awaitAsked(b, "diagnose")
	n.Change(func(v *webtest.Values) { v.Failure = web.ErrUnavailable })
	b.ignore("503")
	b.await("no toast", `document.querySelector(".toast.ok") === null`)
	b.click("button", "Download diagnostics")
	b.awaitText(".toast.bad", "the bundle was not made")
}
