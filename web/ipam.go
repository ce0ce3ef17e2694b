package web

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Addresser gives out addresses. What concerns an address that another peer gave is done there.
type Addresser interface {
	// Subnets are those that are decided, in order, as this peer sees them.
	Subnets(context.Context) ([]Subnet, error)
	// Addresses are all that are not free at this peer, or with everywhere at all peers that answer, in order.
	Addresses(ctx context.Context, everywhere bool) ([]Address, error)
	// WhyAddress explains one address.
	WhyAddress(ctx context.Context, a string) (AddressWhy, error)
	// AllocateAddress gives an owner an address: the same again, if it has one in the subnet.
	AllocateAddress(context.Context, AddressRequest) (Address, error)
	// ReleaseAddress frees an address, wherever it was given.
	ReleaseAddress(ctx context.Context, a string) error
	// ExportAddresses are the addresses of guests at all peers, as a file.
	ExportAddresses(context.Context, AddressExport) ([]byte, error)
	// ImportAddresses gives all addresses of a file, or none: then its error is an InvalidImport if the file is why.
	ImportAddresses(ctx context.Context, file []byte, dry bool) (AddressImport, error)
	// DonateAddresses gives address space of this peer to another.
	DonateAddresses(context.Context, AddressDonation) (AddressGift, error)
	// AddressCounts are for metrics.
	AddressCounts(context.Context) (AddressCounts, error)
	// SuggestSubnet is the first of the candidates, or of some of its own, that nothing on any peer's host is in the way of.
	SuggestSubnet(ctx context.Context, candidates []string) (SubnetSuggestion, error)
	// Inheritance is what ForgetAddresses would bring about.
	Inheritance(ctx context.Context, peer string) (Inheritance, error)
	// ForgetAddresses ends a peer's part in giving out addresses: its space is inherited, and it may come back with none.
	ForgetAddresses(ctx context.Context, peer string) (Inheritance, error)
}

// Subnet is address space of an overlay.
type Subnet struct {
	Subnet     string        `json:"subnet" doc:"Its prefix" example:"10.43.0.0/24"`
	Overlays   []string      `json:"overlays" doc:"Overlays that the network configuration has it on; none: it is not in the configuration any more, and is kept for those who have its addresses"`
	Server     string        `json:"server,omitempty" doc:"Address under which every peer answers DHCP on its guest ports"`
	Able       bool          `json:"able" doc:"Whether this peer may give addresses of it now"`
	Reason     string        `json:"reason,omitempty" doc:"Why not"`
	Used       int           `json:"used" doc:"Addresses that are not free at this peer"`
	Free       int           `json:"free" doc:"Addresses that this peer can give without asking"`
	FreeAll    int           `json:"free_everywhere" doc:"The same for all peers, as they said last"`
	Waiting    int           `json:"waiting" doc:"Requests at this peer that wait for others"`
	Ring       []SubnetShare `json:"ring" doc:"Who owns which part"`
	Peers      []SubnetPeer  `json:"peers" doc:"How much each peer has, as it said last"`
	Unreceived int           `json:"unreceived" doc:"Blocks of this peer that their former owner has not handed over yet"`
}

// SubnetShare is consecutive address space of one peer.
type SubnetShare struct {
	Prefix string `json:"prefix" doc:"The part"`
	Peer   string `json:"peer" doc:"Name of its owner; empty: nobody yet"`
	Life   string `json:"life" doc:"Number of the owner's state file"`
}

// SubnetPeer is what one peer has of a subnet.
type SubnetPeer struct {
	Peer       string `json:"peer" doc:"Name of the peer"`
	Free       int    `json:"free" doc:"Addresses that it can give"`
	FreeBlocks int    `json:"free_blocks" doc:"Blocks in which nothing is used"`
	DryS       int    `json:"dry_s,omitempty" doc:"Seconds until it has none left at the present rate; 0: never"`
}

