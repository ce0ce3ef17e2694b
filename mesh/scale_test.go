// The race detector crashes in bubbles of synctest that hold many timers (golang/go issue 78156): it sees the
// router in real_test.go, over real sockets.
//go:build !race

package mesh_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh/meshtest"
)

// TestManyPeers starts a network above FullMesh at once, and stops a third of it. DRAWBRIDGE_PEERS sets how
// many peers there are.
func TestManyPeers(t *testing.T) {
	meshtest.Run(t, func(t *testing.T) {
		n := 14
		if s := os.Getenv("DRAWBRIDGE_PEERS"); s != "" {
			n, _ = strconv.Atoi(s)
		}
		c, p := lan(t, n)
		c.Net.Slow(5 * time.Millisecond)
		for _, q := range p {
			q.Config.Links = 6
		}
		p[0].Start()
		for _, q := range p[1:] {
			q.Start(p[0])
		}
		t.Logf("%d peers agree after %s", n, c.Await(patience, "whole", c.Whole))
		links := 0
		for _, q := range p {
			links += len(q.Links())
			for reason, n := range q.Drops() {
				if reason != "membership packet: unreachable" { // before there were routes
					t.Errorf("%s: %s %d", q.Host.Name, reason, n)
				}
			}
		}
		c.Pass(10 * time.Second)
		settled := 0
		for _, q := range p {
			settled += len(q.Links())
		}
		t.Logf("%.1f links each at first, %.1f later", float64(links)/float64(n), float64(settled)/float64(n))
		for _, q := range p[n-n/3:] {
			q.Stop()
		}
		t.Logf("the rest agrees after %s", c.Await(patience, "whole again", c.Whole))
	})
}
