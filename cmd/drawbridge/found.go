package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// setup is what init and join have in common: who this host is, and its first node file.
type setup struct {
	name              string
	stateDir          string
	listen, advertise []string
	outbound          bool
}

func (s *setup) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.name, "name", "", "name of this peer (default: the host's)")
	f.StringVar(&s.stateDir, "state-dir", "", "where the identity is kept (default: what the node file says)")
	f.StringSliceVar(&s.listen, "listen", nil, "IP:port at which other peers reach this one; for a new node file")
	f.StringSliceVar(&s.advertise, "advertise", nil, "host:port that other peers are told; for a new node file")
	f.BoolVar(&s.outbound, "outbound-only", false, "advertise nothing: other peers cannot call this one; for a new node file")
}

// peer is the name of this host in the network.
func (s *setup) peer() (drawbridge.PeerName, error) {
	name := s.name
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", usagef("--name is missing, and the host has no name: %v", err)
		}
		name, _, _ = strings.Cut(strings.ToLower(host), ".")
	}
	if err := drawbridge.CheckName(name); err != nil {
		return "", usagef("--name: %v", err)
	}
	return drawbridge.PeerName(name), nil
}

// prepare reads the node file, or writes one. undo takes a written one back.
func (s *setup) prepare(t *tool, peer drawbridge.PeerName, join []string) (c *config.Config, undo func(), err error) {
	if s.outbound && len(s.advertise) > 0 {
		return nil, nil, usagef("--outbound-only and --advertise contradict each other")
	}
	values := config.Values{Name: peer, StateDir: s.stateDir, Listen: s.listen, Advertise: s.advertise, Join: join}
	if t.socket != "" {
		values.Socket = t.socket
	}
	if s.outbound {
		values.Advertise = []string{}
	}
	path := t.configPath()
	want, err := config.Parse("flags", config.Template(values))
	if err != nil {
		return nil, nil, &usageError{flagProblem(err)}
	}
	wrote, err := config.Write(path, values)
	if err != nil {
		return nil, nil, err
	}
	undo = func() {
		if wrote {
			_ = os.Remove(path) // the error that led here is the one to report
		}
	}
	if c, err = config.Load(path); err == nil && !wrote {
		err = s.agrees(c, want)
	}
	if err != nil {
		undo()
		return nil, nil, err
	}
	if wrote {
		fmt.Fprintf(t.err, "wrote %s\n", path)
	}
	return c, undo, nil
}

// agrees refuses flags that a node file which is there already contradicts: it is never changed.
func (s *setup) agrees(c, want *config.Config) error {
	switch {
	case c.Name != "" && c.Name != want.Name:
		return fmt.Errorf("%s says that this peer is %s, not %s: change name there, or --name", c.Path, c.Name, want.Name)
	case s.stateDir != "" && want.StateDir != c.StateDir:
		return fmt.Errorf("%s says state_dir = %q: change it there, or leave out --state-dir", c.Path, c.StateDir)
	case len(s.listen) > 0 && !slices.Equal(want.Listen, c.Listen):
		return fmt.Errorf("%s says listen = %q: change it there, or leave out --listen", c.Path, c.Listen)
	case (len(s.advertise) > 0 || s.outbound) && !slices.Equal(want.Advertise, c.Advertise):
		return fmt.Errorf("%s says advertise = %q: change it there, or leave out the flag", c.Path, c.Advertise)
	}
	return nil
}

// flagProblem takes line numbers out of what is said about a file that does not exist yet.
func flagProblem(err error) string {
	var p *config.Problem
	if errors.As(err, &p) {
		name, _, _ := strings.Cut(p.Key, "[")
		return "--" + strings.ReplaceAll(name, "_", "-") + ": " + p.Text
	}
	return err.Error()
}

func (t *tool) initCommand() *cobra.Command {
	var s setup
	var network string
	cmd := &cobra.Command{
		Use:   "init --network NETWORK",
		Short: "Found a network, of which this host is the first peer and voter",
		RunE: func(*cobra.Command, []string) error {
			if err := drawbridge.CheckName(network); err != nil {
				return usagef("--network: %v", err)
			}
			return t.found(&s, network)
		},
	}
	cmd.Flags().StringVar(&network, "network", "", "name of the network (required)")
	s.flags(cmd)
	return cmd
}

func (t *tool) found(s *setup, network string) error {
	peer, err := s.peer()
	if err != nil {
		return err
	}
	c, undo, err := s.prepare(t, peer, nil)
	if err != nil {
		return err
	}
	credentials, err := secure.Found(c.StateDir, network, peer, t.now())
	if err != nil {
		undo()
		return err
	}
	defer credentials.Close()
	if err := appliance.MarkFounder(c.StateDir); err != nil {
		return fmt.Errorf("mark this peer as the first voter: %w", err)
	}
	fmt.Fprintf(t.out, "network %s is founded; this is its first peer, %s (%s)\n", credentials.Network.Name, peer, credentials.ID())
	fmt.Fprintf(t.out, "its authority is kept in %s: back that up\n", c.StateDir)
	fmt.Fprint(t.out, next("drawbridge token create --role gateway,voter   # on this host, for the next one"))
	return nil
}

// next says how to go on.
func next(more ...string) string {
	text := "next: ports in the node file, then systemctl enable --now drawbridge\n"
	for _, m := range more {
		text += "      " + m + "\n"
	}
	return text
}
