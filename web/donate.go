package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// AddressDonation asks this peer to give address space of its own to another peer.
type AddressDonation struct {
	Subnet string `json:"subnet,omitempty" doc:"Of which; may be left out when the network has one subnet, or with part"`
	To     string `json:"to" minLength:"1" doc:"Name of the peer"`
	Part   string `json:"part,omitempty" doc:"A block, or a prefix of some that this peer owns"`
	Count  int    `json:"count,omitempty" minimum:"0" doc:"How many blocks, if no part is named"`
	DryRun bool   `json:"dry_run,omitempty" doc:"Only say what would be given"`
}

// AddressGift is what a donation gave, or would give.
type AddressGift struct {
	Subnet    string   `json:"subnet" doc:"The subnet"`
	To        string   `json:"to" doc:"Name of the new owner"`
	Parts     []string `json:"parts" doc:"The blocks"`
	Addresses int      `json:"addresses" doc:"Free addresses in them"`
	Left      int      `json:"left" doc:"Blocks of this peer in which nothing is used, afterwards"`
}

// donations registers what is about giving space away.
func (s *server) donations() {
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	huma.Register(s.api, operation("donate-addresses", http.MethodPost, "/ipam/donate",
		"Give free address space of this peer to another: all that was asked for, or none", invalid, missing, conflict, later),
		func(ctx context.Context, in *answer[AddressDonation]) (*answer[AddressGift], error) {
			out, err := s.node.DonateAddresses(ctx, in.Body)
			return &answer[AddressGift]{complete(out)}, s.refusal(err)
		})
}
