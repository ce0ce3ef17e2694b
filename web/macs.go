package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// MACStory is what became of an address of an overlay.
type MACStory struct {
	MAC   string    `json:"mac" doc:"Address of the station"`
	VNI   uint32    `json:"vni" doc:"Number of the overlay"`
	Steps []MACStep `json:"steps" doc:"Where it was, the oldest first; the last 16 of this peer's table, and what re-pointed it meanwhile"`
}

// MACStep is one line of the story.
type MACStep struct {
	Time    time.Time `json:"time" doc:"When"`
	What    string    `json:"what" enum:"learned,moved,aged,flushed,gone,repointed" doc:"learned: heard first; moved: heard elsewhere; aged: silent for too long and forgotten; flushed: somebody had it forgotten; gone: its port went away; repointed: another gateway carries the segment that it is behind"`
	At      string    `json:"at" enum:"port,peer,segment" doc:"Where it is from then on, or was until then"`
	Port    string    `json:"port,omitempty" doc:"Port of this peer"`
	Peer    string    `json:"peer,omitempty" doc:"Peer that frames for it go to"`
	Segment string    `json:"segment,omitempty" doc:"Segment that it is behind"`
	Cause   string    `json:"cause,omitempty" doc:"Why, as far as this peer knows"`
}

func (s *server) macs() {
	type input struct { // huma does not look into an embedded type that is not exported
		Watch bool `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
		MACFilter
		Page
	}
	const invalid, missing = http.StatusUnprocessableEntity, http.StatusNotFound
	huma.Register(s.api, operation("get-macs", http.MethodGet, "/macs", "Where every station is", invalid),
		func(_ context.Context, in *input) (*paged[MAC], error) {
			f, err := in.canonical()
			if err != nil {
				return nil, s.refusal(err)
			}
			page, err := byStation.cut(complete(s.node.MACs(f)), in.Page, nil)
			return page, s.refusal(err)
		})
	s.streamed("/macs")
	type named struct {
		MAC string `path:"mac" doc:"Address of the station"`
	}
	huma.Register(s.api, operation("get-mac-story", http.MethodGet, "/macs/{mac}/story", "Where a station was before, and why frames go where they go", invalid, missing),
		func(_ context.Context, in *named) (*answer[[]MACStory], error) {
			f, err := MACFilter{MAC: in.MAC}.canonical()
			if err != nil {
				return nil, s.refusal(err)
			}
			stories, err := s.node.MACStories(f.MAC)
			return &answer[[]MACStory]{complete(stories)}, s.refusal(err)
		})
}

// byStation is the order of stations: by overlay, then by address. A place is VNI-ADDRESS.
var byStation = order[MAC]{
	place: func(m MAC) string { return strconv.FormatUint(uint64(m.VNI), 10) + "-" + m.MAC },
	check: func(place string) error {
		if vni, mac := station(place); vni < 0 || mac == "" {
			return errors.New("want VNI-ADDRESS")
		}
		return nil
	},
	compare: func(a, b string) int {
		va, ma := station(a)
		vb, mb := station(b)
		return cmp.Or(cmp.Compare(va, vb), strings.Compare(ma, mb))
	},
	texts: func(m MAC) []string { return []string{m.MAC, m.Port, m.Peer, m.Segment} },
}

// station takes a place apart; the overlay is -1 when it is none.
func station(place string) (vni int64, mac string) {
	text, mac, _ := strings.Cut(place, "-")
	n, err := strconv.ParseUint(text, 10, 24)
	if err != nil {
		return -1, mac
	}
	return int64(n), mac
}
