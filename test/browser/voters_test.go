package browser

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/webtest"
)

func TestWhoDecidesIsShown(t *testing.T) {
	n, b := look(t)
	b.open("/peers")
	for _, text := range []string{"Who decides", "not one more voter may fall silent", "gateway, leads", "silent for 1\u202fmin 15\u202fs"} {
		b.awaitText("main", text)
	}
	b.open("/")
	b.awaitText("main", "voter w does not answer")
	n.Change(func(v *webtest.Values) { v.Voters.Quorum = false })
	b.awaitText("main", "no majority of the voters answers")
	n.Change(func(v *webtest.Values) {
		v.Voters.Quorum, v.Voters.Spare = true, 1
		for i := range v.Voters.Voters {
			v.Voters.Voters[i].Answers = true
		}
	})
	b.awaitText("main", "a majority answers, and 1 more voter may fall silent")
}

func TestWhatCarriesEachOverlayIsShown(t *testing.T) {
	n, b := look(t)
	b.open("/about")
	b.awaitText("main", "both: b: port eth1 has a soft gate")
	b.awaitText("main", "to b: the daemon: port eth1 has a soft gate")
	b.awaitText("main", "to w: the kernel")
	b.awaitText("main", "the kernel, not encrypted")
	n.Change(func(v *webtest.Values) {
		v.Status.DataPath.Overlays = []web.OverlayPath{{Overlay: "office", VNI: 1, Wanted: "auto", Engine: web.EngineNone}}
	})
	b.awaitText("main", "changing over")
}
