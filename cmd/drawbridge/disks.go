package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance/disks"
	"github.com/drawbridge-net/drawbridge/appliance/slot"
	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) installCommand() *cobra.Command {
	var yes, wait bool
	cmd := &cobra.Command{
		Use:   "install [DISK]",
		Short: "Write the appliance that runs here to another disk, all of which is overwritten",
		Long: "The disk starts without identity and keys, as a machine that was never set up. Without a disk, list\n" +
			"those that there are, and what is on them. The daemon does it; root needs none.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return t.showDisks(cmd.Context())
			case !yes:
				return usagef("everything on %s would be lost: add --yes", args[0])
			case os.Geteuid() == 0 && isAppliance():
				return t.install(args[0])
			}
			name := strings.TrimPrefix(args[0], "/dev/")
			return t.begin(cmd, wait, func(ctx context.Context, c *client.Client) (web.Operation, error) {
				return c.InstallToDisk(ctx, web.InstallRequest{Disk: name, Confirm: name, By: caller()})
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "overwrite the disk")
	t.waitFlags(cmd, &wait)
	return cmd
}

func isAppliance() bool {
	_, err := slot.This()
	return err == nil
}

// showDisks lists them, with what can be done with each.
func (t *tool) showDisks(ctx context.Context) error {
	d, err := t.machineDisks(ctx)
	switch {
	case err != nil:
		return err
	case t.json:
		return t.writeValue(d)
	case !d.Appliance:
		return errors.New(d.Reason)
	}
	clean(&d)
	for _, one := range d.Disks {
		fmt.Fprintf(t.out, "%-10s %9.1f GB  %s; on it: %s; %s\n", one.Name, float64(one.Size)/1e9, cmp.Or(one.Model, "no model"), one.Holds, cmp.Or(one.Refused, "can be written to"))
	}
	return nil
}

// machineDisks asks the daemon, and looks itself where none runs yet.
func (t *tool) machineDisks(ctx context.Context) (web.Disks, error) {
	c, err := t.client()
	if err != nil {
		return web.Disks{}, err
	}
	d, err := c.Disks(ctx)
	if _, away := errors.AsType[*client.UnreachableError](err); !away || !isAppliance() {
		return d, err
	}
	h, err := otherDisks()
	if err != nil {
		return d, err
	}
	all, err := h.List()
	return web.Disks{Appliance: true, Disks: shownDisks(all)}, err
}

// shownDisks are the same in the words of the API.
func shownDisks(all []disks.Disk) (shown []web.Disk) {
	for _, d := range all {
		shown = append(shown, web.Disk(d))
	}
	return shown
}

// install writes with the rights of this process.
func (t *tool) install(target string) error {
	h, err := otherDisks()
	if err != nil {
		return err
	}
	d, err := h.Find(target)
	if err != nil {
		return err
	}
	m, err := slot.This()
	if err != nil {
		return err
	}
	if err := m.Copy(h.From, h.Path(d), t.percent()); err != nil {
		return fmt.Errorf("install on %s: %w", target, err)
	}
	fmt.Fprintf(t.out, "%s is written: take out the medium and restart\n", target)
	return nil
}

// otherDisks are those of an appliance, with the one that it runs from.
func otherDisks() (disks.Host, error) {
	from, err := slot.Disk()
	if err != nil {
		return disks.Host{}, err
	}
	least, err := slot.Needs(from)
	return disks.This(from, least), err
}
