package browser

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func (n *Network) awaitAsked(b *tab, what string) {
	b.t.Helper()
	asked := func() bool {
		return slices.ContainsFunc(n.Asked(), func(a string) bool { return strings.Contains(a, what) })
	}
	for end := time.Now().Add(patience); !asked(); <-time.After(10 * time.Millisecond) { // the toast may be that of the question before
		if time.Now().After(end) {
			b.t.Fatalf("asked for %q, want %q", n.Asked(), what)
		}
	}
	b.await("toast", `document.querySelector(".toast.ok") !== null`)
}

func TestAPeerIsInvited(t *testing.T) {
	n, b := look(t)
	b.open("/peers")
	b.click("a", "Invite a peer")
	b.click("dialog label", "A gateway")
	b.fill("dialog input[type=number]", "3")
	b.click("dialog button", "Make a token")
	b.awaitText("dialog code", "drawbridge join dbt1-secret --name NAME")
	b.accessible("the new token")
	if got := n.Asked(); len(got) != 1 || got[0] != "token [gateway] 3600s 3 by alice" {
		t.Errorf("asked for %q", got)
	}
	b.click("dialog button", "Done")
	b.await("no secret left", `!document.body.textContent.includes("dbt1-secret")`)
}

func TestATokenIsRevokedAfterAQuestion(t *testing.T) {
	n, b := look(t)
	b.open("/tokens?open=0102030405")
	b.click("dialog button", "Revoke…")
	b.awaitText("dialog h2", "Revoke token 0102030405?")
	if len(n.Asked()) != 0 {
		t.Error("it did not wait for the answer")
	}
	b.click("dialog button.danger", "Revoke")
	n.awaitAsked(b, "revoke 0102030405")
}

func TestAPeerIsRemovedOnlyWhenItsNameIsTyped(t *testing.T) {
	n, b := look(t)
	b.open("/peers?open=z")
	b.click("dialog button", "Remove from the network…")
	b.await("a locked button", `[...document.querySelectorAll("dialog button")].some(e => e.textContent.trim() === "Remove" && e.disabled)`)
	b.accessible("the question")
	b.fill("dialog label.field input", "z")
	b.click("dialog button", "Remove")
	n.awaitAsked(b, "forget z")
}

func TestARefusalIsShownWhereItWasAsked(t *testing.T) {
	n, b := look(t)
	b.open("/macs")
	n.Change(func(v *webtest.Values) { v.Failure = web.ErrUnavailable })
	b.ignore("503")
	b.click("button", "Forget all…")
	b.click("dialog footer button", "Forget")
	b.awaitText("dialog .wrong", "not available just now")
}

func TestACaptureIsCountedAndKept(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) { v.Capture = pcapng(7) })
	b.open("/capture?port=tap0&filter=arp")
	b.click("button", "Start")
	b.awaitText(".counts", "7packets")
	b.accessible("a capture")
	b.click("button", "Stop")
	b.awaitText(".quiet-text", "Ended by hand")
	size := run[int](b, `new Promise(done => { const was = URL.createObjectURL; URL.createObjectURL = b => { done(b.size); return was.call(URL, b) };
		[...document.querySelectorAll("button")].find(e => e.textContent.includes("Download pcapng")).click() })`)
	if size != len(pcapng(7)) {
		t.Errorf("the file has %d bytes, want %d", size, len(pcapng(7)))
	}
	if got := n.Asked(); len(got) != 1 || !strings.Contains(got[0], "tap0") || !strings.Contains(got[0], "arp") {
		t.Errorf("asked for %q", got)
	}
}

// pcapng is a section header, an interface and n packets of no length (draft-ietf-opsawg-pcapng).
func pcapng(n int) []byte {
	b := []byte{
		0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 28, 0, 0, 0,
		1, 0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
	}
	for range n {
		packet := make([]byte, 32)
		packet[0], packet[4], packet[28] = 6, 32, 32
		b = append(b, packet...)
	}
	return b
}
