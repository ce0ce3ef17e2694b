package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) exportAddressesCommand() *cobra.Command {
	var e web.AddressExport
	cmd := t.act("export", "Write the addresses that guests have, at all peers, as a file", cobra.NoArgs, func(ctx context.Context, c *client.Client, _ []string) error {
		if e.Format != "csv" && e.Format != "json" {
			return usagef("--format %q: want csv or json", e.Format)
		}
		text, err := c.ExportAddresses(ctx, e)
		if err != nil {
			return err
		}
		_, err = t.out.Write(text)
		return err
	})
	cmd.Flags().StringVar(&e.Format, "format", "csv", "csv or json")
	cmd.Flags().BoolVar(&e.Partial, "partial", false, "also when some peers do not answer, whose addresses are then missing")
	return cmd
}

func (t *tool) importAddressesCommand() *cobra.Command {
	var dry bool
	cmd := t.act("import FILE", "Give all addresses of a file, or none if anything is wrong with it", cobra.ExactArgs(1), func(ctx context.Context, c *client.Client, args []string) error {
		file, err := t.fileOrInput(args[0])
		if err != nil {
			return err
		}
		out, err := c.ImportAddresses(ctx, file, dry)
		if err != nil {
			return t.importRefused(args[0], err)
		}
		if t.json {
			return t.writeValue(out)
		}
		clean(&out)
		return t.showImport(out, dry)
	})
	cmd.Long = "The file (- is standard input) is CSV with a line of titles, address\n" +
		"and owner among them, or a JSON list of objects; drawbridge ipam export writes both. The same file again changes nothing."
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show what would be given, and by whom")
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it")
	return cmd
}

func (t *tool) fileOrInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(t.in)
	}
	return os.ReadFile(name)
}

// importRefused shows all problems of a file, one a line.
func (t *tool) importRefused(name string, err error) error {
	refusal, ok := errors.AsType[*client.Refusal](err)
	if !ok || len(refusal.Errors) == 0 {
		return err
	}
	clean(&refusal.Errors)
	for _, d := range refusal.Errors {
		if d.Location != "" {
			d.Message = d.Location + ": " + d.Message
		}
		fmt.Fprintln(t.err, d.Message)
	}
	return fmt.Errorf("%s: nothing was imported", name)
}

func (t *tool) showImport(i web.AddressImport, dry bool) error {
	said := "given"
	if dry {
		said = "would be given"
		p := &page{now: t.now(), colour: t.colour}
		tab := newTable("ADDRESS", "OWNER", "BY", ">ENDS IN")
		for _, a := range i.Given {
			tab.row(as(strong, a.Address), a.Owner, a.At, endsIn(p.now, a.Until))
		}
		if len(i.Given) > 0 {
			p.add(tab, "")
		}
		if _, err := t.out.Write(p.Bytes()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.out, "%d %s, %d there already, %d left out\n", len(i.Given), said, i.Same, i.Left)
	return err
}
