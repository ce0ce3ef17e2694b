package diag

import (
	"context"
	"errors"
	"io/fs"
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
		file("host/interfaces.txt", "counters of every interface (/proc/net/dev)", "/proc/net/dev"),
		file("host/routes4.txt", "IPv4 routes (/proc/net/route)", "/proc/net/route"),
		file("host/routes6.txt", "IPv6 routes (/proc/net/ipv6_route)", "/proc/net/ipv6_route"),
		file("host/arp.txt", "IPv4 neighbours (/proc/net/arp)", "/proc/net/arp"),
		file("host/udp.txt", "UDP sockets and their drops (/proc/net/udp)", "/proc/net/udp"),
		file("host/snmp.txt", "counters of IP, TCP and UDP (/proc/net/snmp)", "/proc/net/snmp"),
		file("host/softnet.txt", "packets that the kernel dropped by processor (/proc/net/softnet_stat)", "/proc/net/softnet_stat"),
		file("host/load.txt", "load (/proc/loadavg)", "/proc/loadavg"),
		file("host/memory.txt", "memory (/proc/meminfo)", "/proc/meminfo"),
		file("host/kernel.txt", "kernel (/proc/version)", "/proc/version"),
	}
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

// Journal is the daemon's log, of which the daemon itself keeps nothing.
func Journal() Part {
	return Part{"host/journal.txt", "the daemon's last " + journalLines + " lines in the journal", func(ctx context.Context) ([]byte, error) {
		path, err := exec.LookPath("journalctl")
		if err != nil {
			return []byte("there is no journalctl\n"), nil
		}
		return exec.CommandContext(ctx, path, "-u", "drawbridge", "-n", journalLines, "--no-pager", "-o", "short-precise").CombinedOutput()
	}}
}
