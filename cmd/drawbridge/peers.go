package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) peersCommand() *cobra.Command {
	cmd := lists(t, &cobra.Command{
		Use:   "peers",
		Short: "All peers of the network, how they are reached, and how well",
	}, reading[[]web.Peer]{path: "peers", show: showPeers},
		choice{"state", "only those in this state: self, direct, relayed, unreachable or left"}, choice{"role", "only those that may be this: voter, gateway or peer"})
	cmd.AddCommand(t.linksCommand(), t.forgetCommand())
	return cmd
}

func (t *tool) linksCommand() *cobra.Command {
	return reads(t, &cobra.Command{Use: "links", Short: "The connections to adjacent peers, what crossed them, and why one is not better"}, reading[[]web.Link]{path: "links", show: showLinks})
}

func showLinks(_ context.Context, _ *client.Client, p *page, links []web.Link) error {
	tab := newTable("PEER", "STATE", "PATH", ">RTT", ">JITTER", ">LOSS", ">MTU", ">RX", ">TX", ">KEY AGE", ">SINCE", "ADDRESS")
	var problems []web.Problem
	for _, l := range links {
		state := as(good, "up")
		if !l.Up {
			state = as(bad, "down")
		}
		tab.row(as(strong, l.Peer), state, l.Path, milliseconds(l.RTT), milliseconds(l.Jitter), percent(l.Loss), number(l.MTU), octets(l.RxBytes), octets(l.TxBytes),
			fmt.Sprintf("%.0f s", l.KeyAgeS), p.since(l.Since), l.Remote)
		for _, problem := range l.Problems {
			problem.Summary = l.Peer + ": " + problem.Summary
			problems = append(problems, problem)
		}
	}
	p.add(tab, "no peer is adjacent: drawbridge peers shows who there is, and drawbridge token create invites one")
	p.problems(problems)
	return nil
}

func showPeers(_ context.Context, _ *client.Client, p *page, peers []web.Peer) error {
	tab := newTable("PEER", "STATE", "PATH", ">RTT", ">LOSS", ">MTU", ">SINCE", "ROLES", "SOFTWARE", "ADDRESS")
	for _, q := range peers {
		address := q.Remote
		if address == "" && len(q.Endpoints) > 0 {
			address = q.Endpoints[0]
		}
		tab.row(as(strong, q.Name), peerState(q), peerPath(q), milliseconds(q.RTT), loss(q), number(q.MTU), p.since(q.Since), list(q.Roles), q.Software, address)
	}
	p.add(tab, "no peers: drawbridge token create invites one")
	return nil
}

func peerState(q web.Peer) cell {
	styles := map[string]style{web.PeerDirect: good, web.PeerRelayed: warn, web.PeerUnreachable: bad, web.PeerLeft: faint}
	return as(styles[q.State], q.State)
}

// peerPath is the way to a peer: the kind of link, or who relays.
func peerPath(q web.Peer) cell {
	switch {
	case q.State != web.PeerDirect && q.State != web.PeerRelayed:
		return cell{}
	case q.Via != "" && q.State == web.PeerRelayed:
		return as(warn, "via "+q.Via)
	case q.Path == "tcp":
		return as(warn, "tcp")
	default:
		return as(plain, q.Path)
	}
}

func loss(q web.Peer) cell {
	switch {
	case q.State != web.PeerDirect:
		return cell{}
	case q.Loss > 0:
		return as(warn, percent(q.Loss))
	default:
		return as(plain, percent(0))
	}
}

func (t *tool) forgetCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "forget NAME",
		Short:             "Remove a peer from the network for good: its certificate is revoked",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: t.completePeers,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			t.showInheritance(cmd.Context(), c, args[0])
			if !yes && !t.sure("Remove peer "+args[0]+" for good? It can only come back with a new token.") {
				return fmt.Errorf("peer %s was not removed", args[0])
			}
			if err := c.Forget(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(t.out, "peer %s is removed\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask; nobody is asked where standard input is no terminal")
	return cmd
}

// sure asks where there is somebody to answer.
func (t *tool) sure(question string) bool {
	if !t.interactive {
		return true
	}
	fmt.Fprintf(t.err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(t.in).ReadString('\n') // an end of input is a no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
