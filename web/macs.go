package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// MACPage chooses a part of a long list of addresses.
type MACPage struct {
	Find  string `query:"find" maxLength:"255" doc:"Only those with this text in address, port, peer or segment"`
	After string `query:"after" maxLength:"32" doc:"Only those behind this one, VNI-ADDRESS, for the next page"`
	Limit int    `query:"limit" minimum:"0" maximum:"100000" doc:"The most that are answered; 0: all"`
}

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
		MACPage
	}
	const invalid, missing = http.StatusUnprocessableEntity, http.StatusNotFound
	huma.Register(s.api, operation("get-macs", http.MethodGet, "/macs", "Where every station is", invalid),
		func(_ context.Context, in *input) (*answer[[]MAC], error) {
			f, err := in.canonical()
			if err != nil {
				return nil, s.refusal(err)
			}
			page, err := in.page(s.node.MACs(f))
			return &answer[[]MAC]{complete(page)}, s.refusal(err)
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

// page is the part that is asked for of a list in the order of overlays and addresses.
func (p MACPage) page(all []MAC) ([]MAC, error) {
	if p.After != "" {
		vni, mac, _ := strings.Cut(p.After, "-")
		n, err := strconv.ParseUint(vni, 10, 24)
		if err != nil || mac == "" {
			return nil, fmt.Errorf("%w: after %q: want VNI-ADDRESS of the last one of the page before", ErrInvalid, p.After)
		}
		all = slices.DeleteFunc(all, func(m MAC) bool { return m.VNI < uint32(n) || m.VNI == uint32(n) && m.MAC <= mac })
	}
	if find := strings.ToLower(p.Find); find != "" {
		all = slices.DeleteFunc(all, func(m MAC) bool {
			return !strings.Contains(strings.ToLower(strings.Join([]string{m.MAC, m.Port, m.Peer, m.Segment}, "\n")), find)
		})
	}
	if p.Limit > 0 && len(all) > p.Limit {
		all = all[:p.Limit]
	}
	return all, nil
}
