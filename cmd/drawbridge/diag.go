package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/appliance"
	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/appliance/diag"
	"github.com/drawbridge-net/drawbridge/appliance/doctor"
	"github.com/drawbridge-net/drawbridge/web/client"
)

func (t *tool) diagCommand() *cobra.Command {
	var out string
	var list, quick bool
	cmd := &cobra.Command{
		Use:   "diag",
		Short: "Write a diagnostics bundle: what somebody far away needs to understand this peer, without secrets",
		Long: "Write a tar.gz with state, configuration, events, metrics, goroutines, the journal and what `drawbridge doctor` says.\n" +
			"Keys, tokens, password hashes, TOTP secrets and cookies are taken out; --list shows what goes in and what does not.\n" +
			"It has the names and addresses of the network. Without a running daemon it has what the host alone tells.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list {
				parts := slices.Concat(appliance.DiagnosticParts(nil), diag.Journals())
				_, err := io.WriteString(t.out, diag.List(parts))
				return err
			}
			listen := doctor.Listening
			if quick {
				listen = 0
			}
			return t.writeBundle(cmd.Context(), out, t.hostParts(func(ctx context.Context) (doctor.Report, error) {
				return doctor.Judge(t.examine(ctx, listen)), nil
			}))
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "file to write; -: standard output (default: drawbridge-PEER-TIME.tar.gz here)")
	cmd.Flags().BoolVar(&list, "list", false, "only show what goes in and what is redacted")
	cmd.Flags().BoolVar(&quick, "quick", false, "do not listen on segment ports for 5 s")
	return cmd
}

// hostParts are those that the tool adds, who may look where the daemon may not.
func (t *tool) hostParts(examine func(context.Context) (doctor.Report, error)) []diag.Part {
	return append(diag.Journals(), diag.JSON("doctor.json", "what drawbridge doctor says as "+caller()+", and the facts that it judged by", examine))
}

// writeBundle asks the daemon for its bundle and adds parts, or makes one of parts alone.
func (t *tool) writeBundle(ctx context.Context, out string, parts []diag.Part) error {
	redactor, dir := t.redactor()
	var b bytes.Buffer
	name := dir + ".tar.gz"
	c, err := t.client()
	if err != nil {
		return err
	}
	bundle, err := c.Diag(ctx)
	var unreachable *client.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		fmt.Fprintf(t.err, "the daemon does not answer (%v): the bundle has what the host alone tells\n", err)
		err = diag.Write(ctx, &b, dir, t.now(), redactor, slices.Concat(parts, t.offline(), diag.Host()))
	case err == nil:
		err = errors.Join(diag.Extend(ctx, &b, bundle, t.now(), redactor, parts), bundle.Close())
	}
	if err != nil {
		return err
	}
	return t.keepBundle(out, name, b.Bytes())
}

// offline is what there is without a daemon.
func (t *tool) offline() []diag.Part {
	return []diag.Part{
		{Name: "node-file.toml", About: "the node file", Read: func(context.Context) ([]byte, error) { return os.ReadFile(t.configPath()) }},
		{Name: "version.txt", About: "version of the program", Read: func(context.Context) ([]byte, error) { return []byte(version + "\n"), nil }},
	}
}

// redactor knows the secrets of this host's peer, where the caller may read them.
func (t *tool) redactor() (r *diag.Redactor, dir string) {
	c, err := config.Load(t.configPath())
	if err != nil {
		c = config.Default()
	}
	name := string(c.Name)
	if name == "" {
		name, _ = os.Hostname() // only for the file's name
	}
	return diag.NewRedactor(diag.Secrets(c.StateDir)...), "drawbridge-" + name + "-" + t.now().UTC().Format("20060102T150405Z")
}

func (t *tool) keepBundle(out, name string, bundle []byte) error {
	if out == "-" {
		_, err := t.out.Write(bundle)
		return err
	}
	if out == "" {
		out = name
	}
	f, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	_, err = f.Write(bundle)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	fmt.Fprintf(t.out, "wrote %s (%s); README.txt in it says what it has and what was taken out\n", out, octets(uint64(len(bundle))))
	return nil
}
