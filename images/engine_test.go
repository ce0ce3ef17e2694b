//go:build image

package images

import "testing"

// TestKernelEngine has the kernel of the appliance carry the frames, which its daemon has few rights for.
func TestKernelEngine(t *testing.T) {
	v := start(t, false, newDisk(t), medium(t, map[string]string{"drawbridge.toml": calm + "\n[[segment]]\nname = \"office\"\ninterface = \"ens5\"\n", "network": "home\n"}))
	v.booted()
	v.expect(untilReady, "END=0")
	v.expect("printf '[[overlay]]\\nname = \"lan\"\\nvni = 1\\nengine = \"kernel\"\\nunderlay = \"trusted\"\\nforeign_dhcp = true\\n' >/run/network.toml; drawbridge config apply /run/network.toml", "END=0")
	v.expect("for i in $(seq 60); do drawbridge status | grep -q 'frames *in the kernel' && break; sleep 2; done; drawbridge status", "frames +in the kernel")
	v.expect("systemctl show -P CapabilityBoundingSet drawbridge", "cap_bpf")
}
