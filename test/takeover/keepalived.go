package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// keepalived is two routers that share an address by VRRP on a switch, and a host that asks that address. It stands for
// what one has today: the address moves, nothing is bridged.
type keepalived struct {
	title     string
	dir       string
	host, sw  *netlab.Namespace
	routers   [2]*netlab.Namespace
	processes [2]*exec.Cmd
}

var shared = netip.MustParsePrefix("10.98.0.1/24")

// routerLimit bounds the wait for a router to take part again.
const routerLimit = 20 * time.Second

const configuration = `global_defs {
	vrrp_version 3
}
vrrp_instance one {
	state BACKUP
	interface eth0
	virtual_router_id 7
	priority %d
	advert_int %s
	nopreempt
	virtual_ipaddress { %s }
}
`

func openKeepalived(title, advert string) func(context.Context, options) (contender, error) {
	return func(ctx context.Context, o options) (contender, error) {
		if _, err := exec.LookPath("keepalived"); err != nil {
			return nil, errors.New("keepalived is not installed: apt-get install keepalived")
		}
		k := &keepalived{title: title}
		err := k.build(advert)
		if err == nil && !until(ctx, routerLimit, 20*time.Millisecond, func() bool { return k.master() >= 0 }) {
			err = fmt.Errorf("%s: no router takes the address", title)
		}
		if err != nil {
			return nil, errors.Join(err, k.close())
		}
		return k, nil
	}
}

func (k *keepalived) build(advert string) (err error) {
	if k.dir, err = os.MkdirTemp("", "dbtakeover-"); err != nil {
		return err
	}
	for name, ns := range map[string]**netlab.Namespace{"dbtk-h": &k.host, "dbtk-s": &k.sw, "dbtk-0": &k.routers[0], "dbtk-1": &k.routers[1]} {
		if netlab.Exists(name) { // of a run that was killed
			if err := errors.Join(netlab.KillAll(name), netlab.Delete(name)); err != nil {
				return err
			}
		}
		if *ns, err = netlab.Create(name); err != nil {
			return err
		}
	}
	if err := errors.Join(k.sw.Bridge("br0"), k.plug(k.host, "host", 100)); err != nil {
		return err
	}
	for i, r := range k.routers {
		if err := k.plug(r, fmt.Sprintf("port%d", i), 2+i); err != nil {
			return err
		}
		file := filepath.Join(k.dir, fmt.Sprintf("%d.conf", i))
		if err := os.WriteFile(file, []byte(fmt.Sprintf(configuration, 100+i, advert, shared)), 0o600); err != nil {
			return err
		}
		if err := k.start(i); err != nil {
			return err
		}
	}
	return nil
}

func (k *keepalived) plug(n *netlab.Namespace, port string, last int) error {
	if err := netlab.Wire(netlab.End{In: n, Name: "eth0"}, netlab.End{In: k.sw, Name: port}); err != nil {
		return err
	}
	addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 98, 0, byte(last)}), shared.Bits())
	return errors.Join(k.sw.Attach(port, "br0"), n.Address("eth0", addr))
}

// start runs a router's daemon. One that was killed has left files with its process numbers, which somebody else may have by now:
// keepalived would not start beside those.
func (k *keepalived) start(i int) error {
	pid := filepath.Join(k.dir, fmt.Sprintf("%d", i))
	for _, left := range []string{pid + ".pid", pid + ".vrrp.pid"} {
		if err := os.Remove(left); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	k.processes[i] = exec.Command("keepalived", "-n", "-P", "-f", pid+".conf", "-p", pid+".pid", "-r", pid+".vrrp.pid")
	return k.routers[i].Start(k.processes[i])
}

// master is the only router that has the shared address, -1 when none or both have it.
func (k *keepalived) master() int {
	found := -1
	for i, r := range k.routers {
		if has, err := r.Has("eth0", shared.Addr()); err == nil && has {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

func (k *keepalived) events() []event {
	return []event{
		{k.title, "power lost", k.powerLost},
	}
}

func (k *keepalived) asks() []ask {
	return []ask{{"host asks the address", k.host.Name(), shared.Addr()}}
}

// powerLost takes the master's link down and kills its daemons, as for Drawbridge.
func (k *keepalived) powerLost(ctx context.Context) ([]trial, error) {
	m := -1
	if !until(ctx, routerLimit, 20*time.Millisecond, func() bool { m = k.master(); return m >= 0 }) {
		return nil, fmt.Errorf("not exactly one router has the address within %v", routerLimit)
	}
	<-time.After(time.Second) // let the other hear some advertisements
	all, err := watch(ctx, k.asks(), func() error {
		return errors.Join(k.routers[m].Down("eth0"), netlab.KillAll(k.routers[m].Name()))
	})
	_ = k.processes[m].Wait() // it was killed, and says so
	return all, errors.Join(err, k.routers[m].Forget("eth0", shared), k.routers[m].Up("eth0"), k.start(m))
}

func (k *keepalived) close() error {
	var errs []error
	for _, n := range []*netlab.Namespace{k.routers[0], k.routers[1], k.host, k.sw} {
		if n == nil {
			continue
		}
		errs = append(errs, netlab.KillAll(n.Name()), n.Close(), netlab.Delete(n.Name()))
	}
	for _, p := range k.processes {
		if p != nil && p.Process != nil {
			_ = p.Wait()
		}
	}
	return errors.Join(append(errs, os.RemoveAll(k.dir))...)
}
