package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge/appliance/lab"
	"github.com/drawbridge-net/drawbridge/web"
)

// run is a command of the program at a node.
func (b *bed) run(t *testing.T, node string, args ...string) string {
	t.Helper()
	nodes := b.Status().Nodes
	i := slices.IndexFunc(nodes, func(n lab.NodeStatus) bool { return n.Name == node })
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "DRAWBRIDGE_SOCKET="+nodes[i].API)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("drawbridge %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestAPeerThatLostItsStateFile gives no address until people have said that its part is forgotten; then it begins anew,
// and gives none that a guest of its former life has.
func TestAPeerThatLostItsStateFile(t *testing.T) {
	b := addressedLab(t, "w", "x")
	had := b.dhcpGuest(t, "x1").next(t, "bound")
	must(t, lab.Kill(b.Name, "x"))
	nodes := b.Status().Nodes
	i := slices.IndexFunc(nodes, func(n lab.NodeStatus) bool { return n.Name == "x" })
	must(t, os.Remove(filepath.Join(nodes[i].StateDir, "addresses")), lab.Start(t.Context(), b.Name, "x"))
	eventually(t, reachLimit, "x says what is lost", func() bool {
		all, err := b.api("x").Subnets(within(t, reachLimit))
		return err == nil && len(all) == 1 && !all[0].Able && strings.Contains(all[0].Reason, "state file of this peer is new")
	})
	if _, err := b.api("x").AllocateAddress(within(t, reachLimit), web.AddressRequest{Owner: "printer"}); err == nil {
		t.Error("x gives an address")
	}
	shown := b.run(t, "w", "ipam", "forget", "x", "--dry-run")
	for _, part := range []string{"inherits", "10.43.0.", "of subnet 10.43.0.0/24"} {
		if !strings.Contains(shown, part) {
			t.Errorf("nothing of %q is shown:\n%s", part, shown)
		}
	}
	if all, err := b.api("x").Subnets(within(t, reachLimit)); err != nil || all[0].Able {
		t.Errorf("shown, and done: %+v, %v", all, err)
	}
	t.Log(b.run(t, "x", "ipam", "forget", "x"))
	eventually(t, reachLimit, "x gives addresses that it was given", func() bool { return b.able(t, "x") })
	a, err := b.api("x").AllocateAddress(within(t, reachLimit), web.AddressRequest{Owner: "printer"})
	must(t, err)
	if a.Address == had {
		t.Errorf("%s is given again", had)
	}
}
