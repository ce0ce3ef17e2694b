package browser

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// What happens while a page is cut off is on it when the connection is back, in its order and once, without anybody's doing.
func TestWhatHappenedMeanwhileIsThere(t *testing.T) {
	n := NewNetworkTLS()
	t.Cleanup(n.Close)
	b := newTab(t, n.URL)
	b.ignore("net::ERR_")
	b.open("/timeline")
	happen := func(text string) web.Event {
		return n.Happen(web.Event{Time: webtest.Now, Level: web.LevelWarn, Kind: "peer_down", Peer: "z", Text: text})
	}
	last := happen("before the cut")
	b.awaitText("tbody", "before the cut")

	began := time.Now()
	n.Cut(true)
	b.awaitText(".live", "Stale since")
	t.Logf("figure: stale %v after the cut", time.Since(began).Round(time.Millisecond))
	b.awaitText(".alarm.stale", "what you see is from")
	shown := run[string](b, `document.querySelector(".live").textContent`)
	b.await("an age that goes on", `document.querySelector(".live").textContent.startsWith("Stale since") && document.querySelector(".live").textContent !== `+text(shown))
	n.Carry("b", "nobody looked")
	const missed = 20
	for i := range missed {
		happen(fmt.Sprintf("while nobody looked, %02d", i))
	}
	if run[bool](b, `document.body.textContent.includes("nobody looked")`) {
		t.Fatal("the connection is not cut")
	}

	n.Cut(false)
	b.await("life", `document.querySelector(".frame").dataset.live === "live"`)
	b.awaitText(".carriers", "b carries office")
	b.awaitText("tbody", fmt.Sprintf("while nobody looked, %02d", missed-1))
	b.fill(".table-tools input[type=search]", "nobody looked")
	b.awaitText(".table-count", strconv.Itoa(missed+1)+" of ") // and b, which carries office
	if !slices.Contains(n.Resumed(), strconv.FormatUint(last.ID, 10)) {
		t.Errorf("no stream went on behind event %d: those that did are behind %v", last.ID, n.Resumed())
	}
}

// Nobody can tell whether a change was made whose answer was lost. Asked for again it is made once; browsers ask again by
// themselves when a connection breaks that they had used before.
func TestAChangeWhoseAnswerIsLostIsMadeOnce(t *testing.T) {
	n, b := look(t)
	b.ignore("net::ERR_")
	b.open("/tokens?new=1")
	n.LoseAnswers(true)
	b.click("dialog button", "Make a token")
	b.awaitText("dialog .wrong", "asked for again, it is made once")
	if got := n.Asked(); len(got) != 1 {
		t.Fatalf("made %q, want one", got)
	}
	n.LoseAnswers(false)
	b.click("dialog button", "Make a token")
	b.awaitText("dialog code", "drawbridge join dbt1-secret")
	if got := n.Asked(); len(got) != 1 {
		t.Errorf("made %q: the same again made another one", got)
	}
	b.click("dialog button", "Done")
	b.open("/tokens?new=1")
	b.click("dialog button", "Make a token")
	b.awaitText("dialog code", "drawbridge join dbt1-secret")
	if got := n.Asked(); len(got) != 2 {
		t.Errorf("made %q: who heard the end of a change and asks for the same wants another one", got)
	}
}
