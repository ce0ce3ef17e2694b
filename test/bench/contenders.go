package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// contender is one way to carry frames between the hosts.
type contender struct {
	name   string
	tool   string // the program that must be installed; empty: none
	direct bool   // the hosts are wired together
	sealed bool   // encrypts
	setup  func(*bed, options) error
}

// yardstick is the contender that the others are divided by.
const yardstick = "vxlan"

// contenders lists those that were asked for and are installed, the yardstick always among them.
func contenders(o options) (list []contender) {
	for _, c := range []contender{
		{name: "direct", direct: true, setup: func(*bed, options) error { return nil }},
		{name: yardstick, setup: vxlan},
		{name: "drawbridge-kernel", setup: engine},
		{name: "drawbridge", tool: o.binary, sealed: true, setup: ours("")},
		{name: "drawbridge-plain", tool: o.binary, setup: ours("[data]\ncipher = \"none\"\n")},
		{name: "drawbridge-single", tool: o.binary, sealed: true, setup: ours("[data]\noffload = false\nbatch = 1\n")},
		{name: "fastd-gcm", tool: "fastd", sealed: true, setup: fastd("aes128-gcm")},
		{name: "fastd-null", tool: "fastd", setup: fastd("null")},
		{name: "tinc-aes", tool: "tincd", sealed: true, setup: tinc},
		{name: "openvpn-gcm", tool: "openvpn", sealed: true, setup: openvpn},
		{name: "n2n-twofish", tool: "edge", sealed: true, setup: n2n},
	} {
		if c.name != yardstick && !wanted(c.name, o.only) {
			continue
		}
		if _, err := exec.LookPath(c.tool); c.tool != "" && err != nil {
			fmt.Printf("%s is left out: %v\n", c.name, err)
			continue
		}
		list = append(list, c)
	}
	return list
}

func wanted(name, only string) bool {
	for _, start := range strings.Split(only, ",") {
		if strings.HasPrefix(name, start) {
			return true
		}
	}
	return false
}

// bridged puts the gateway's inner interface and the tunnel device into one bridge.
func bridged(ns, device string) error {
	return script(
		fmt.Sprintf("ip -n %s link add br0 type bridge", ns),
		fmt.Sprintf("ip -n %s link set br0 up", ns),
		fmt.Sprintf("ip -n %s link set lan0 master br0", ns),
		fmt.Sprintf("ip -n %s link set %s master br0", ns, device),
		fmt.Sprintf("ip -n %s link set %s up", ns, device))
}

// bridgedWhenUp waits for the contender's TAP device first.
func bridgedWhenUp(device string, o options) error {
	for _, ns := range []string{gate1, gate2} {
		err := until(10*time.Second, "device "+device, func() bool {
			return script(fmt.Sprintf("ip -n %s link show %s", ns, device)) == nil
		})
		if err != nil {
			return err
		}
		if err := script(fmt.Sprintf("ip -n %s link set %s mtu %d", ns, device, o.mtu)); err != nil {
			return err
		}
		if err := bridged(ns, device); err != nil {
			return err
		}
	}
	return nil
}

func vxlan(_ *bed, o options) error {
	for _, g := range [][3]string{{gate1, wanIP1, wanIP2}, {gate2, wanIP2, wanIP1}} {
		err := script(fmt.Sprintf("ip -n %s link add vx0 mtu %d type vxlan id 7 local %s remote %s dstport 4789", g[0], o.mtu, g[1], g[2]))
		if err != nil {
			return err
		}
		if err := bridged(g[0], "vx0"); err != nil {
			return err
		}
	}
	return nil
}

// ours founds a network on the first gateway and joins the second by token, as an operator would.
func ours(extra string) func(*bed, options) error {
	return func(b *bed, o options) error {
		binary, err := filepath.Abs(o.binary)
		if err != nil {
			return err
		}
		node := func(name, ip, join string) string {
			return b.file(name+".toml", fmt.Sprintf("name = %q\nstate_dir = %q\nsocket = %q\nlisten = [\"%s:6630\"]\nadvertise = [\"%s:6630\"]\njoin = [%s]\n%s\n[[guest]]\ninterface = \"lan0\"\n",
				name, b.dir+"/"+name, b.dir+"/"+name+".sock", ip, ip, join, extra))
		}
		n1, n2 := node("g1", wanIP1, ""), node("g2", wanIP2, `"`+wanIP1+`:6630"`)
		if _, err := in(gate1, binary, "init", "--network", "bench", "--name", "g1", "--config", n1); err != nil {
			return err
		}
		if err := b.start(gate1, "g1", binary, "run", "--config", n1); err != nil {
			return err
		}
		var token string
		err = until(10*time.Second, "a token of g1", func() bool {
			token, err = in(gate1, binary, "token", "create", "--socket", b.dir+"/g1.sock", "--quiet")
			return err == nil
		})
		if err != nil {
			return err
		}
		if _, err := in(gate2, binary, "join", strings.TrimSpace(token), "--name", "g2", "--config", n2); err != nil {
			return err
		}
		return b.start(gate2, "g2", binary, "run", "--config", n2)
	}
}
