package e2e

import (
	"os"
	"testing"
)

// byKernel is what the configuration says of an overlay that the kernel carries.
const byKernel = `engine = "kernel"
underlay = "trusted"
foreign_dhcp = true`

// everywhereInKernel waits until the kernel carries the overlay at all nodes.
func (f *field) everywhereInKernel(t *testing.T) {
	t.Helper()
	for _, n := range f.Status().Nodes {
		f.inKernel(t, n.Name)
	}
}

// TestFailureTableInTheKernel lets every row of the failure table happen while the kernel carries the frames. It takes some
// minutes: DRAWBRIDGE_E2E_KERNEL=1.
func TestFailureTableInTheKernel(t *testing.T) {
	if os.Getenv("DRAWBRIDGE_E2E_KERNEL") == "" {
		t.Skip("DRAWBRIDGE_E2E_KERNEL=1 runs the failure table with the kernel engine")
	}
	f := newField(t, "table", pairAndWitness)
	f.engine = byKernel
	f.reach(t, 0)
	f.twoSwitches()
	for _, r := range failures {
		t.Run(r.name, func(t *testing.T) { r.run(t, f) })
	}
}
