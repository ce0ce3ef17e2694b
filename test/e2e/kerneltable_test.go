//go:build kerneltable

package e2e

import "testing"

// byKernel is what the configuration says of an overlay that the kernel carries.
const byKernel = `engine = "kernel"
underlay = "trusted"
foreign_dhcp = true`

// TestFailureTableInTheKernel lets every row of the failure table happen while the kernel carries the frames, which takes
// some minutes.
func TestFailureTableInTheKernel(t *testing.T) {
	f := newField(t, "table", pairAndWitness)
	f.engine = byKernel
	f.reach(t, 0)
	f.twoSwitches()
	for _, r := range failures {
		t.Run(r.name, func(t *testing.T) { r.run(t, f) })
	}
}
