package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The namespaces of one measurement: host, gateway, gateway, host. The prefix keeps them apart from everybody else's.
const (
	host1, gate1, gate2, host2 = "dbbench-h1", "dbbench-g1", "dbbench-g2", "dbbench-h2"
	hostIP1, hostIP2           = "10.99.0.1", "10.99.0.2"
	wanIP1, wanIP2             = "192.168.199.1", "192.168.199.2"
)

// bed is the wired-up topology in which one contender runs.
type bed struct {
	dir   string // configurations and logs
	procs []*exec.Cmd
}

// command runs a program to its end and returns what it printed; the error carries that too.
func command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()+out.String()))
	}
	return out.String(), nil
}

// script runs lines of ip(8) and friends, stopping at the first that fails.
func script(lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if _, err := command(words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// in runs a program inside a namespace.
func in(ns string, words ...string) (string, error) {
	return command("ip", append([]string{"netns", "exec", ns}, words...)...)
}

// build makes the namespaces. With direct set the hosts are wired to each other and there are no gateways.
func build(o options, dir string, direct bool) (*bed, error) {
	demolish()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b := &bed{dir: dir}
	lines := []string{"ip netns add " + host1, "ip netns add " + host2}
	if direct {
		lines = append(lines, veth(host1, "eth0", host2, "eth0"))
	} else {
		lines = append(lines, "ip netns add "+gate1, "ip netns add "+gate2,
			veth(host1, "eth0", gate1, "lan0"), veth(gate1, "wan0", gate2, "wan0"), veth(gate2, "lan0", host2, "eth0"))
		for i, g := range []string{gate1, gate2} {
			lines = append(lines,
				fmt.Sprintf("ip -n %s link set lo up", g),
				fmt.Sprintf("ip -n %s link set lan0 mtu %d up", g, o.mtu),
				fmt.Sprintf("ip -n %s addr add %s/24 dev wan0", g, []string{wanIP1, wanIP2}[i]),
				fmt.Sprintf("ip -n %s link set wan0 mtu 1500 up", g))
			lines = append(lines, underlay(o, g)...)
		}
	}
	for i, h := range []string{host1, host2} {
		lines = append(lines,
			fmt.Sprintf("ip -n %s link set eth0 mtu %d up", h, o.mtu),
			fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", h, []string{hostIP1, hostIP2}[i]))
	}
	if err := script(lines...); err != nil {
		demolish()
		return nil, err
	}
	return b, nil
}

func veth(ns1, if1, ns2, if2 string) string {
	return fmt.Sprintf("ip link add %s netns %s type veth peer name %s netns %s", if1, ns1, if2, ns2)
}

// underlay sets the offloads of a gateway's outer interface. In wire mode nothing larger than the MTU crosses it, as
// on a network card that cannot segment tunnels; the receiver merges again, as any card's driver does.
func underlay(o options, ns string) []string {
	if o.mode == "whole" {
		return nil
	}
	return []string{fmt.Sprintf("ip netns exec %s ethtool -K wan0 tso off tx-udp-segmentation off "+
		"tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off gro on", ns)}
}

// start runs a program of the contender inside ns until the bed is torn down.
func (b *bed) start(ns, name string, words ...string) error {
	logFile, err := os.Create(filepath.Join(b.dir, name+".log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, words...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, logFile, logFile
	if err := cmd.Start(); err != nil {
		return err
	}
	b.procs = append(b.procs, cmd)
	return nil
}

// file writes a configuration file of the contender and returns its path.
func (b *bed) file(name, content string) string {
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		panic(err) // our own temporary directory
	}
	return path
}

// close ends the contender and removes the namespaces.
func (b *bed) close() {
	for _, p := range b.procs {
		p.Process.Kill()
		p.Wait()
	}
	demolish()
}

// demolish removes the namespaces, of this run or of one that was killed, with whatever still runs in them: some
// contenders fork away from the process that was started.
func demolish() {
	for _, ns := range []string{host1, gate1, gate2, host2} {
		if _, err := os.Stat("/run/netns/" + ns); err != nil {
			continue
		}
		pids, _ := command("ip", "netns", "pids", ns)
		for _, word := range strings.Fields(pids) {
			if pid, err := strconv.Atoi(word); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		command("ip", "netns", "del", ns)
	}
}

// until polls ok up to the limit.
func until(limit time.Duration, what string, ok func() bool) error {
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: nothing within %v", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}
