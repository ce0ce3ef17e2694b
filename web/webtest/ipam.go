package webtest

import (
	"bytes"
	"context"

	"github.com/drawbridge-net/drawbridge/web"
)

// address is what a Node answers about one address.
func address() web.Address {
	until := Now
	return web.Address{
		Address: "10.43.0.17", Use: "allocated", Owner: "mac:020000000001", Until: &until, At: "a", MAC: "02:00:00:00:00:01", Host: "printer", Port: "tap0",
	}
}

// Subnets implements web.Addresser.
func (n *Node) Subnets(context.Context) ([]web.Subnet, error) {
	return []web.Subnet{{
		Subnet: "10.43.0.0/24", Overlays: []string{"main"}, Server: "10.43.0.254", Able: true, Used: 1, Free: 126, FreeAll: 250,
		Ring:  []web.SubnetShare{{Prefix: "10.43.0.0/25", Peer: "a", Life: "00001111"}, {Prefix: "10.43.0.128/25", Peer: "b", Life: "00002222"}},
		Peers: []web.SubnetPeer{{Peer: "a", Free: 126, FreeBlocks: 7}, {Peer: "b", Free: 124, FreeBlocks: 7, DryS: 7200}},
	}}, n.read().Failure
}

// Addresses implements web.Addresser.
func (n *Node) Addresses(context.Context, bool) ([]web.Address, error) {
	return []web.Address{address()}, n.read().Failure
}

// WhyAddress implements web.Addresser.
func (n *Node) WhyAddress(_ context.Context, a string) (web.AddressWhy, error) {
	return web.AddressWhy{Address: a, Why: []string{"it is allocated by a to \"mac:020000000001\""}}, n.read().Failure
}

// AllocateAddress implements web.Addresser.
func (n *Node) AllocateAddress(_ context.Context, r web.AddressRequest) (web.Address, error) {
	return address(), n.note("allocate %q of %q for %q, %d s", r.Address, r.Subnet, r.Owner, r.ForS)
}

// DonateAddresses implements web.Addresser.
func (n *Node) DonateAddresses(_ context.Context, d web.AddressDonation) (web.AddressGift, error) {
	out := web.AddressGift{Subnet: "10.43.0.0/24", To: d.To, Parts: []string{"10.43.0.64/28"}, Addresses: 16, Left: 3}
	return out, n.note("donate %q of %q, %d blocks, to %s, dry %t", d.Part, d.Subnet, d.Count, d.To, d.DryRun)
}

// AddressCounts implements web.Addresser.
func (n *Node) AddressCounts(context.Context) (web.AddressCounts, error) {
	return web.AddressCounts{
		Pools: []web.PoolCounts{{Subnet: "10.43.0.0/24", Able: true, Blocks: 8, Free: 126, Allocated: 1, Entries: 2, DryS: 4096}},
		Given: 3, Refused: map[string]uint64{"taken": 1}, Donated: 2, Received: 1, Conflicts: 1, Foreign: 1,
	}, nil
}

// SuggestSubnet implements web.Addresser.
func (n *Node) SuggestSubnet(_ context.Context, from []string) (web.SubnetSuggestion, error) {
	out := web.SubnetSuggestion{Subnet: "10.43.0.0/16"}
	if len(from) > 1 {
		out = web.SubnetSuggestion{Subnet: from[1], Refused: []web.RefusedSubnet{{Subnet: from[0], Why: "overlaps " + from[0] + ", a route on eth0 of peer a"}}}
	}
	return out, n.read().Failure
}

// Inheritance implements web.Addresser.
func (n *Node) Inheritance(_ context.Context, peer string) (web.Inheritance, error) {
	return inheritance(peer), n.read().Failure
}

// ForgetAddresses implements web.Addresser.
func (n *Node) ForgetAddresses(_ context.Context, peer string) (web.Inheritance, error) {
	return inheritance(peer), n.note("forget addresses of %s", peer)
}

func inheritance(peer string) web.Inheritance {
	return web.Inheritance{
		Peer: peer, Life: "00002222", Heir: "a", WaitS: 261792, Parts: []web.InheritedPart{{Subnet: "10.43.0.0/24", Parts: []string{"10.43.0.128/25"}}},
	}
}

// ReleaseAddress implements web.Addresser.
func (n *Node) ReleaseAddress(_ context.Context, a string) error { return n.note("release %s", a) }

// ExportAddresses implements web.Addresser.
func (n *Node) ExportAddresses(_ context.Context, e web.AddressExport) ([]byte, error) {
	if e.Format == "json" {
		return []byte(`[{"address":"10.43.0.17","owner":"mac:020000000001"}]`), n.read().Failure
	}
	return []byte("address,owner\n10.43.0.17,mac:020000000001\n"), n.read().Failure
}

// ImportAddresses implements web.Addresser. It refuses what has no comma.
func (n *Node) ImportAddresses(_ context.Context, file []byte, dry bool) (web.AddressImport, error) {
	if !bytes.Contains(file, []byte(",")) {
		return web.AddressImport{}, web.InvalidImport{{Line: 2, Text: "there is no address"}}
	}
	out := web.AddressImport{Given: []web.ImportedAddress{{Line: 2, Address: "10.43.0.17", Owner: "printer", At: "a"}}, Same: 1}
	return out, n.note("import %q, dry %t", file, dry)
}
