package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// ResetRequest asks for what cannot be undone, so it names whom it is meant for.
type ResetRequest struct {
	Confirm string `json:"confirm" maxLength:"63" doc:"Name of the peer that is asked, as a confirmation"`
	By      string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// Reset is what a factory reset that has begun will do.
type Reset struct {
	Peer    string   `json:"peer" doc:"Name of the peer, which it will have no more"`
	Steps   []string `json:"steps" doc:"What happens, in this order; none of it can be followed by the API"`
	WithinS float64  `json:"within_s" doc:"Seconds after which the machine starts anew at the latest" example:"90"`
}

// resets registers the way back to the beginning.
func (s *server) resets() {
	reset := operation("factory-reset", http.MethodPost, "/factory-reset", "Erase identity, keys, users and configuration of this appliance, and start it anew; its segments are handed over first",
		http.StatusUnprocessableEntity, http.StatusConflict)
	reset.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, reset, func(ctx context.Context, in *answer[ResetRequest]) (*answer[Reset], error) {
		in.Body.By = author(ctx, in.Body.By)
		access.Note(ctx, nil, in.Body)
		r, err := s.node.FactoryReset(ctx, in.Body)
		return &answer[Reset]{complete(r)}, s.refusal(err)
	})
}
