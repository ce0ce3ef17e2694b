package diag

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strings"
)

// file is a part that is a file of the host.
func file(name, about, path string) Part {
	return Part{name, about, func(context.Context) ([]byte, error) {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return []byte("there is no " + path + "\n"), nil
		}
		return text, err
	}}
}

// Host is what the kernel says of the host's network, in the network namespace of the process.
func Host() []Part {
	return []Part{
		{"host/addresses.txt", "interfaces with MTU, MAC and IP addresses", func(context.Context) ([]byte, error) { return addresses() }},
		file("host/interfaces.txt", "bytes, packets, errors and drops of every interface (/proc/net/dev)", "/proc/net/dev"),
		rewritten("host/routes4.txt", "IPv4 routes of the main table", "/proc/net/route", route4),
		rewritten("host/routes6.txt", "IPv6 routes of all tables", "/proc/net/ipv6_route", route6),
		file("host/arp.txt", "IPv4 neighbours (/proc/net/arp)", "/proc/net/arp"),
		file("host/udp.txt", "UDP sockets and their drops; addresses and ports in hexadecimal (/proc/net/udp)", "/proc/net/udp"),
		file("host/udp6.txt", "the same of IPv6, and of both at once (/proc/net/udp6)", "/proc/net/udp6"),
		file("host/snmp.txt", "counters of IP, TCP and UDP (/proc/net/snmp)", "/proc/net/snmp"),
		file("host/softnet.txt", "packets by processor, in hexadecimal: first taken, then dropped (/proc/net/softnet_stat)", "/proc/net/softnet_stat"),
		file("host/processors.txt", "time by processor in ticks, with what a hypervisor took in the 8th column (/proc/stat)", "/proc/stat"),
		file("host/load.txt", "load of 1, 5 and 15 minutes (/proc/loadavg)", "/proc/loadavg"),
		file("host/pressure-cpu.txt", "share of time in which something waited for a processor (/proc/pressure/cpu)", "/proc/pressure/cpu"),
		file("host/pressure-disk.txt", "the same for disks (/proc/pressure/io)", "/proc/pressure/io"),
		file("host/pressure-memory.txt", "the same for memory (/proc/pressure/memory)", "/proc/pressure/memory"),
		file("host/memory.txt", "memory (/proc/meminfo)", "/proc/meminfo"),
		file("host/uptime.txt", "seconds since the host started, and those that its processors were idle (/proc/uptime)", "/proc/uptime"),
		file("host/kernel.txt", "kernel (/proc/version)", "/proc/version"),
	}
}

// rewritten is a part that is a file of the host, line by line in a form for people.
func rewritten(name, about, path string, line func([]string) string) Part {
	p := file(name, about+" ("+path+")", path)
	read := p.Read
	p.Read = func(ctx context.Context) ([]byte, error) {
		text, err := read(ctx)
		var b strings.Builder
		for l := range strings.Lines(string(text)) {
			if strings.HasPrefix(l, "Iface") { // the heading of what is not written any more
				continue
			}
			b.WriteString(cmp.Or(line(strings.Fields(l)), strings.TrimSuffix(l, "\n")) + "\n")
		}
		return []byte(b.String()), err
	}
	return p
}

// addresses are those of the interfaces, with what else net knows of these.
func addresses() ([]byte, error) {
	all, err := net.Interfaces()
	var b strings.Builder
	for _, i := range all {
		fmt.Fprintf(&b, "%d: %s <%s> mtu %d %s\n", i.Index, i.Name, i.Flags, i.MTU, i.HardwareAddr)
		has, failed := i.Addrs()
		for _, a := range has {
			fmt.Fprintf(&b, "    %s\n", a)
		}
		err = errors.Join(err, failed)
	}
	return []byte(b.String()), err
}

// Process is what the runtime says of this process.
func Process() []Part {
	return []Part{
		{"process/goroutines.txt", "what every goroutine of the daemon waits for", func(context.Context) ([]byte, error) {
			var b strings.Builder
			err := pprof.Lookup("goroutine").WriteTo(&b, 2)
			return []byte(b.String()), err
		}},
		{"process/build.txt", "versions of the program and of what it is made of", func(context.Context) ([]byte, error) {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return nil, errors.New("built without it")
			}
			return []byte(info.String()), nil
		}},
		file("process/status.txt", "memory, threads and capabilities (/proc/self/status)", "/proc/self/status"),
		file("process/limits.txt", "limits (/proc/self/limits)", "/proc/self/limits"),
	}
}

// journalLines are those of about a day of an ordinary peer.
const journalLines = "2000"

// Journals are the logs, of which the daemon itself keeps nothing: of its unit, and of those that an appliance has beside it. A
// pattern would do, were it no error that there is nothing under it.
func Journals() []Part {
	return []Part{
		journal("host/journal.txt", "the last "+journalLines+" lines of Drawbridge's units in the journal",
			"-u", "drawbridge", "-u", "drawbridge-update", "-u", "drawbridge-healthy", "-u", "drawbridge-provision", "-u", "drawbridge-setup", "-u", "drawbridge-reset"),
		journal("host/kernel-log.txt", "the last "+journalLines+" lines of the kernel in the journal", "-k"),
	}
}

func journal(name, about string, of ...string) Part {
	return Part{name, about, func(ctx context.Context) ([]byte, error) {
		path, err := exec.LookPath("journalctl")
		if err != nil {
			return []byte("there is no journalctl\n"), nil
		}
		text, err := exec.CommandContext(ctx, path, append(of, "-n", journalLines, "--no-pager", "-o", "short-precise")...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("journalctl: %w: %s", err, text)
		}
		return text, err
	}}
}
