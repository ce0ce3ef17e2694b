package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/hostnet"
)

// Listening is how long wires are listened to: bridges say hello every 2 s (IEEE 802.1D-2004 §17.14), so that two fit
// even when one is lost.
const Listening = 5 * time.Second

// Options say where to look, and how long.
type Options struct {
	Version  string // of this program
	NodeFile string // path
	// Listen is how long to listen on segment ports; 0: not at all.
	Listen time.Duration
	// Progress is told while it takes, at most once a second; nil: nobody is.
	Progress func(text string)
	// Daemon asks the running peer; nil: nobody is asked.
	Daemon func(ctx context.Context, socket string) Daemon
	// Root is the directory that stands for /, for tests of what is read from files; empty: /.
	Root string
}

// gatherer is one look at the host.
type gatherer struct {
	ctx    context.Context
	o      Options
	cfg    *config.Config
	ifaces []hostnet.Interface
}

// Gather looks at the host. It changes nothing, apart from one file in the state directory that it writes and removes.
func Gather(ctx context.Context, o Options) *Facts {
	g := &gatherer{ctx: ctx, o: o, cfg: config.Default()}
	f := &Facts{Taken: time.Now().UTC(), Version: o.Version, Root: os.Geteuid() == 0}
	f.NodeFile = g.nodeFile()
	f.Ports = g.ports()
	f.Interfaces = g.interfaces()
	f.Daemon = g.daemon()
	f.Kernel, f.Buffers = gatherKernel(), gatherBuffers()
	f.Listen = g.listens(f.Daemon.Running)
	f.Firewall = g.gatherFirewall()
	f.Disk = g.disk()
	f.Leftovers = g.leftovers(f.Daemon.Running)
	var slow sync.WaitGroup // what takes its time, all at once
	slow.Go(func() { f.Uplinks = g.uplinks(!f.Daemon.Running) })
	slow.Go(func() { f.Wires = g.wires(f.Ports) })
	slow.Go(func() { f.Clock = g.clock() })
	slow.Go(func() { g.progress() })
	slow.Wait()
	return f
}

// progress counts down while the wires are listened to.
func (g *gatherer) progress() {
	if g.o.Progress == nil || g.o.Listen == 0 || len(g.segmentInterfaces()) == 0 {
		return
	}
	for left := g.o.Listen; left > 0 && g.ctx.Err() == nil; left -= time.Second {
		g.o.Progress(fmt.Sprintf("listening on %s for bridges and twins, %d s left", strings.Join(g.segmentInterfaces(), ", "), left/time.Second))
		g.wait(min(left, time.Second))
	}
}

func (g *gatherer) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-g.ctx.Done():
	case <-t.C:
	}
}

func (g *gatherer) path(p string) string { return filepath.Join(g.o.Root, p) }

func (g *gatherer) nodeFile() NodeFile {
	c, err := config.Load(g.o.NodeFile)
	n := NodeFile{Path: g.o.NodeFile, Missing: errors.Is(err, config.ErrMissing)}
	if err == nil {
		g.cfg = c
	} else if !n.Missing {
		n.Error = err.Error()
	}
	return n
}

func (g *gatherer) ports() (all []Port) {
	for _, s := range g.cfg.Segments {
		p := Port{Name: s.Interface, Segment: s.Name, Interface: s.Interface, VLAN: s.VLAN}
		if s.VLAN != 0 {
			p.Name = fmt.Sprintf("%s.%d", s.Interface, s.VLAN)
		}
		all = append(all, p)
	}
	for _, x := range g.cfg.Guests {
		p := Port{Name: x.Interface + x.TAP, Interface: x.Interface + x.TAP, TAP: x.TAP != "", Bridge: x.Bridge}
		all = append(all, p)
	}
	return all
}

// segmentInterfaces are those of segment ports, each once.
func (g *gatherer) segmentInterfaces() (all []string) {
	seen := map[string]bool{}
	for _, s := range g.cfg.Segments {
		if !seen[s.Interface] {
			seen[s.Interface] = true
			all = append(all, s.Interface)
		}
	}
	return all
}

func (g *gatherer) interfaces() (all []Interface) {
	list, err := hostnet.List()
	if err != nil {
		return nil
	}
	g.ifaces = list
	names := map[int]string{}
	for _, i := range list {
		names[i.Index] = i.Name
	}
	for _, i := range list {
		x := Interface{Name: i.Name, Kind: i.Kind, MTU: i.MTU, Up: i.Up, Carrier: i.Carrier, Master: names[i.Master]}
		if i.MAC != (drawbridge.MAC{}) {
			x.MAC = i.MAC.String()
		}
		x.Parent, x.VLAN = g.vlan(i.Name)
		x.Features = features(i.Name)
		x.Managers = g.managers(i.Index)
		all = append(all, x)
	}
	return all
}

// vlan is what a VLAN device stands on, and its tag (Documentation/networking: /proc/net/vlan).
func (g *gatherer) vlan(name string) (parent string, id uint16) {
	text, err := os.ReadFile(g.path("/proc/net/vlan/" + name))
	if err != nil {
		return "", 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		for i := range len(f) - 1 {
			if f[i] == "VID:" {
				n, _ := strconv.ParseUint(f[i+1], 10, 16) // 0 stands for what is unreadable: every VLAN
				id = uint16(n)
			}
		}
		if len(f) == 2 && f[0] == "Device:" {
			parent = f[1]
		}
	}
	return parent, id
}

