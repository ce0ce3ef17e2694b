package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Inheritance is what forgetting a peer's part in giving out addresses brings about.
type Inheritance struct {
	Peer  string          `json:"peer" doc:"Name of the peer"`
	Life  string          `json:"life" doc:"Number of its state file; under another one it can come back"`
	Heir  string          `json:"heir,omitempty" doc:"Peer that inherits its space; empty: nobody could be found who can be reached"`
	WaitS int             `json:"wait_s" doc:"Seconds that the heir waits, unless the peer itself says before that it has stopped: for so long it may go on giving addresses"`
	Parts []InheritedPart `json:"parts" doc:"Its space, as this peer knows it"`
}

// InheritedPart is what is inherited of one subnet.
type InheritedPart struct {
	Subnet string   `json:"subnet" doc:"Its prefix"`
	Parts  []string `json:"parts" doc:"The parts that have another owner then"`
}

// SubnetSuggestion is a subnet that could be configured.
type SubnetSuggestion struct {
	Subnet  string          `json:"subnet" doc:"The first that is free"`
	Refused []RefusedSubnet `json:"refused" doc:"Those before it that are not"`
}

// RefusedSubnet is a candidate that is in use.
type RefusedSubnet struct {
	Subnet string `json:"subnet" doc:"Its prefix"`
	Why    string `json:"why" doc:"What is in the way, and on which peer"`
}

// AddressForget names a peer whose part in giving out addresses ends.
type AddressForget struct {
	Peer string `json:"peer" minLength:"1" doc:"Name of the peer"`
}

// inheritances registers what is about the end of a peer's part.
func (s *server) inheritances() {
	const missing, conflict, later = http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	type one struct {
		Peer string `path:"peer" doc:"Name of the peer"`
	}
	huma.Register(s.api, operation("get-inheritance", http.MethodGet, "/ipam/inheritance/{peer}", "What is inherited, and by whom, when a peer is forgotten", missing, later),
		func(ctx context.Context, in *one) (*answer[Inheritance], error) {
			out, err := s.node.Inheritance(ctx, in.Peer)
			return &answer[Inheritance]{complete(out)}, s.refusal(err)
		})
	type suggest struct {
		Candidates []string `query:"candidate,explode" maxItems:"256" doc:"Prefixes, the best first; none: some that are seldom in use"`
	}
	huma.Register(s.api, operation("suggest-subnet", http.MethodGet, "/ipam/suggestion", "A subnet that no peer has routes to or neighbours in", http.StatusUnprocessableEntity, conflict),
		func(ctx context.Context, in *suggest) (*answer[SubnetSuggestion], error) {
			out, err := s.node.SuggestSubnet(ctx, in.Candidates)
			return &answer[SubnetSuggestion]{complete(out)}, s.refusal(err)
		})
	huma.Register(s.api, operation("forget-addresses", http.MethodPost, "/ipam/forget", "End a peer's part in giving out addresses, after it lost its state file; its space is inherited", missing, conflict, later),
		func(ctx context.Context, in *answer[AddressForget]) (*answer[Inheritance], error) {
			out, err := s.node.ForgetAddresses(ctx, in.Body.Peer)
			return &answer[Inheritance]{complete(out)}, s.refusal(err)
		})
}
