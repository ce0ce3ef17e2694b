package browser

import "testing"

func TestTheLoopMicroscope(t *testing.T) {
	_, b := look(t)
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.open("/ports")
		b.awaitText("main", "comes in at port tap0 of a, speaks at segment office")
		b.awaitText("main", "comes in at segment office, speaks at peer a")
		b.awaitText("main", "x has not told what it hears for")
		b.awaitText("main", "z never told what it hears")
		b.awaitText("main", "joins port tap0 and segment office")
		b.accessible("frames that go round, " + theme)
	}
}
