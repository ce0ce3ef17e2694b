package browser

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// aBundle is a file whose head says what a bundle's says; nothing in it is signed by anybody.
func aBundle(t *testing.T, made time.Time) string {
	t.Helper()
	manifest := fmt.Sprintf(`{"product":"drawbridge","variant":"virt","arch":"amd64","version":"1.3.0","release":%d}`, made.Unix())
	signature := "untrusted comment: x\n" + base64.StdEncoding.EncodeToString(append([]byte("ED\xef\xcd\xab\x89\x67\x45\x23\x01"), make([]byte, 64)...)) + "\n"
	return aFile(t, fmt.Sprintf("DRAWBRIDGE-BUNDLE-1\n%d\n%d\n%s%sIMAGES", len(manifest), len(signature), manifest, signature))
}

func aFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drawbridge-virt.bundle")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// installing is an operation that has come as far as a step.
func installing(p *web.Progress) func(*webtest.Values) {
	return func(v *webtest.Values) {
		o := &v.Moves.Operations[0]
		*o = web.Operation{ID: o.ID, Kind: "update", To: "a", State: web.OperationRunning, Started: webtest.Now, Progress: p, Steps: []web.Step{{Name: "verify", Text: "the bundle is here: every byte of it is looked at"}}}
	}
}

func TestABundleIsLookedAtSentAndFollowed(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("button", "Install an update…")
	b.choose("dialog input[type=file]", aFile(t, "something else"))
	b.awaitText("dialog", "This is no update bundle")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.primary").disabled`)
	b.choose("dialog input[type=file]", aBundle(t, webtest.Now.Add(time.Hour)))
	b.awaitText("dialog", "1.3.0")
	b.awaitText("dialog", "0123456789ABCDEF")
	b.accessible("what a bundle says of itself")
	n.Change(installing(&web.Progress{Step: "verify", Done: 30 << 20, Total: 60 << 20}))
	b.click("dialog footer button.primary", "Install")
	b.awaitText("main", "An update of a is under way")
	b.awaitText("main", "nothing is written yet: 50")
	if asked := strings.Join(n.Asked(), "\n"); !strings.Contains(asked, "IMAGES\" of ") || !strings.Contains(asked, `for "a" older=false restart=false by alice`) {
		t.Errorf("asked for %q", asked)
	}
	b.await("a button that does nothing", `[...document.querySelectorAll("main button")].some(e => e.textContent.includes("Install an update") && e.disabled)`)
	b.accessible("an update under way")
	n.Change(func(v *webtest.Values) {
		o := &v.Moves.Operations[0]
		o.State, o.Outcome = web.OperationRefused, "the bundle is not signed by the release key of this appliance"
	})
	b.awaitText("main", "Nothing was done: the bundle is not signed by the release key")
}

func TestABundleThatIsNotNewerWantsAWord(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("button", "Install an update…")
	b.choose("dialog input[type=file]", aBundle(t, webtest.Now))
	b.awaitText("dialog", "It is not newer than what runs")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.primary").disabled`)
	b.click("dialog label", "Also a release that is not newer than what runs")
	b.click("dialog label", "Restart the machine afterwards")
	b.click("dialog footer button.primary", "Install and restart a")
	b.await("the request", `!document.querySelector("dialog[open]")`)
	b.awaitText("main", "The last update of")
	if asked := strings.Join(n.Asked(), "\n"); !strings.Contains(asked, `older=true restart=true by alice`) {
		t.Errorf("asked for %q", asked)
	}
}

func TestABundleIsFetchedByAnotherPeer(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("button", "Install an update…")
	b.click("dialog label", "An address, from which a fetches it")
	b.fill("dialog input[type=url]", "http://example.net/x.bundle")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.primary").disabled`)
	b.fill("dialog input[type=url]", "https://example.net/x.bundle")
	b.accessible("where a bundle is fetched from")
	b.pick("dialog select", "b")
	b.click("dialog footer button.primary", "Install")
	b.await("the answer", `!document.querySelector("dialog")`)
	if asked := n.Asked(); !slices.Contains(asked, `fetch https://example.net/x.bundle for "b" older=false restart=false by alice`) {
		t.Errorf("asked for %q", asked)
	}
}

