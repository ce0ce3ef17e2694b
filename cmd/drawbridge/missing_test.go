package main

import (
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

// Who mistyped a name is sent to a command that there is.
func TestWhatIsMissingNamesACommand(t *testing.T) {
	root := newTool(nil, nil, nil).root()
	for _, k := range []web.Kind{web.KindPeer, web.KindSegment, web.KindPort, web.KindSink, web.KindAlert, web.KindToken, web.KindGiver} {
		_, text, _ := strings.Cut(web.Missing(k, "nobody").Error(), ": drawbridge ")
		line, _, found := strings.Cut(text, " shows what there is")
		c, rest, err := root.Find(strings.Fields(line))
		if !found || err != nil || len(rest) > 0 || c.CommandPath() != "drawbridge "+line {
			t.Errorf("%v: %q, %v", k, text, err)
		}
	}
}