// Address is one address that is not free.
type Address struct {
	Address string     `json:"address" doc:"The address"`
	Use     string     `json:"use" doc:"Why it is not free: allocated, borrowed, lent, offered, returning, foreign"`
	Owner   string     `json:"owner" doc:"Who has it; of a guest that asked by DHCP: mac:, id: or duid: and the identifier"`
	Until   *time.Time `json:"until,omitempty" doc:"When it becomes free by itself"`
	At      string     `json:"at" doc:"Peer that tells it"`
	Peer    string     `json:"peer,omitempty" doc:"Peer that it is lent to"`
	MAC     string     `json:"mac,omitempty" doc:"Hardware address that last asked for it"`
	Host    string     `json:"host,omitempty" doc:"What the guest calls itself"`
	Port    string     `json:"port,omitempty" doc:"Guest port that it was last heard on"`
}

// AddressWhy explains an address.
type AddressWhy struct {
	Address string   `json:"address" doc:"The address"`
	Why     []string `json:"why" doc:"Its subnet, who owns its block and how that came about, who has it, and what could be done about it"`
}

// AddressRequest asks for an address.
type AddressRequest struct {
	Subnet  string `json:"subnet,omitempty" doc:"From which to allocate; may be left out when the network has one subnet, or with address"`
	Owner   string `json:"owner" minLength:"1" maxLength:"255" doc:"Who is to have it"`
	Address string `json:"address,omitempty" doc:"This one and no other"`
	ForS    int    `json:"for_s,omitempty" minimum:"0" doc:"Seconds after which it becomes free unless it is asked for again; 0: until it is released"`
}

// AddressRelease names an address to be freed.
type AddressRelease struct {
	Address string `json:"address" doc:"The address"`
}

// addresses registers what is about addresses.
func (s *server) addresses() {
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	type all struct {
		AddressFilter
		Everywhere bool `query:"everywhere" doc:"Of all peers that answer, not of this one alone"`
		Watch      bool `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
	}
	huma.Register(s.api, operation("get-subnets", http.MethodGet, "/ipam/subnets", "Subnets that addresses are given from, and who owns which part", later),
		func(ctx context.Context, _ *watch) (*answer[[]Subnet], error) {
			out, err := s.node.Subnets(ctx)
			return &answer[[]Subnet]{complete(out)}, s.refusal(err)
		})
	s.streamed("/ipam/subnets")
	huma.Register(s.api, operation("get-addresses", http.MethodGet, "/ipam/addresses", "Addresses that are not free", invalid, later),
		func(ctx context.Context, in *all) (*paged[Address], error) {
			keep, err := in.parsed()
			if err != nil {
				return nil, s.refusal(err)
			}
			out, err := s.node.Addresses(ctx, in.Everywhere)
			if err != nil {
				return nil, s.refusal(err)
			}
			page, err := byAddress.cut(complete(out), in.Page, keep)
			return page, s.refusal(err)
		})
	s.streamed("/ipam/addresses")
	type one struct {
		Address string `path:"address" doc:"The address"`
		Watch   bool   `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
	}
	huma.Register(s.api, operation("get-address", http.MethodGet, "/ipam/addresses/{address}", "Why an address is as it is", invalid, later),
		func(ctx context.Context, in *one) (*answer[AddressWhy], error) {
			out, err := s.node.WhyAddress(ctx, in.Address)
			return &answer[AddressWhy]{complete(out)}, s.refusal(err)
		})
	s.streamed("/ipam/addresses/{address}")
	huma.Register(s.api, operation("allocate-address", http.MethodPost, "/ipam/allocate", "Give an owner an address", invalid, missing, conflict, later),
		func(ctx context.Context, in *answer[AddressRequest]) (*answer[Address], error) {
			out, err := s.node.AllocateAddress(ctx, in.Body)
			return &answer[Address]{out}, s.refusal(err)
		})
	huma.Register(s.api, operation("release-address", http.MethodPost, "/ipam/release", "Free an address", invalid, missing, conflict, later),
		func(ctx context.Context, in *answer[AddressRelease]) (*struct{}, error) {
			if _, err := netip.ParseAddr(in.Body.Address); err != nil {
				return nil, huma.NewError(invalid, "address: "+err.Error())
			}
			return nil, s.refusal(s.node.ReleaseAddress(ctx, in.Body.Address))
		})
	s.addressFiles()
	s.donations()
	s.inheritances()
}
