package topology

import (
	"math/rand/v2"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh/wire"
)

// TestRolesAreThoseOfTheRecords whatever has been heard, said and forgotten.
func TestRolesAreThoseOfTheRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	top := New(wire.Record{ID: 1, UID: 1})
	for step := range 2000 {
		id := drawbridge.PeerID(2 + random.Uint32N(12))
		switch random.Uint32N(8) {
		case 0:
			top.SetRoles(uint8(random.Uint32N(4)))
		case 1:
			if step > 1500 {
				top.Forget(id)
			}
		case 2:
			top.Merge([]wire.Record{{ID: 1, UID: 9, Version: uint64(step), Roles: 3}}) // an earlier run of this peer
		default:
			top.Merge([]wire.Record{{ID: id, UID: 1, Version: uint64(1 + random.Uint32N(500)), Roles: uint8(random.Uint32N(4))}})
		}
		for id := range drawbridge.PeerID(15) {
			r, known := top.Get(id)
			if roles, has := top.RolesOf(id); has != known || roles != r.Roles {
				t.Fatalf("step %d: peer %d has roles %d, %v, want %d, %v", step, id, roles, has, r.Roles, known)
			}
		}
	}
}

func TestRolesCostNoAllocation(t *testing.T) {
	top := New(wire.Record{ID: 1, UID: 1, Roles: 2})
	if n := testing.AllocsPerRun(100, func() { top.RolesOf(1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
