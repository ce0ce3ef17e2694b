package appliance

import (
	"fmt"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// Handovers stand where the address was behind the segment at that time, and nowhere else; each step names the gateway of
// its time.
func TestHandoversArePartOfAStory(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	steps := []web.MACStep{
		{Time: at(10), What: "learned", At: web.AtSegment, Segment: "office", Peer: "b"},
		{Time: at(30), What: "moved", At: web.AtPeer, Peer: "x"},
		{Time: at(50), What: "aged", At: web.AtPeer, Peer: "x"},
		{Time: at(60), What: "learned", At: web.AtSegment, Segment: "office", Peer: "b"},
	}
	var events []web.Event
	for i, s := range []int{15, 20, 40, 70} {
		events = append(events, web.Event{Time: at(s), Kind: "segment_active", Segment: "office", Peer: []string{"a", "b"}[i%2]})
	}
	events = append(events, web.Event{Time: at(21), Kind: "segment_active", Segment: "lab", Peer: "b"})
	var told []string
	for _, s := range repointed(steps, events) {
		told = append(told, fmt.Sprintf("%d %s %s", s.Time.Unix(), s.What, s.Peer))
	}
	if want := "[10 learned  15 repointed a 20 repointed b 30 moved x 50 aged x 60 learned a 70 repointed b]"; fmt.Sprint(told) != want {
		t.Errorf("%v, want %v", told, want)
	}
}
