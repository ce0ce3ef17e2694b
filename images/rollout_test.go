//go:build image

package images

import (
	"testing"
	"time"
)

// TestRollout updates a pair of gateways one after the other by a bundle that is given to the third machine, each with a restart of
// the machine, while hosts on the VLAN and among the guests send numbered broadcasts.
func TestRollout(t *testing.T) {
	s := newSite(t)
	s.form(nextBundle(t))
	s.active("w", 2, anybody)
	s.reach()
	s.counted("quiet", func() { <-time.After(10 * time.Second) })
	s.counted("roll-out", func() {
		s.vms["w"].expect("drawbridge rollout start --from /dev/vdc --wait", "software: bundle (.|\n)*END=0")
	})
	for _, name := range []string{"a", "b"} {
		v := s.vms[name]
		v.drain()
		v.booted()
		v.expect("grep -c SLOT=b /run/drawbridge-boot/slot", "^1\n")
		v.expect("drawbridge update status", "^b .*running, starts next, good")
	}
	s.active("w", 2, anybody)
	said := s.vms["w"].do("drawbridge events -n 200")
	if t.Failed() {
		t.Log(said)
	}
}
