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
		{AddressFilter{Use: "allocated", Limit: 1}, []string{"10.0.0.9"}},
		{AddressFilter{After: "10.0.0.9", Limit: 1}, []string{"10.0.0.10"}},
		{AddressFilter{Find: "PRINT"}, []string{"10.0.0.9"}},
		{AddressFilter{Find: "nothing"}, nil},
	} {
		keep, err := c.filter.parsed()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range keep(all) {
			got = append(got, a.Address)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.filter, got, c.want)
		}
	}
	for _, bad := range []AddressFilter{{Subnet: "x"}, {After: "10.0.0.0/8"}} {
		if _, err := bad.parsed(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
