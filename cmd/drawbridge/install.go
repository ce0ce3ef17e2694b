package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/backup"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) factoryResetCommand() *cobra.Command {
	var yes, force bool
	cmd := &cobra.Command{
		Use:     "factory-reset",
		Aliases: []string{"reset"},
		Short:   "Forget identity, keys, users and configuration of this appliance at its next start",
		Long: "First its segments are handed over, and the others remove it from the network, each within 30 s. Where that cannot be\n" +
			"done nothing is, unless --force says so: nobody takes the segments or answers, or without its vote those that are left could decide nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !yes {
				return usagef("identity and keys would be lost: add --yes")
			}
			return t.factoryReset(cmd.Context(), force)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; refused without")
	cmd.Flags().BoolVar(&force, "force", false, "do it although segments could not be handed over, or the others cannot remove this peer")
	return cmd
}

func (t *tool) factoryReset(ctx context.Context, force bool) error {
	m, err := slot.This()
	if err != nil {
		return err
	}
	if err := t.leave(ctx, force); err != nil {
		return err
	}
	reset := func(s slot.State) (slot.State, error) { s.Reset = true; return s, nil }
	if err := m.Store.Change(reset); err != nil {
		return err
	}
	fmt.Fprintln(t.out, "the state is made anew at the next start; restart now")
	return nil
}

// leaveFor bounds each part of leaving: others take the segments over, of whom a gateway that has just started listens for some
// seconds before it is ready, and then the voters part with this peer.
//
// Tests take less.
var leaveFor = 30 * time.Second

// leave hands the segments of this peer over for good, and has the others remove it from the network. By force it is reset although
// that cannot be done.
func (t *tool) leave(ctx context.Context, force bool) error {
	err := t.quit(ctx)
	if err == nil {
		return nil
	}
	if !force {
		return fmt.Errorf("%w: add --force to reset this peer nevertheless", err)
	}
	fmt.Fprintln(t.err, err)
	fmt.Fprintln(t.out, "the others may still count on this peer: remove it there with drawbridge peers forget and its name")
	return nil
}

func (t *tool) quit(ctx context.Context) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	answer, enough := context.WithTimeout(ctx, leaveFor)
	s, err := c.Status(answer)
	enough()
	if _, away := errors.AsType[*client.UnreachableError](err); away {
		if !t.isSetUp() {
			return nil // nobody knows it
		}
		return errors.New("the daemon does not answer, so this peer cannot leave its network")
	}
	if err != nil {
		return err
	}
	if slices.Contains(s.Roles, "gateway") {
		if err := t.giveUp(ctx, c, s.Name); err != nil {
			return fmt.Errorf("the segments were not handed over: %w", err)
		}
	}
	if s.Peers.Total == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, leaveFor)
	defer cancel()
	if err := c.Forget(ctx, s.Name); err != nil {
		return fmt.Errorf("the others did not remove this peer: %w", err)
	}
	fmt.Fprintf(t.out, "%s has left the network\n", clean1(s.Name))
	return nil
}

// giveUp sends a gateway into maintenance, and waits until that has ended.
func (t *tool) giveUp(ctx context.Context, c *client.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, leaveFor)
	defer cancel()
	o, err := c.Maintain(ctx, name, web.MaintenanceRequest{On: true, By: caller()})
	if err == nil && o.State == web.OperationRunning {
		o, err = t.follow(ctx, c, o)
	}
	switch {
	case err != nil:
		return err
	case o.State != web.OperationDone:
		return fmt.Errorf("%s: %s", o.State, o.Outcome)
	}
	return nil
}

// provisionCommand is the first set-up without hands. The appliance's unit runs it until it succeeds; what it needs has
// been read from a medium or the kernel command line by stage 1.
func (t *tool) provisionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "provision DIRECTORY", Short: "Set this peer up from files", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := noteSetup(t.provision(cmd.Context(), args[0]))
			if errors.Is(err, errBackup) { // the unit tries again after a failure, at the cost of a second of a core
				fmt.Fprintln(t.err, err)
				return nil
			}
			return err
		},
	}
}

// setupProblem is where the first set-up says why it has not succeeded yet; the status screen shows it.
const setupProblem = "/run/drawbridge-setup/problem"

// noteSetup leaves the reason for the screen, or takes away the one of an earlier attempt.
func noteSetup(err error) error {
	if err == nil {
		_ = os.Remove(setupProblem) // there was none
		return nil
	}
	_ = os.WriteFile(setupProblem, []byte(err.Error()+"\n"), 0o644) // no appliance: the caller prints it
	return err
}

// provision writes nothing before everything that was handed over makes sense. The certificate of the peer comes last: what
// was interrupted before it is begun anew.
func (t *tool) provision(ctx context.Context, dir string) error {
	if t.isSetUp() {
		return fmt.Errorf("first set-up: %w", backup.ErrSetUp)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	s := setup{name: read("name")}
	token, network, node := read("token"), read("network"), read("drawbridge.toml")
	if _, err := os.Stat(filepath.Join(dir, "backup")); err == nil {
		if token != "" || node != "" {
			return errors.New("first set-up: a backup has a node file and needs no token: take the files token and drawbridge.toml away")
		}
		if err := t.provisionBackup(dir, read("passphrase"), s.name, network); err != nil {
			return fmt.Errorf("first set-up: %w", err)
		}
		return nil
	}
	if (token == "") == (network == "") {
		return errors.New("first set-up: want a file token, to join a network, or a file network with the name of one to found; exactly one of them")
	}
	if node == "" {
		node = "console = \"0.0.0.0:" + config.ConsolePort + "\"\n"
	}
	c, err := config.Parse("drawbridge.toml", []byte(node))
	if err != nil {
		return fmt.Errorf("first set-up: %w", err)
	}
	if c.Name != "" && s.name == "" {
		s.name = string(c.Name)
	}
	var invitation secure.Token
	if token != "" {
		if invitation, err = secure.ParseToken(token); err != nil {
			return fmt.Errorf("first set-up: token: %w", err)
		}
	}
	if network != "" {
		if err := drawbridge.CheckName(network); err != nil {
			return fmt.Errorf("first set-up: network: %w", err)
		}
	}
	if _, err := s.peer(); err != nil {
		return fmt.Errorf("first set-up: %w", err)
	}
	path := t.configPath()
	if err := os.WriteFile(path+".new", []byte(node+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	if network != "" {
		err = t.found(&s, network)
	} else {
		err = t.join(ctx, &s, invitation)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("first set-up: %w", err), os.Remove(path))
	}
	return nil
}

// problemTexts is what is wrong in one line.
func problemTexts(all []web.Problem) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, p.Summary)
	}
	if len(texts) == 0 {
		return "no reason is known"
	}
	return strings.Join(texts, "; ")
}