func TestSendingIsStopped(t *testing.T) {
	n, b := look(t)
	n.slow.Store(true)
	b.open("/update")
	b.click("button", "Install an update…")
	b.choose("dialog input[type=file]", aBundle(t, webtest.Now.Add(time.Hour)))
	b.click("dialog footer button.primary", "Install")
	b.awaitText("main", "drawbridge-virt.bundle is sent to a")
	b.click("main button", "Stop sending…")
	b.click("dialog footer button.danger", "Stop")
	b.await("an end", `!document.querySelector("main").textContent.includes("is sent to")`)
	if asked := n.Asked(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
}

func TestARefusedBundleSaysWhy(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("button", "Install an update…")
	b.choose("dialog input[type=file]", aBundle(t, webtest.Now.Add(time.Hour)))
	n.Change(func(v *webtest.Values) {
		v.Failure = errors.Join(web.ErrConflict, errors.New("another update is under way on this peer"))
	})
	b.ignore("409")
	b.click("dialog footer button.primary", "Install")
	b.awaitText("main .notice", "another update is under way on this peer")
	b.accessible("a bundle that was refused")
	b.click("main .notice button", "Dismiss")
	b.await("no notice", `!document.querySelector("main .notice")?.textContent.includes("another update")`)
}

func TestSlotsAreRolledBackAndTheMachineStartsAgain(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.await("a button that does nothing", `[...document.querySelectorAll("main button")].some(e => e.textContent.includes("Roll back") && e.disabled)`)
	n.Change(func(v *webtest.Values) {
		v.Slots.Slots = []web.UpdateSlot{{Name: "a", Release: &webtest.Now, Standing: "good"}, {Name: "b", Release: &webtest.Now, Standing: "good"}}
	})
	b.open("/update")
	b.click("main button", "Roll back…")
	b.accessible("the question before a roll-back")
	b.click("dialog footer button.danger", "Roll back")
	n.awaitAsked(b, "roll the update back by alice")
	n.Change(func(v *webtest.Values) { v.Slots.Next = "b" })
	b.open("/update")
	b.awaitText("main", "Slot b starts next: restart the machine")
	b.click("main button", "Restart the machine…")
	b.await("a button that does nothing", `document.querySelector("dialog footer button.danger").disabled`)
	b.fill("dialog input", "a")
	b.accessible("the question before a restart")
	b.click("dialog footer button.danger", "Restart the machine")
	n.awaitAsked(b, "restart the machine by alice")
	b.awaitText(".toast.ok", "a starts again")
}

func TestAnApplianceIsResetByItsName(t *testing.T) {
	n, b := look(t)
	b.open("/update")
	b.click("main button", "Factory reset…")
	b.awaitText("dialog", "Only a backup brings a back")
	b.awaitText("dialog", "the other peers remove it, vote and certificate")
	for _, typed := range []string{"", "b", "A"} {
		b.fill("dialog input", typed)
		b.await("a button that does nothing", `document.querySelector("dialog footer button.danger").disabled`)
	}
	b.fill("dialog input", "a")
	b.accessible("the question before a factory reset")
	b.click("dialog footer button.danger", "Erase and start anew")
	n.awaitAsked(b, `factory reset of "a" by alice`)
	b.awaitText(".toast.ok", "starts anew within 90 s")
}

func TestAPackageSaysHowItIsUpdated(t *testing.T) {
	n, b := look(t)
	n.Change(func(v *webtest.Values) {
		v.Slots = web.Update{Reason: "this host does not run the appliance image: Drawbridge was installed from a package, so use apt"}
	})
	b.open("/update")
	b.awaitText("main", "so use apt")
	b.accessible("a host that is no appliance")
	b.click("button", "Update another peer…")
	b.await("the others only", `[...document.querySelectorAll("dialog option")].map(e => e.textContent).join() === "b,w,x,y"`)
}

// pick chooses one of a list.
func (b *tab) pick(selector, value string) {
	b.t.Helper()
	run[bool](b, `(() => { const e = document.querySelector(`+text(selector)+`); e.value = `+text(value)+`; return e.dispatchEvent(new Event("change", { bubbles: true })) })()`)
}
