package browser

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

// A peer that was founded a moment ago has nothing to show. Whoever looks at it learns what to do next.
func TestWhatIsEmptySaysWhatToDoNext(t *testing.T) {
	n, b := look(t)
	n.Journal = web.NewJournal(func() time.Time { return webtest.Now })
	n.bare.Store(true)
	n.Change(func(v *webtest.Values) {
		v.Peers, v.Links, v.MACs, v.Ports, v.Segments, v.Tokens = nil, nil, nil, nil, nil, nil
		v.Routes.Unicast, v.Routes.Broadcast, v.Alerts.Sinks = nil, nil, nil
	})
	for path, words := range map[string]string{
		"/": "No move is known", "/segments": "No segment is bridged", "/segments?name=lost": "No segment is bridged", "/timeline": "Nothing has happened",
		"/alerts": "Nobody is told", "/peers": "This node knows no peer", "/macs": "No station has been seen", "/addresses": "No subnet is configured",
		"/ports": "This node has no port", "/routes": "There is nobody to reach", "/capture": "no port to capture at", "/tokens": "No token was made",
	} {
		b.open(path)
		b.awaitText(".empty-title", words)
		if mute := run[[]string](b, `[...document.querySelectorAll(".empty")].filter(e => !e.querySelector(".empty-next :is(a, button, code, pre)")).map(e => e.innerText)`); len(mute) > 0 {
			t.Errorf("%s names no step that could be taken: %q", path, mute)
		}
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			b.accessible(path + ", empty, " + theme)
		}
		b.size(360, 780)
		if over := run[float64](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			t.Errorf("%s at 360 px is %v px too wide when it is empty", path, over)
		}
		b.size(1280, 860)
	}
}
