package main

import (
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// examples are lines that can be typed, by the command below whose help they stand. Every command that wants more than its
// name has some, and a test reads each of them as the command would.
var examples = map[string][]string{
	"": {"drawbridge demo", "drawbridge status", "drawbridge doctor", "drawbridge switchover office --dry-run"},

	"init":             {"drawbridge init --network home --name a", "systemctl enable --now drawbridge", "drawbridge token create --role gateway,voter"},
	"join":             {"drawbridge join TOKEN --name b", "drawbridge join - --name b <token", "drawbridge join TOKEN --name roaming --outbound-only", "systemctl enable --now drawbridge"},
	"run":              {"drawbridge run", "drawbridge run --config ./drawbridge.toml"},
	"token create":     {"drawbridge token create", "drawbridge token create --role gateway,voter --ttl 24h", "drawbridge token create --uses 5 --quiet >token"},
	"token list":       {"drawbridge token list --state valid"},
	"token revoke":     {"drawbridge token revoke 0102030405"},
	"users add":        {"drawbridge users add ann --role operator", "pass show drawbridge/ann | drawbridge users add ann"},
	"users code":       {"drawbridge users code"},
	"users disable":    {"drawbridge users disable ann"},
	"users enable":     {"drawbridge users enable ann"},
	"users passwd":     {"drawbridge users passwd ann"},
	"users remove":     {"drawbridge users remove ann"},
	"users role":       {"drawbridge users role ann admin"},
	"users totp":       {"drawbridge users totp ann", "drawbridge users totp ann --remove"},
	"users issuer set": {"drawbridge users issuer show --json >issuer.json", "drawbridge users issuer set issuer.json"},

	"users sessions end": {"drawbridge users sessions", "drawbridge users sessions end 9f86d081"},
	"users token create": {"drawbridge users token create --comment monitoring --path /api/v1/metrics", "drawbridge users token create --role operator --ttl 24h --quiet >token"},
	"users token revoke": {"drawbridge users token list", "drawbridge users token revoke 9f86d081"},
	"certificate set":    {"drawbridge certificate set fullchain.pem privkey.pem"},
	"certificate acme":   {"drawbridge certificate acme gw.example.net --email ops@example.net"},
	"doctor":             {"drawbridge doctor", `drawbridge doctor --json | jq '.results[] | select(.state == "wrong")'`, "drawbridge doctor --clean"},
	"diag":               {"drawbridge diag", "drawbridge diag --out /tmp/a.tar.gz", "drawbridge diag --out - | ssh desk 'cat >a.tar.gz'", "drawbridge diag --list"},

	"status":        {"drawbridge status", "drawbridge status --watch", "drawbridge status --json | jq .problems"},
	"peers":         {"drawbridge peers", "drawbridge peers --state unreachable", "drawbridge peers --role voter --json"},
	"peers forget":  {"drawbridge peers forget z"},
	"segments mode": {"drawbridge segments mode office", "drawbridge segments mode office passive"},
	"segments gate": {"drawbridge segments gate office", "drawbridge segments gate office open"},
	"ports":         {"drawbridge ports", "drawbridge ports --kind segment --watch"},
	"ports clear":   {"drawbridge ports clear eth1.42"},
	"macs":          {"drawbridge macs", "drawbridge macs --segment office --limit 20", "drawbridge macs --find 52:54:00"},
	"macs story":    {"drawbridge macs story 52:54:00:00:27:0f"},
	"macs flush":    {"drawbridge macs flush --port eth1.42", "drawbridge macs flush --mac 52:54:00:00:27:0f --everywhere"},
	"events":        {"drawbridge events", "drawbridge events --level warn --last 0", "drawbridge events --segment office --watch --json"},
	"operations":    {"drawbridge operations", "drawbridge operations --state running --watch"},
	"alerts":        {"drawbridge alerts", "drawbridge alerts --severity error --watch"},
	"alerts ack":    {"drawbridge alerts ack peer_unreachable.z --comment 'ann looks after it until Friday'"},
	"alerts unack":  {"drawbridge alerts unack peer_unreachable.z"},
	"alerts test":   {"drawbridge alerts sinks", "drawbridge alerts test pager"},

	"config show":     {"drawbridge config show", "drawbridge config show 7 --json"},
	"config edit":     {"drawbridge config edit", "drawbridge config edit --confirm 60s --comment 'b takes the new uplink'"},
	"config check":    {"drawbridge config check home.toml"},
	"config diff":     {"drawbridge config diff", "drawbridge config diff 7", "drawbridge config diff 3 7"},
	"config apply":    {"drawbridge config apply home.toml --confirm 60s --wait 30s", "drawbridge config confirm", "drawbridge config apply home.toml --base 7"},
	"config confirm":  {"drawbridge config confirm", "drawbridge config confirm 8"},
	"config rollback": {"drawbridge config diff 8 7", "drawbridge config rollback 7 --confirm 60s --comment 'the uplink is down'", "drawbridge config confirm"},
	"config wait":     {"drawbridge config wait", "drawbridge config wait 8 --timeout 2m"},
	"config log":      {"drawbridge config log", "drawbridge config log --limit 100"},
	"config export":   {"drawbridge config export home.toml", "drawbridge config export --version 7 | less"},
	"config import":   {"drawbridge config import home.toml --confirm 60s --comment 'from the old network'", "drawbridge config confirm"},

	"ipam show":     {"drawbridge ipam show", "drawbridge ipam show 10.32.0.0/16"},
	"ipam list":     {"drawbridge ipam list", "drawbridge ipam list --here --use foreign", "drawbridge ipam list --find printer"},
	"ipam ring":     {"drawbridge ipam ring", "drawbridge ipam ring 10.32.0.0/16"},
	"ipam why":      {"drawbridge ipam why 10.32.0.17"},
	"ipam allocate": {"drawbridge ipam allocate 'printer on floor 2'", "drawbridge ipam allocate job-17 --for 24h --subnet 10.32.0.0/16"},
	"ipam claim":    {"drawbridge ipam claim 10.32.0.17 'printer on floor 2'"},
	"ipam reserve":  {"drawbridge ipam reserve 10.32.0.1 'the old router, until it is replaced'"},
	"ipam release":  {"drawbridge ipam release 10.32.0.17"},
	"ipam donate":   {"drawbridge ipam donate 4 --to c --dry-run", "drawbridge ipam donate 10.32.64.0/20 --to c"},
	"ipam forget":   {"drawbridge ipam forget c --dry-run", "drawbridge ipam forget c"},
	"ipam export":   {"drawbridge ipam export >addresses.csv", "drawbridge ipam export --format json --partial"},
	"ipam import":   {"drawbridge ipam import addresses.csv --dry-run", "drawbridge ipam import addresses.csv"},
	"ipam suggest":  {"drawbridge ipam suggest", "drawbridge ipam suggest 10.32.0.0/16 172.20.0.0/16"},

	"switchover":      {"drawbridge switchover office --dry-run", "drawbridge switchover office --to b --wait"},
	"maintenance on":  {"drawbridge maintenance on --wait", "drawbridge maintenance on b --wait"},
	"maintenance off": {"drawbridge maintenance off b"},
	"drill":           {"drawbridge drill office --wait", "drawbridge drill list --segment office"},
	"drill list":      {"drawbridge drill list --segment office --limit 3"},
	"flush":           {"drawbridge flush --segment office", "drawbridge flush --all"},
	"capture": {
		"drawbridge capture eth1.42 --filter 'arp or icmp' | tcpdump -nr -", "drawbridge capture tap0 | wireshark -ki -",
		"drawbridge capture --segment office -w takeover.pcapng",
	},
	"rollout start":  {"drawbridge rollout start", "drawbridge rollout start a b --version 1.4.0 --wait", "drawbridge rollout start --from drawbridge-virt.bundle --wait"},
	"rollout resume": {"drawbridge rollout status", "drawbridge rollout resume --wait"},
	"rollout abort":  {"drawbridge rollout abort"},
	"restart":        {"drawbridge restart --wait", "drawbridge restart --machine"},
	"update":         {"drawbridge update drawbridge-virt.bundle", "drawbridge update https://example.net/drawbridge-virt.bundle --node b --restart --wait", "drawbridge update status"},
	"install":        {"drawbridge install", "drawbridge install nvme0n1 --yes --wait"},
	"factory-reset":  {"drawbridge backup create before.age", "drawbridge factory-reset --yes"},
	"backup create":  {"drawbridge backup create a.age", "drawbridge backup create - | ssh desk 'cat >a.age'"},
	"backup show":    {"drawbridge backup show a.age"},
	"backup restore": {"systemctl stop drawbridge", "drawbridge backup restore a.age", "drawbridge backup restore a.age --yes", "systemctl start drawbridge"},
	"demo":           {"drawbridge demo", "drawbridge demo --once"},
	"lab up":         {"drawbridge lab up --console 127.0.0.1:7690", "drawbridge lab topology trunk >mine.toml", "drawbridge lab up --topology mine.toml"},
	"lab exec":       {"drawbridge lab exec a -- drawbridge segments", "drawbridge lab exec w1 -- ping 10.42.0.14"},
	"lab cut":        {"drawbridge lab cut a b", "drawbridge lab cut a office"},
	"lab heal":       {"drawbridge lab heal", "drawbridge lab heal a b"},
	"lab kill":       {"drawbridge lab kill a", "drawbridge lab start a"},
	"lab start":      {"drawbridge lab start a", "drawbridge lab start a --binary ./build/drawbridge"},
	"lab stop":       {"drawbridge lab stop a"},
	"lab freeze":     {"drawbridge lab freeze a", "drawbridge lab thaw a"},
	"lab thaw":       {"drawbridge lab thaw a"},
	"lab logs":       {"drawbridge lab logs a"},
	"lab topology":   {"drawbridge lab topology", "drawbridge lab topology trunk >mine.toml"},
}

// more goes on where the one line of a command ends, for those that do not say more themselves.
var more = map[string]string{
	"init": `Makes the identity of this host and of the network, and a node file if there is none. Do it once, on one host:
the others join it with a token. Then start the daemon.`,
	"token create": `The token has all that a host needs to join, its right to do so included: hand it over as you would a password.
Networks want three voters, on hosts that fail separately, and two gateways for each segment.`,
	"users":            `Users are the same on all peers. The first one is made with the one-time code, or by root with drawbridge users add NAME --role admin.`,
	"users add":        `Where nobody can be asked, the password is the first line of standard input.`,
	"users code":       `It is there until there is a user, and another one each day and at each start of the daemon. The journal has it, too.`,
	"users totp":       `Shows the secret for the app, asks for a code to prove that it has it, and prints recovery codes once.`,
	"certificate acme": `The authority calls the console under that name to see whose it is, so it must be reached from there at port 443.`,
	"status": `First the answer to what everybody asks: who is active on which segment, since when, why, and whether another one could
take over. Then how this peer is, and each problem with its remedy. The exit code does not depend on it: for monitoring there are
/readyz and /metrics (docs/reference/api.md).`,
	"peers":    `Direct: frames take the link between the two. Relayed: other peers pass them on, as routes shows. RTT is the round trip.`,
	"segments": `Each with its gateways: how their gates are, which of them could take over, and what keeps the others from it.`,
	"voters":   `A gateway is active only while a majority of the voters agrees. What becomes of it otherwise is quorum_loss of a segment.`,
	"ports":    `What they received, sent and dropped counts from the start of the daemon, in frames and bytes.`,
	"routes":   `Frames take the way with the smallest metric: the round trips of its links in ms, and more for each hop and loss.`,
	"macs":     `SEEN is how long ago a station sent, THERE FOR since when it is where it is. macs story says where it was before.`,
	"events":   `Events have a level (info, warn, error), a kind and a cause. The daemon keeps the last 4096; the journal has them all.`,
	"audit":    `Who it was, from where, what was asked for, and what came of it. Reading is not written down, nor are secrets.`,
	"config": `It has overlays, segments, timers, subnets and alerts (docs/reference/network-config.md); what is one
peer's alone is in its node file. Every change is a new version, on all peers at once. With --confirm it is taken back
everywhere unless it is confirmed in time, so that a change that cuts you off ends by itself.`,
	"config edit": `The editor opens again with the errors beside the lines until the text is valid. Leave it as it is to give up.`,
	"config wait": `Peers that are silent are named after --timeout, and not waited for any longer. The exit code is 0 when all have it, or else 1.`,
	"config rollback": `Versions are never changed or removed: going back makes another one. config diff shows what that changes. While a
version waits to be confirmed, going back ends that: without --confirm, as only one at a time can wait.`,
	"ipam":            `Every peer owns part of each subnet and gives addresses of it without asking anybody, by DHCP to its guests.`,
	"ipam allocate":   `The owner is any name that you choose; whoever has an address under it gets the same again.`,
	"maintenance on":  `The peer is the one that is asked, or the one that is named. maintenance off ends it.`,
	"flush":           `Frames for these stations go to everybody until each of them sends once. macs flush does it on this peer alone.`,
	"restart":         `For new software, or a node file that was changed. The machine goes on; its guests' frames wait for some seconds.`,
	"update rollback": `It starts with the next restart of the machine; nothing happens before. Identity and configuration stay as they are.`,
	"peers forget":    `For a peer that is lost or stolen. To come back it needs a new identity and a new token. Its addresses are inherited.`,
	"lab up":          `Needs root. Its daemons go on in the background until lab down; lab status, exec, cut, kill and others work on it.`,
}

// printHelp says in one line what a command does, then more of it, whatever it has; cobra's own leaves the one line out. It is no
// template, as with text/template in it the linker keeps every method of every type: a quarter of the binary.
func printHelp(c *cobra.Command, _ []string) {
	text := c.Short + "."
	if long := strings.TrimRightFunc(c.Long, unicode.IsSpace); long != "" {
		text += "\n\n" + long
	}
	text += "\n\n"
	if c.Runnable() || c.HasSubCommands() {
		text += c.UsageString()
	}
	_, _ = io.WriteString(c.OutOrStdout(), text)
}

// help puts texts and examples where they belong.
func help(root *cobra.Command) {
	root.SetHelpFunc(printHelp)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		path := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), root.Name()), " ")
		if c.Long == "" {
			c.Long = more[path]
		}
		if lines := examples[path]; len(lines) > 0 {
			c.Example = "  " + strings.Join(lines, "\n  ")
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}
