package netconfig

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

// Key describes one key of the document. Errors, the form for editing and docs/reference/network-config.md are made
// from this table, so they cannot disagree.
type Key struct {
	Name    string // dotted; [] after a list of tables
	Default string // as TOML; empty: none
	Allowed string // completes "wants ..."
	Text    string
	Since   int // form that it came with
}

const (
	aName   = "a name: 1 to 63 letters a-z, digits, '-' or '_'"
	aLength = "a length of time, such as \"40ms\" or \"1m30s\""
	events  = "a list of kinds of events or patterns of them, such as [\"segment_*\", \"port_down\"], at most 64"
	told    = "Kinds of [events](events.md) that are told; none: all."
	levels  = `"info", "warn" or "error"`
	least   = "The least severity that is told."
	tellers = "Who tells it. Empty: every peer, of what it sees itself."
	pinned  = "the SHA-256 of a certificate: 64 hexadecimal digits, colons between them or not"
	pins    = "The only certificate of the far end that is accepted. None: one that the host trusts, for the name that is called."
)

// Keys are all keys, in the order in which a document is written.
var Keys = []Key{
	{"format", "1", "a number that this software knows: 1", "The lowest form of the document that reads it right. Written by the software.", 1},

	{"timers.profile", `"default"`, `"default", "fast", "wan" or "custom"`, "How soon a dead gateway is replaced: default 10ms/40ms, fast 5ms/20ms (wants real-time scheduling on every voter), wan 50ms/250ms; custom: what renew and term say.", 1},
	{"timers.renew", "", aLength + ", at least 1ms", "With custom: how often the holder of a lease renews it. Otherwise what the profile has.", 1},
	{"timers.term", "", aLength + ", at most 10s and long enough for three renewals", "With custom: how long a lease lasts.", 1},

	{"overlay[].name", "", aName, "Required. What segments and subnets call it.", 1},
	{"overlay[].vni", "", "a number from 1 to 16777215", "Required. Its number in frames and node files.", 1},
	{"overlay[].mtu", "0", "0 or a number from 576 to 9216", "Largest IP packet in bytes on it; 0: what crosses the mesh whole.", 1},
	{"overlay[].foreign_dhcp", "false", "true or false", "Whether answers of DHCP servers and advertisements of routers cross between the VLAN, the mesh and guests. Off, only the peers answer guests.", 1},
	{"overlay[].storm_limit", "20000", "a number from 100 to 10000000", "Frames a second that one port may flood, and a fifth of that at once; more are dropped there.", 1},

	{"overlay[].engine", `"user"`, `"user", "kernel" or "auto"`, "What forwards its frames on every peer: user space, which encrypts; or the kernel, which is faster and encrypts nothing itself, for all frames as soon as all peers can, and until then for those between two that can. kernel: that user space does it is shown as a problem. auto: it is not.", 1},
	{"overlay[].underlay", `"untrusted"`, `"untrusted", "trusted" or "wireguard"`, "trusted: nobody else can read or write what peers send each other, or something else protects it. wireguard: the peers set WireGuard up for the kernel engine, on UDP port 6632. The kernel engine wants one of the two.", 1},

	{"segment[].name", "", aName, "Required. The same as in the node files of its gateways.", 1},
	{"segment[].overlay", "", "the name of an overlay of this document", "Required. The overlay that it is bridged to.", 1},
	{"segment[].eligible", "[]", "a list of names of peers, at most 64", "Who may bridge it. Empty: every gateway with a port on it.", 1},
	{"segment[].preferred", "", "the name of a peer that is eligible", "The gateway that is asked first. Without one, the segments are spread over their gateways.", 1},
	{"segment[].mode", `"auto"`, `"auto", "passive" or "active-manual"`, "auto: the gateways agree on one. passive: none is active. active-manual: the preferred gateway and no other; nobody takes over from it.", 1},
	{"segment[].quorum_loss", `"close"`, `"close", "hold" or "segment"`, "What the active gateway does without a majority of the voters. close: shut. hold: go on while the other gateway is heard to be passive. segment: the gateways elect on the wire; two may be active when the wire is split.", 1},
	{"segment[].preempt", "false", "true or false", "Whether the preferred gateway takes over from another one that works.", 1},
	{"segment[].hold_down", `"30s"`, aLength + ", at most 24h", "With preempt: how long the preferred gateway must have been well, and another active, before it does; 5 s at least. At most once in five minutes.", 1},

	{"segment[].drill", "", "a time of UTC, for each day (\"03:00\") or some (\"Sun 03:00\", \"Mon,Thu 03:00\")", "When the active gateway rehearses a switchover, there and back, and measures it. None: only when somebody asks for one. When not all is well it is skipped, and that is told.", 1},

	{"subnet[].cidr", "", "a prefix, such as \"10.0.0.0/16\"", "Required. What addresses are given out from.", 1},
	{"subnet[].overlay", "", "the name of an overlay of this document", "Required. The overlay that it is on.", 1},
	{"subnet[].reserved", "[]", "a list of addresses, prefixes, or ranges such as \"10.0.0.1-10.0.0.9\", within the subnet", "Never given out.", 1},
	{"subnet[].router", "", "an address of the subnet", "The way out.", 1},
	{"subnet[].dns", "[]", "a list of addresses", "Resolvers that are told to whoever gets an address.", 1},
	{"subnet[].option[].code", "", "a number from 1 to 254", "Required. Code of a DHCP option (RFC 2132).", 1},
	{"subnet[].option[].value", "", "a text of at most 255 bytes", "Required. Its value.", 1},

	{"alerts.webhook[].name", "", aName, "Required.", 1},
	{"alerts.webhook[].url", "", "an http or https address", "Required. Where events are posted.", 1},
	{"alerts.webhook[].secret", "", "a text of 16 to 256 characters", "Signs what is posted (HMAC-SHA256). Whoever may read the configuration sees it. None: nothing is signed.", 1},
	{"alerts.webhook[].fingerprint", "", pinned, pins, 1},
	{"alerts.webhook[].events", "[]", events, told, 1},
	{"alerts.webhook[].severity", `"info"`, levels, least, 1},
	{"alerts.webhook[].peers", "[]", "a list of names of peers, at most 256", tellers, 1},
	{"alerts.command[].name", "", aName, "Required.", 1},
	{"alerts.command[].run", "", "a list that begins with the name of a program, or its absolute path", "Required. The program and its arguments; the event is on standard input. A host runs only what its own administrator has put into `hooks` beside its node file.", 1},
	{"alerts.command[].events", "[]", events, told, 1},
	{"alerts.command[].severity", `"info"`, levels, least, 1},
	{"alerts.command[].peers", "[]", "a list of names of peers, at most 256", tellers, 1},
	{"alerts.syslog[].name", "", aName, "Required.", 1},
	{"alerts.syslog[].address", "", "host:port", "Required. A collector of RFC 5424 messages.", 1},
	{"alerts.syslog[].transport", `"udp"`, `"udp", "tcp" or "tls"`, "How messages go there. udp: RFC 5426, what is lost is lost. tcp: RFC 6587. tls: RFC 5425.", 1},
	{"alerts.syslog[].fingerprint", "", pinned, "With tls. " + pins, 1},
	{"alerts.syslog[].events", "[]", events, told, 1},
	{"alerts.syslog[].severity", `"info"`, levels, least, 1},
	{"alerts.syslog[].peers", "[]", "a list of names of peers, at most 256", tellers, 1},

	{"users", "", "an object", "Users and what they may do. Written by the commands for users.", 1},
}

