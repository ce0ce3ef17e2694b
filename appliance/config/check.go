package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/drawbridge-net/drawbridge"
)

// Limits of the kernel.
const (
	maxInterface = 15  // IFNAMSIZ without the final zero (linux/if.h)
	maxSocket    = 107 // sun_path without the final zero (unix(7))
	maxVLAN      = 4094
	maxBatch     = 1024 // UIO_MAXIOV: the most that one sendmmsg takes
	minMTU       = 576  // what every IPv4 host accepts (RFC 1122 §3.3.3)
	maxMTU       = 9216 // the largest that common switches carry
)

// checker collects problems under the keys that they belong to.
type checker struct{ problems []Problem }

// refuse notes that key is wrong because of what a printf-like text says; "" adds what is allowed.
func (c *checker) refuse(key, format string, args ...any) {
	c.problems = append(c.problems, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// want notes that key has a value that is not allowed, unless ok.
func (c *checker) want(ok bool, key string, value any) {
	if ok {
		return
	}
	k, _ := lookUp(key)
	shown := fmt.Sprintf("%v", value)
	if s, isText := value.(string); isText {
		shown = strconv.Quote(s)
	}
	c.refuse(key, "%s is not allowed: wants %s", shown, k.Allowed)
}

// check reports everything that is wrong with c and can be known without looking at the host.
func (c *Config) check() []Problem {
	k := new(checker)
	if c.Name != "" {
		k.want(drawbridge.CheckName(string(c.Name)) == nil, "name", string(c.Name))
	}
	k.want(filepath.IsAbs(c.StateDir), "state_dir", c.StateDir)
	k.want(filepath.IsAbs(c.Socket) && len(c.Socket) <= maxSocket, "socket", c.Socket)
	k.addresses(c)
	k.want(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", c.Log.Level)
	k.want(c.Log.Format == "text" || c.Log.Format == "json", "log.format", c.Log.Format)
	k.want(c.Profile == ProfileLAN || c.Profile == ProfileWAN, "profile", c.Profile)
	k.want(c.Data.Cipher == CipherAES || c.Data.Cipher == CipherNone, "data.cipher", c.Data.Cipher)
	k.want(c.Data.Batch >= 1 && c.Data.Batch <= maxBatch, "data.batch", c.Data.Batch)
	k.segments(c.Segments)
	k.guests(c.Guests)
	k.uniqueNames(c)
	k.uniquePorts(c)
	return k.problems
}

func (k *checker) addresses(c *Config) {
	k.want(len(c.Listen) > 0, "listen", "[]")
	for i, a := range c.Listen {
		at, err := netip.ParseAddrPort(a)
		k.want(err == nil && at.Port() != 0, fmt.Sprintf("listen[%d]", i+1), a)
		if slices.Contains(c.Listen[:i], a) {
			k.refuse(fmt.Sprintf("listen[%d]", i+1), "%s stands there twice", a)
		}
	}
	if c.Console != "" {
		at, err := netip.ParseAddrPort(c.Console)
		k.want(err == nil && at.Port() != 0, "console", c.Console)
	}
	for i, a := range c.Advertise {
		ok := validHostPort(a)
		if at, err := netip.ParseAddrPort(a); err == nil && at.Addr().IsUnspecified() {
			ok = false // nobody can call 0.0.0.0
		}
		k.want(ok, fmt.Sprintf("advertise[%d]", i+1), a)
	}
	for i, a := range c.Join {
		k.want(validHostPort(a), fmt.Sprintf("join[%d]", i+1), a)
	}
}

// withPort completes an address that names no port, as people write them.
func withPort(a, port string) string {
	if _, err := netip.ParseAddr(a); err == nil {
		return net.JoinHostPort(a, port)
	}
	if !strings.Contains(a, ":") && a != "" {
		return a + ":" + port
	}
	return a
}

// validHostPort reports whether a is an address or DNS name and a port number.
func validHostPort(a string) bool {
	host, port, err := net.SplitHostPort(a)
	n, numErr := strconv.ParseUint(port, 10, 16)
	if err != nil || numErr != nil || n == 0 {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, notInHost) && !allDigits(host)
}

func notInHost(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && r != '-' && r != '.' && r != '_'
}

// allDigits tells a mistyped IPv4 address from a name.
func allDigits(s string) bool { return strings.Trim(s, "0123456789.") == "" }

func (k *checker) segments(segments []Segment) {
	for i, s := range segments {
		key := fmt.Sprintf("segment[%d].", i+1)
		k.want(drawbridge.CheckName(s.Name) == nil, key+"name", s.Name)
		k.want(validInterface(s.Interface), key+"interface", s.Interface)
		k.want(s.VLAN <= maxVLAN, key+"vlan", s.VLAN)
		k.want(s.VNI >= 1 && s.VNI <= drawbridge.MaxVNI, key+"vni", s.VNI)
		k.want(slices.Contains([]string{ModeAuto, ModePassive, ModeActiveManual}, s.Mode), key+"mode", s.Mode)
	}
}

func (k *checker) guests(guests []Guest) {
	for i, g := range guests {
		key := fmt.Sprintf("guest[%d]", i+1)
		switch {
		case g.Interface == "" && g.TAP == "":
			k.refuse(key, "wants one of interface and tap")
			continue
		case g.Interface != "" && g.TAP != "":
			k.refuse(key+".tap", "wants one of interface and tap, has both")
		case g.TAP == "" && g.Bridge != "":
			k.refuse(key+".bridge", "goes with tap only; an interface that is a port of a bridge is attached by naming the bridge as interface")
		case g.TAP == "" && g.MTU != 0:
			k.refuse(key+".mtu", "goes with tap only; set the MTU of %s where it is made", g.Interface)
		}
		k.want(g.Interface == "" || validInterface(g.Interface), key+".interface", g.Interface)
		k.want(g.TAP == "" || validInterface(g.TAP), key+".tap", g.TAP)
		k.want(g.Bridge == "" || validInterface(g.Bridge), key+".bridge", g.Bridge)
		k.want(g.VNI >= 1 && g.VNI <= drawbridge.MaxVNI, key+".vni", g.VNI)
		k.want(g.MTU == 0 || g.MTU >= minMTU && g.MTU <= maxMTU, key+".mtu", g.MTU)
	}
}

// validInterface is the kernel's dev_valid_name.
func validInterface(s string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r == 0x7f }
	return s != "" && len(s) <= maxInterface && s != "." && s != ".." && !strings.ContainsFunc(s, bad)
}

func (k *checker) uniqueNames(c *Config) {
	seen := map[string]string{}
	for i, s := range c.Segments {
		key := fmt.Sprintf("segment[%d].name", i+1)
		if first := seen[s.Name]; first != "" {
			k.refuse(key, "%q is the name of %s too", s.Name, first)
		}
		seen[s.Name] = fmt.Sprintf("segment[%d]", i+1)
	}
}

// uniquePorts refuses two ports on one wire: each would capture what the other injects.
func (k *checker) uniquePorts(c *Config) {
	wires, trunks := map[string]string{}, map[string]string{}
	claim := func(key, wire, what string) {
		if first := wires[wire]; first != "" {
			k.refuse(key, "%s belongs to %s already", what, first)
			return
		}
		wires[wire] = key[:strings.IndexByte(key, '.')]
	}
	for i, s := range c.Segments {
		key := fmt.Sprintf("segment[%d].interface", i+1)
		claim(key, fmt.Sprintf("%s.%d", s.Interface, s.VLAN), fmt.Sprintf("%s with VLAN %d", s.Interface, s.VLAN))
		trunks[s.Interface] = fmt.Sprintf("segment[%d]", i+1)
	}
	for i, g := range c.Guests {
		name, key := g.Interface, fmt.Sprintf("guest[%d].interface", i+1)
		if g.TAP != "" {
			name, key = g.TAP, fmt.Sprintf("guest[%d].tap", i+1)
		}
		if name == "" {
			continue
		}
		if first := trunks[name]; first != "" {
			k.refuse(key, "%s belongs to %s already", name, first)
		}
		claim(key, name, name)
		if g.Bridge != "" && g.Bridge == name {
			k.refuse(fmt.Sprintf("guest[%d].bridge", i+1), "%s cannot be a port of itself", name)
		}
	}
}
