package doctor

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// ParseNft reads what `nft -j list ruleset` says: the base chains on the input hook, and what the rules of their tables
// let in. Rules of all chains of a table count, because firewalls jump through many. A rule that is not understood counts
// as one that may let us in: this is a check that says what is surely shut.
func ParseNft(text []byte) ([]Chain, error) {
	var doc struct {
		Nftables []struct {
			Chain *nftChain `json:"chain"`
			Rule  *nftRule  `json:"rule"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("rules of nft: %w", err)
	}
	var chains []Chain
	for _, x := range doc.Nftables {
		c := x.Chain
		if c == nil || c.Hook != "input" || c.Type != "filter" && c.Type != "" || c.Family == "bridge" || c.Family == "netdev" || c.Family == "arp" {
			continue
		}
		out := Chain{Name: c.Family + " " + c.Table + " " + c.Name, Drops: c.Policy == "drop"}
		for _, y := range doc.Nftables {
			if r := y.Rule; r != nil && r.Family == c.Family && r.Table == c.Table {
				r.into(&out, r.Chain == c.Name)
			}
		}
		chains = append(chains, out)
	}
	return chains, nil
}

type nftChain struct{ Family, Table, Name, Type, Hook, Policy string }

type nftRule struct {
	Family, Table, Chain string
	Expr                 []map[string]json.RawMessage
}

// into adds what a rule lets in, or that it drops the rest.
func (r *nftRule) into(c *Chain, base bool) {
	var accepts, drops, narrow, dport, opaque bool
	var open []PortRange
	for _, e := range r.Expr {
		for name, value := range e {
			switch name {
			case "accept":
				accepts = true
			case "drop", "reject":
				drops = true
			case "match":
				narrow = true
				if found, unread, ours := readMatch(value); ours {
					dport, open, opaque = true, append(open, found...), opaque || unread
				}
			case "counter", "log", "comment":
			default: // xt matches of iptables-nft, sets, jumps: not read
				narrow = true
				if name == "xt" {
					c.Opaque = true
				}
			}
		}
	}
	if !drops {
		c.Open, c.Opaque = append(c.Open, open...), c.Opaque || opaque
	}
	c.Drops = c.Drops || base && drops && !narrow
	c.Opaque = c.Opaque || accepts && !narrow && !dport
}

// readMatch reads "udp dport 6630" and the like; ours: it is about a destination port.
func readMatch(raw json.RawMessage) (open []PortRange, opaque, ours bool) {
	var m struct {
		Op   string
		Left struct {
			Payload struct{ Protocol, Field string }
		}
		Right json.RawMessage
	}
	if json.Unmarshal(raw, &m) != nil || m.Left.Payload.Field != "dport" || m.Left.Payload.Protocol == "tcp" {
		return nil, false, false
	}
	open, ok := readPorts(m.Right)
	return open, !ok || m.Op != "==" && m.Op != "", true
}

// readPorts reads a number, a range or a set of them.
func readPorts(raw json.RawMessage) ([]PortRange, bool) {
	var one uint16
	if json.Unmarshal(raw, &one) == nil {
		return []PortRange{{one, one}}, true
	}
	var span struct{ Range []uint16 }
	if json.Unmarshal(raw, &span) == nil && len(span.Range) == 2 {
		return []PortRange{{span.Range[0], span.Range[1]}}, true
	}
	var set struct{ Set []json.RawMessage }
	if json.Unmarshal(raw, &set) != nil || len(set.Set) == 0 {
		return nil, false
	}
	var all []PortRange
	for _, member := range set.Set {
		ranges, ok := readPorts(member)
		if !ok {
			return nil, false
		}
		all = append(all, ranges...)
	}
	return all, true
}

// ParseIptables reads `iptables -S`: the policy of INPUT, and what rules of any chain let in.
func ParseIptables(text string) []Chain {
	c := Chain{Name: "INPUT"}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && f[0] == "-P" && f[1] == "INPUT":
			c.Drops = f[2] == "DROP"
		case len(f) == 4 && f[1] == "INPUT" && f[2] == "-j" && (f[3] == "DROP" || f[3] == "REJECT"):
			c.Drops = true
		case len(f) == 4 && f[1] == "INPUT" && f[2] == "-j" && f[3] == "ACCEPT":
			c.Opaque = true
		case strings.HasSuffix(strings.TrimSpace(line), "-j ACCEPT") && !strings.Contains(line, "-p tcp"):
			c.add(f)
		}
	}
	return []Chain{c}
}

func (c *Chain) add(words []string) {
	for i := range len(words) - 1 {
		if words[i] != "--dport" && words[i] != "--dports" {
			continue
		}
		for part := range strings.SplitSeq(words[i+1], ",") {
			low, high, span := strings.Cut(part, ":")
			if !span {
				high = low
			}
			from, err := strconv.ParseUint(low, 10, 16)
			to, err2 := strconv.ParseUint(high, 10, 16)
			if err != nil || err2 != nil {
				c.Opaque = true
				continue
			}
			c.Open = append(c.Open, PortRange{uint16(from), uint16(to)})
		}
	}
}

// gatherFirewall asks nft, or else iptables.
func (g *gatherer) gatherFirewall() Firewall {
	if path, err := exec.LookPath("nft"); err == nil {
		text, err := exec.CommandContext(g.ctx, path, "-j", "list", "ruleset").Output()
		if err != nil {
			return Firewall{Tool: "nft", Error: "cannot list its rules: " + err.Error()}
		}
		chains, err := ParseNft(text)
		if err != nil {
			return Firewall{Tool: "nft", Error: err.Error()}
		}
		return Firewall{Tool: "nft", Chains: chains}
	}
	if path, err := exec.LookPath("iptables"); err == nil {
		text, err := exec.CommandContext(g.ctx, path, "-S").Output()
		if err != nil {
			return Firewall{Tool: "iptables", Error: "cannot list its rules: " + err.Error()}
		}
		return Firewall{Tool: "iptables", Chains: ParseIptables(string(text))}
	}
	return Firewall{}
}
