package web

import (
	"slices"
	"testing"
)

func TestAddressFilter(t *testing.T) {
	all := []Address{
		{Address: "10.0.0.9", Use: "allocated", Owner: "mac:02", Host: "Printer"},
		{Address: "10.0.0.10", Use: "lent", Owner: "x", Peer: "b"},
		{Address: "10.1.0.1", Use: "allocated", Owner: "camera"},
	}
	for _, c := range []struct {
		filter AddressFilter
		want   []string
	}{
		{AddressFilter{}, []string{"10.0.0.9", "10.0.0.10", "10.1.0.1"}},
		{AddressFilter{Subnet: "10.0.0.0/16"}, []string{"10.0.0.9", "10.0.0.10"}},
		{AddressFilter{Use: "allocated", Page: Page{Limit: 1}}, []string{"10.0.0.9"}},
		{AddressFilter{Page: Page{After: "10.0.0.9", Limit: 1}}, []string{"10.0.0.10"}},
		{AddressFilter{Page: Page{Find: "PRINT"}}, []string{"10.0.0.9"}},
		{AddressFilter{Page: Page{Find: "nothing"}}, nil},
	} {
		keep, err := c.filter.parsed()
		if err != nil {
			t.Fatal(err)
		}
		page, err := byAddress.cut(all, c.filter.Page, keep)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range page.Body {
			got = append(got, a.Address)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.filter, got, c.want)
		}
	}
	bad := AddressFilter{Subnet: "x"}
	if _, err := bad.parsed(); err == nil {
		t.Errorf("%+v is taken", bad)
	}
	if _, err := byAddress.cut(all, Page{After: "10.0.0.0/8"}, nil); err == nil {
		t.Error("a prefix is taken for a place")
	}
}
