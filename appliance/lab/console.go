package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
)

// consoleCommand is the hidden sub-command of `lab` that shows the nodes' consoles to browsers outside of the lab.
const consoleCommand = "console"

// consoleProcess is its name among the lab's processes. No node can be called so: names have no space.
const consoleProcess = "the console"

// ConsoleOf is the URL of a node's console; empty: the lab has none. Nodes have ports in the order of the topology,
// because a browser's page is bound to host and port, and each node serves its own.
func (l *Lab) ConsoleOf(node string) string {
	at, err := netip.ParseAddrPort(l.consoleAt())
	if err != nil {
		return ""
	}
	for i, n := range l.plan.topo.Nodes {
		if n.Name == node {
			return "http://" + netip.AddrPortFrom(at.Addr(), at.Port()+uint16(i)).String() + "/"
		}
	}
	return ""
}

// consoleAt is the address of the first node's console.
func (l *Lab) consoleAt() string {
	return strings.TrimSuffix(strings.TrimPrefix(l.Console, "http://"), "/")
}

// checkConsole refuses addresses at which the consoles could not be, or should not.
func (l *Lab) checkConsole(addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("--console %q: want IP:port, for instance 127.0.0.1:7630: %w", addr, err)
	}
	if at.Addr().IsUnspecified() {
		return fmt.Errorf("--console %s: whoever reaches it commands the lab without a password; name one address of this machine", addr)
	}
	if last := int(at.Port()) + len(l.plan.topo.Nodes) - 1; at.Port() == 0 || last > 65535 {
		return fmt.Errorf("--console %s: want a port from 1 to %d, one for each node follows it", addr, 65536-len(l.plan.topo.Nodes))
	}
	return nil
}

// openConsole starts the process that serves the consoles, outside of every namespace, and waits until it does.
func (l *Lab) openConsole(ctx context.Context, o Options) error {
	addr := o.Console
	if addr == "" || !l.Up {
		return nil
	}
	l.Console = "http://" + addr + "/"
	args := []string{"lab", consoleCommand, "--at", addr}
	for _, n := range l.plan.topo.Nodes {
		args = append(args, l.dirOf(n.Name).socket())
	}
	if err := l.detach(consoleProcess, (*exec.Cmd).Start, args); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	err := until(startLimit, func() (bool, error) {
		if l.Processes[consoleProcess].state() == dead {
			return false, fmt.Errorf("it ended; the end of its log:\n%s", l.lastLines(consoleProcess))
		}
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return false, ctx.Err()
		}
		return true, c.Close()
	})
	if err != nil {
		return fmt.Errorf("console at %s: %w", addr, err)
	}
	if o.Progress != nil {
		for _, n := range l.plan.topo.Nodes {
			fmt.Fprintf(o.Progress, "console of %s: %s\n", n.Name, l.ConsoleOf(n.Name))
		}
	}
	return nil
}

// serveConsoles answers for every socket on a port of its own until ctx ends.
func serveConsoles(ctx context.Context, at netip.AddrPort, sockets []string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	errs := make([]error, len(sockets))
	for i, socket := range sockets {
		addr := netip.AddrPortFrom(at.Addr(), at.Port()+uint16(i))
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			stop()
			all.Wait()
			return fmt.Errorf("console of %s: %w", socket, err)
		}
		all.Go(func() {
			errs[i] = web.Serve(ctx, l, consoleOver(socket, addr), slog.Default())
			stop()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// consoleOver passes requests on to the API at a socket. There is no login: it is for a lab on the machine of who uses
// it. Pages of other sites in the same browser are kept out all the same, by the name that they called us by (DNS
// rebinding) and by where a change comes from.
func consoleOver(socket string, at netip.AddrPort) http.Handler {
	node := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "drawbridge" },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
			DisableCompression: true, MaxIdleConnsPerHost: 8,
		},
		FlushInterval: -1, // events at once
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "this node's daemon does not run; `drawbridge lab start` starts it", http.StatusBadGateway)
		},
	}
	safe := http.NewCrossOriginProtection().Handler(node)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isCalled(r.Host, at) {
			http.Error(w, "this console is at http://"+at.String()+"/", http.StatusMisdirectedRequest)
			return
		}
		safe.ServeHTTP(w, r)
	})
}

// isCalled reports whether a request means us: by our address, or by a name of the loopback when we are on it.
func isCalled(host string, at netip.AddrPort) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "80"
	}
	if port != strconv.Itoa(int(at.Port())) {
		return false
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr == at.Addr() || at.Addr().IsLoopback() && (name == "localhost" || err == nil && addr.IsLoopback())
}

func consolesCommand() *cobra.Command {
	var at string
	c := &cobra.Command{
		Use:    consoleCommand + " SOCKET...",
		Short:  "Serve the consoles behind sockets to browsers",
		Hidden: true,
		Args:   cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, sockets []string) error {
			addr, err := netip.ParseAddrPort(at)
			if err != nil {
				return fmt.Errorf("--at: %w", err)
			}
			return serveConsoles(c.Context(), addr, sockets)
		},
	}
	c.Flags().StringVar(&at, "at", "", "IP:port of the first one")
	return c
}