// lookUp finds the key that a path, or an element of its value, belongs to.
func lookUp(name string) Key {
	name = strings.TrimSuffix(keypath.Plain(name), "[]")
	for _, k := range Keys {
		if k.Name == name {
			return k
		}
	}
	return Key{Name: name, Allowed: "something else"}
}

// meant says which key of a table somebody may have meant by one that there is not.
func meant(table, key string) string {
	known := make([]string, 0, len(Keys))
	for _, k := range Keys {
		known = append(known, k.Name)
	}
	return keypath.Meant(known, table, key)
}

// Reference is docs/reference/network-config.md, made from the table of keys.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString("# Network configuration\n\n" +
		"One document says what is true of all peers of a network together; the [node file](node-file.md) says what is true\n" +
		"of one host. It has two forms with the same keys: TOML for people, JSON for programs. How it is changed:\n" +
		"[how-to](../how-to/configuration.md); how it travels: [protocol](../protocol/config.md).\n\n" +
		"It is strict: an unknown key or a value that is not allowed is refused with line and column, and everything that is\n" +
		"wrong is reported at once. This table is the only place where defaults are. What is stored has them filled in: a later\n" +
		"version of the software with other defaults does not change what a network decided.\n")
	table := "-"
	for _, k := range Keys {
		section, name := "", k.Name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			section, name = name[:i], name[i+1:]
		}
		if section != table {
			table = section
			fmt.Fprintf(&b, "\n%s\n\n| key | wants | default | |\n|---|---|---|---|\n", heading(section))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, k.Allowed, code(k.Default), k.Text)
	}
	fmt.Fprintf(&b, "\n## Example\n\n```toml\n%s```\n", Example)
	return b.Bytes()
}

func heading(section string) string {
	switch {
	case section == "":
		return "## At the top"
	case strings.HasSuffix(section, "[]"):
		return "## `[[" + strings.ReplaceAll(section, "[]", "") + "]]`, any number of them"
	default:
		return "## `[" + section + "]`"
	}
}

func code(s string) string {
	if s == "" {
		return "none"
	}
	return "`" + s + "`"
}

// Example is a network with one overlay that two gateways bridge to an office.
const Example = `[timers]
profile = "default"

[[overlay]]
name = "lan"
vni = 1

[[segment]]
name = "office"
overlay = "lan"
eligible = ["a", "b"]
preferred = "a"

[[subnet]]
cidr = "10.32.0.0/16"
overlay = "lan"
reserved = ["10.32.0.1-10.32.0.99"]
router = "10.32.0.1"
dns = ["10.32.0.2"]
`
