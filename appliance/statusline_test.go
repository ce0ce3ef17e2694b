package appliance

import (
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

func TestStatusLine(t *testing.T) {
	ours := []web.Gateway{{Peer: "a"}, {Peer: "b"}}
	got := statusLine("a", "home", 1, []segmentView{
		{name: "cellar", active: "a", activeID: 1, gateways: ours},
		{name: "guests", gateways: ours},
		{name: "office", active: "b", activeID: 2, gateways: ours},
		{name: "remote", active: "c", activeID: 3, gateways: []web.Gateway{{Peer: "c"}}},
	})
	if want := "peer a of network home; cellar: active; guests: passive, nobody is active; office: passive, b is active; remote: c is active"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := statusLine("a", "home", 1, nil); got != "peer a of network home" {
		t.Error(got)
	}
}