// managers reads what NetworkManager and systemd-networkd write down about each interface.
func (g *gatherer) managers(index int) (all []string) {
	id := strconv.Itoa(index)
	if text, err := os.ReadFile(g.path("/run/NetworkManager/devices/" + id)); err == nil && bytes.Contains(text, []byte("managed=true")) {
		all = append(all, NetworkManager)
	}
	if text, err := os.ReadFile(g.path("/run/systemd/netif/links/" + id)); err == nil {
		for line := range strings.Lines(string(text)) {
			state, ok := strings.CutPrefix(strings.TrimSpace(line), "ADMIN_STATE=")
			if ok && state != "unmanaged" && state != "pending" {
				all = append(all, Networkd)
			}
		}
	}
	return all
}

func (g *gatherer) daemon() Daemon {
	if g.o.Daemon == nil {
		return Daemon{Socket: g.cfg.Socket, Running: true, Version: g.o.Version}
	}
	return g.o.Daemon(g.ctx, g.cfg.Socket)
}

// listens tries to have the addresses of the mesh. While the daemon has them there is nothing to try.
func (g *gatherer) listens(running bool) (all []Listen) {
	for _, a := range g.cfg.Listen {
		l := Listen{Address: a}
		at, err := netip.ParseAddrPort(a)
		if err != nil {
			l.UDP = err.Error()
			all = append(all, l)
			continue
		}
		l.Port = at.Port()
		if !running {
			l.TCP, l.UDP = tryTCP(a), tryUDP(a)
		}
		all = append(all, l)
	}
	return all
}

func tryTCP(a string) string {
	l, err := net.Listen("tcp", a)
	if err != nil {
		return plain(err)
	}
	_ = l.Close()
	return ""
}

func tryUDP(a string) string {
	c, err := net.ListenPacket("udp", a)
	if err != nil {
		return plain(err)
	}
	_ = c.Close()
	return ""
}

// plain is what the kernel said, without what Go says about it.
func plain(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer"
	}
	return err.Error()
}

// patience is how long a peer may take to answer a call.
const patience = 2 * time.Second

// uplinks are the ways to the peers of join.
func (g *gatherer) uplinks(ask bool) []Uplink {
	all := make([]Uplink, len(g.cfg.Join))
	var calls sync.WaitGroup
	for i, to := range g.cfg.Join {
		calls.Go(func() { all[i] = g.uplink(to, ask) })
	}
	calls.Wait()
	return all
}

func (g *gatherer) uplink(to string, ask bool) Uplink {
	u := Uplink{To: to, Asked: ask}
	ctx, cancel := context.WithTimeout(g.ctx, patience)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", to) // sends nothing, but chooses a route
	if err != nil {
		u.Error, u.Asked = plain(err), false
		return u
	}
	defer c.Close()
	g.route(&u, c.(*net.UDPConn))
	if ask {
		t, err := d.DialContext(ctx, "tcp", to)
		if err != nil {
			u.TCP = plain(err)
		} else {
			_ = t.Close()
		}
	}
	return u
}

// route finds the interface of a connected socket by its address, and the MTU by asking the socket.
func (g *gatherer) route(u *Uplink, c *net.UDPConn) {
	local := c.LocalAddr().(*net.UDPAddr)
	u.IPv6 = local.IP.To4() == nil
	ifaces, err := net.Interfaces()
	if err != nil {
		u.Error = err.Error()
		return
	}
	for _, i := range ifaces {
		addresses, _ := i.Addrs() // an interface that just went has none
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(local.IP) {
				u.Interface, u.MTU = i.Name, i.MTU
			}
		}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		level, option := unix.IPPROTO_IP, unix.IP_MTU
		if u.IPv6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
		}
		if mtu, err := unix.GetsockoptInt(int(fd), level, option); err == nil && mtu > 0 && mtu < u.MTU {
			u.MTU = mtu
		}
	})
}

// syncs is how many writes are timed: enough for a median, few enough for an SD card.
const syncs = 9

func (g *gatherer) disk() Disk {
	d := Disk{Path: g.cfg.StateDir}
	if _, err := os.Stat(d.Path); errors.Is(err, fs.ErrNotExist) {
		d.Missing = true
		return d
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.Path, &st); err != nil {
		d.Error = err.Error()
		return d
	}
	d.Free, d.Total = st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize)
	_, err := os.Stat(filepath.Join(d.Path, "raft", "raft.db"))
	d.Voter = err == nil
	if d.Syncs, err = timeSyncs(d.Path); err != nil {
		d.Error = plain(err)
	}
	return d
}

// timeSyncs appends to a file of its own as a voter appends to its log, and waits for the disk each time.
func timeSyncs(dir string) (all []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	for range syncs {
		if _, err := f.Write(page); err != nil {
			return all, err
		}
		begun := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return all, err
		}
		all = append(all, time.Since(begun))
	}
	return all, nil
}

// newest is when the state directory was last written to.
func newest(dir string) (last time.Time) {
	entries, _ := os.ReadDir(dir) // unreadable: nothing is known
	for _, e := range entries {
		if i, err := e.Info(); err == nil && i.ModTime().After(last) && !strings.HasPrefix(e.Name(), ".doctor-") {
			last = i.ModTime()
		}
	}
	return last
}
