package config

import (
	"strings"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

// Key describes one key of the node file. Errors, the file that init writes and docs/reference/node-file.md
// are made from this table, so they cannot disagree.
type Key struct {
	Name    string // dotted; [] after an array of tables
	Default string // as TOML; empty: none
	Allowed string // completes "wants ..."
	Text    string
}

// Keys are all keys, in the order in which the file that init writes has them.
var Keys = []Key{
	{"name", "", "the name of this peer: 1 to 63 letters a-z, digits, '-' or '_'", "Only a check: the peer does not start when its identity has another name."},
	{"state_dir", `"/var/lib/drawbridge"`, "an absolute path", "Identity, tokens and what must survive a restart. Mode 0700, root only."},
	{"socket", `"/run/drawbridge/drawbridge.sock"`, "an absolute path of at most 107 bytes", "Unix socket of the local API. Open to root and the group drawbridge."},
	{"listen", `["0.0.0.0:6630"]`, "a list of at least one IP:port, such as [\"0.0.0.0:6630\", \"[::]:6630\"]", "Where other peers reach this one, by TCP and UDP."},
	{"advertise", "", "a list of host:port; [] when no peer can call this one", "Addresses that other peers are told. Left out: found out by itself. Empty list: this peer only makes calls, as behind NAT."},
	{"join", "[]", "a list of host:port, such as [\"192.0.2.1:6630\"]", "Peers to call at the start. One that answers is enough; the rest is learned from it. While nobody is there, the addresses that the last run knew are called, too."},
	{"profile", `"lan"`, `"lan" or "wan"`, "How far apart the peers are. wan: a silent peer is called dead about five times later than the 1 to 1.5 s of lan, which spares a slow or lossy underlay false alarms; links and routes are as quick as ever. All peers of a network should agree."},

	{"console", "", "IP:port, such as \"0.0.0.0:8630\"", "Where browsers and API clients reach this peer, by HTTPS; port 8630 when none is named. Left out: only the unix socket."},

	{"log.level", `"info"`, `"debug", "info", "warn" or "error"`, "The least serious messages that are written."},
	{"log.format", `"text"`, `"text" or "json"`, "How a message is written to standard error."},

	{"data.cipher", `"aes-128-gcm"`, `"aes-128-gcm" or "none"`, "How frames are sealed between peers; both ends must agree. \"none\" is for benchmarks on a wire that nobody else can touch: anybody who can send a datagram can then send frames."},
	{"data.offload", "true", "true or false", "Segmentation offload (GSO, GRO, virtio-net headers) where the kernel has it. false is for finding out whether it is to blame."},
	{"data.batch", "64", "a number from 1 to 1024", "The most frames that are taken from a port or socket at once. More does not help; fewer costs throughput."},

	{"segment[].name", "", "a name: 1 to 63 letters a-z, digits, '-' or '_'", "Required. Every gateway of one segment gives it the same name; that is how they know of each other."},
	{"segment[].interface", "", "the name of a network interface, at most 15 bytes", "Required. The interface that is wired to the segment."},
	{"segment[].vlan", "0", "a number from 0 to 4094", "802.1Q tag on that interface; 0: untagged."},
	{"segment[].vni", "1", "a number from 1 to 16777215", "The overlay that the segment is bridged to."},
	{"segment[].mode", `"auto"`, `"auto", "passive" or "active-manual"`, "auto: the gateways of the segment agree on one of them. passive: never active. active-manual: always active, nothing guards against a second one."},

	{"guest[].interface", "", "the name of a network interface, at most 15 bytes", "An interface that exists, such as the outer end of a veth pair. Exactly one of interface and tap."},
	{"guest[].tap", "", "a name for a network interface, at most 15 bytes", "A TAP interface, made when it does not exist. Exactly one of interface and tap."},
	{"guest[].vni", "1", "a number from 1 to 16777215", "The overlay that the guests are on."},
	{"guest[].bridge", "", "the name of a bridge, at most 15 bytes", "With tap: the kernel bridge that the TAP is made a port of."},
	{"guest[].mtu", "0", "0 or a number from 576 to 9216", "With tap: its MTU in bytes; 0: the largest that crosses the mesh whole."},
}

// lookUp finds the key that a path, or an element of its value, belongs to. go-toml leaves positions out.
func lookUp(name string) (Key, bool) {
	name = strings.TrimSuffix(keypath.Plain(name), "[]")
	for _, k := range Keys {
		if k.Name == name || strings.ReplaceAll(k.Name, "[]", "") == name {
			return k, true
		}
	}
	return Key{}, false
}

// known reports whether a path is a key, an element of a list, or a table.
func known(name string) bool {
	name = keypath.Plain(name)
	for _, k := range Keys {
		list := strings.HasPrefix(k.Allowed, "a list") && k.Name+"[]" == name
		if k.Name == name || list || strings.HasPrefix(k.Name, name+".") || strings.HasPrefix(k.Name, name+"[].") {
			return true
		}
	}
	return false
}

// meant says which key somebody may have meant by one that there is not.
func meant(name string) string {
	known := make([]string, 0, len(Keys))
	for _, k := range Keys {
		known = append(known, k.Name)
	}
	table := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		table, name = name[:i], name[i+1:]
	}
	return keypath.Meant(known, table, name)
}
