package netlab

import "os"

// noIPv6 reports whether the kernel was built or booted without IPv6.
func noIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err != nil
}
