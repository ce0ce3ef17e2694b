package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/drawbridge-net/drawbridge/web"
)

// Subnets asks for the subnets that addresses are given from.
func (c *Client) Subnets(ctx context.Context) ([]web.Subnet, error) {
	return get[[]web.Subnet](ctx, c, "ipam/subnets", nil)
}

// Addresses asks for the addresses that are not free, at the peer or at all that answer.
func (c *Client) Addresses(ctx context.Context, everywhere bool) ([]web.Address, error) {
	q := url.Values{}
	if everywhere {
		q.Set("everywhere", "true")
	}
	return get[[]web.Address](ctx, c, "ipam/addresses", q)
}

// WhyAddress asks why an address is as it is.
func (c *Client) WhyAddress(ctx context.Context, a string) (web.AddressWhy, error) {
	return get[web.AddressWhy](ctx, c, "ipam/addresses/"+url.PathEscape(a), nil)
}

// AllocateAddress gives an owner an address.
func (c *Client) AllocateAddress(ctx context.Context, r web.AddressRequest) (a web.Address, err error) {
	return a, c.send(ctx, http.MethodPost, "ipam/allocate", r, &a)
}

// ReleaseAddress frees an address.
func (c *Client) ReleaseAddress(ctx context.Context, a string) error {
	return c.send(ctx, http.MethodPost, "ipam/release", web.AddressRelease{Address: a}, nil)
}

// DonateAddresses gives address space of the peer to another.
func (c *Client) DonateAddresses(ctx context.Context, d web.AddressDonation) (g web.AddressGift, err error) {
	return g, c.send(ctx, http.MethodPost, "ipam/donate", d, &g)
}

// Inheritance asks what forgetting a peer's part in giving out addresses would bring about.
func (c *Client) Inheritance(ctx context.Context, peer string) (web.Inheritance, error) {
	return get[web.Inheritance](ctx, c, "ipam/inheritance/"+url.PathEscape(peer), nil)
}

// ForgetAddresses ends a peer's part in giving out addresses.
func (c *Client) ForgetAddresses(ctx context.Context, peer string) (i web.Inheritance, err error) {
	return i, c.send(ctx, http.MethodPost, "ipam/forget", web.AddressForget{Peer: peer}, &i)
}

// SuggestSubnet asks for a subnet that nothing on any peer's host is in the way of.
func (c *Client) SuggestSubnet(ctx context.Context, candidates []string) (web.SubnetSuggestion, error) {
	return get[web.SubnetSuggestion](ctx, c, "ipam/suggestion", url.Values{"candidate": candidates})
}

// ExportAddresses asks for the addresses of guests at all peers as a file, csv or json.
func (c *Client) ExportAddresses(ctx context.Context, e web.AddressExport) ([]byte, error) {
	q := url.Values{"format": {e.Format}, "partial": {strconv.FormatBool(e.Partial)}}
	answer, err := c.call(ctx, http.MethodGet, "ipam/export", q, "*/*", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
}

// ImportAddresses gives all addresses of a file, or none; dry, it only says what it would do.
func (c *Client) ImportAddresses(ctx context.Context, file []byte, dry bool) (out web.AddressImport, err error) {
	const path = "ipam/import"
	q := url.Values{"dry_run": {strconv.FormatBool(dry)}}
	answer, err := c.exchange(ctx, http.MethodPost, path, q, "application/json", "text/plain", bytes.NewReader(file))
	if err != nil {
		return out, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return out, c.unreachable(ctx, err)
	}
	return out, parse(path, text, &out)
}
