package dhcp

import "strings"

// hostLabel makes one DNS label of what a client calls itself (RFC 952, RFC 1123 §2.1): the first label, in lower case,
// with spaces and underscores as dashes. What has other characters in it, or is too long, gives the empty string: a
// client is not given a name that it did not choose.
func hostLabel(s string) string {
	s, _, _ = strings.Cut(strings.TrimRight(s, "\x00"), ".")
	s = strings.NewReplacer(" ", "-", "_", "-").Replace(strings.ToLower(s))
	s = strings.Trim(s, "-")
	if len(s) > 63 {
		return ""
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return ""
		}
	}
	return s
}
