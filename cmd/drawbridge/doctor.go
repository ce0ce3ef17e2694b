package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/doctor"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) doctorCommand() *cobra.Command {
	var quick, clean, yes, all bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this host, and say what to do about what is wrong",
		Long: "Check what a peer needs of its host: interfaces, bridges, offloads, MTU, spanning tree on the switch port, clocks,\n" +
			"the kernel, socket buffers, ports and firewall, the disk, and what former runs left. It works without the daemon,\n" +
			"and before init. It listens on segment ports for 5 s. The exit code is 1 when something is wrong.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if clean {
				return t.cleanHost(cmd.Context(), yes)
			}
			listen := doctor.Listening
			if quick {
				listen = 0
			}
			r := doctor.Judge(t.examine(cmd.Context(), listen))
			if cmd.Context().Err() != nil {
				return errors.New("interrupted before everything was looked at")
			}
			return t.tellReport(r, all)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&quick, "quick", false, "do not listen on segment ports for 5 s, for bridges and twins")
	f.BoolVar(&all, "all", false, "show what is right, too")
	f.BoolVar(&t.json, "json", false, "write results and facts as JSON")
	f.BoolVar(&clean, "clean", false, "remove what former runs left: pinned BPF objects, dead sockets, gates on interfaces")
	f.BoolVarP(&yes, "yes", "y", false, "with --clean: do not ask; nobody is asked where standard input is no terminal")
	return cmd
}

// examine gathers facts, and tells how that goes.
func (t *tool) examine(ctx context.Context, listen time.Duration) *doctor.Facts {
	o := doctor.Options{Version: version, NodeFile: t.configPath(), Listen: listen, Daemon: t.askDaemon}
	said := false
	if !t.json {
		o.Progress = func(text string) {
			if t.terminal {
				fmt.Fprintf(t.err, "\r\x1b[K%s", text)
			} else if !said {
				fmt.Fprintln(t.err, text)
			}
			said = true
		}
	}
	facts := doctor.Gather(ctx, o)
	if said && t.terminal {
		fmt.Fprint(t.err, "\r\x1b[K")
	}
	return facts
}

// daemonPatience is how long the doctor waits for a daemon that does not answer.
const daemonPatience = 3 * time.Second

// askDaemon hears what the running peer says of itself.
func (t *tool) askDaemon(ctx context.Context, socket string) doctor.Daemon {
	if path, err := t.socketPath(); err == nil {
		socket = path
	}
	d := doctor.Daemon{Socket: socket}
	ctx, cancel := context.WithTimeout(ctx, daemonPatience)
	defer cancel()
	c := client.New(socket)
	status, err := c.Status(ctx)
	if err != nil {
		d.Error = err.Error()
		return d
	}
	clean(&status)
	d.Running, d.Name, d.Version, d.Gate = true, status.Name, status.Version, status.DataPath.Gate
	for _, p := range status.Problems {
		d.Problems = append(d.Problems, doctor.Problem{Summary: p.Summary, Remedy: p.Remedy})
	}
	links, err := c.Links(ctx)
	if err != nil {
		d.Problems = append(d.Problems, doctor.Problem{Summary: "it does not tell its links: " + err.Error(), Remedy: "drawbridge peers"})
	}
	clean(&links)
	for _, l := range links {
		d.Links = append(d.Links, doctor.Link{Peer: l.Peer, Path: l.Path, Dialled: l.Dialled})
	}
	return d
}

// tellReport shows what was found, what is wrong first, and fails when anything is.
func (t *tool) tellReport(r doctor.Report, all bool) error {
	if t.json {
		if err := t.writeValue(r); err != nil {
			return err
		}
	} else if _, err := t.out.Write(t.showReport(r, all)); err != nil {
		return err
	}
	if n := count(r, doctor.Wrong); n > 0 {
		return fmt.Errorf("%s wrong on this host", drawbridge.Counted(n, "thing is", "things are"))
	}
	return nil
}

func count(r doctor.Report, state string) (n int) {
	for _, x := range r.Results {
		if x.State == state {
			n++
		}
	}
	return n
}

var stateStyles = map[string]style{doctor.Wrong: bad, doctor.Advice: warn, doctor.Unknown: faint, doctor.OK: good}

func (t *tool) showReport(r doctor.Report, all bool) []byte {
	p := &page{now: t.now(), colour: t.colour}
	for _, x := range doctor.Worst(r.Results) {
		if x.State == doctor.OK && !all {
			continue
		}
		about := x.Check
		if x.Subject != "" {
			about += " " + x.Subject
		}
		fmt.Fprintf(p, "%s %s: %s\n", p.paint(stateStyles[x.State], fmt.Sprintf("%-8s", x.State)), p.paint(strong, strings.Map(visible, about)), strings.Map(visibleLine, x.Found))
		if x.Remedy != "" {
			fmt.Fprintf(p, "         -> %s\n", strings.Map(visible, x.Remedy))
		}
	}
	fmt.Fprintf(p, "%d checks found: %d wrong, %d with advice, %d unknown, %d ok\n", len(doctor.Checks), count(r, doctor.Wrong), count(r, doctor.Advice), count(r, doctor.Unknown), count(r, doctor.OK))
	return p.Bytes()
}

// visibleLine lets lines end: problems of a node file have one each.
func visibleLine(r rune) rune {
	if r == '\n' {
		return r
	}
	return visible(r)
}

// cleanHost removes what former runs left, after it has shown what.
func (t *tool) cleanHost(ctx context.Context, yes bool) error {
	if os.Geteuid() != 0 {
		return errors.New("only root may see and remove what former runs left: run drawbridge doctor --clean as root")
	}
	left := t.examine(ctx, 0).Leftovers
	if len(left) == 0 {
		fmt.Fprintln(t.out, "nothing is left of former runs")
		return nil
	}
	for _, l := range left {
		fmt.Fprintf(t.out, "%-22s %s (%s)\n", l.Kind, l.Path, l.Why)
	}
	if !yes && !t.sure("Remove "+drawbridge.Counted(len(left), "thing")+"?") {
		return errors.New("nothing was removed")
	}
	removed, err := doctor.Clean(left)
	fmt.Fprintf(t.out, "%s removed\n", drawbridge.Counted(len(removed), "thing"))
	return err
}
