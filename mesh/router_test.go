package mesh_test

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/mesh/meshtest"
)

// line makes three peers of which only the middle one is called by the others.
func line(t *testing.T) (c *meshtest.Cluster, a, b, d *meshtest.Peer) {
	t.Helper()
	c = meshtest.NewCluster(t, "lab", meshtest.NewNet(time.Millisecond))
	a, b, d = c.Add("host1"), c.Add("host2"), c.Add("host3")
	return c, a, b, d
}

func TestThreePeersFindEachOther(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		c, a, b, d := line(t)
		b.Start()
		a.Start(b)
		d.Start(b)
		took := c.Await(10*time.Second, "all reach all directly", func() bool {
			return c.Whole() && a.State(d).State == mesh.StateDirect && d.State(a).State == mesh.StateDirect
		})
		c.Await(5*time.Second, "memberlist knows all", func() bool {
			return a.State(d).Membership == mesh.MemberAlive && d.State(a).Membership == mesh.MemberAlive
		})
		t.Logf("after %s", took)
	})
}
