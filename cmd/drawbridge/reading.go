package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/drawbridge-net/drawbridge/web/client"
)

// reading is a command that shows one document of the API: as tables, as JSON, once or whenever it changes.
type reading[T any] struct {
	path  string
	query func() url.Values // nil: none
	lines bool              // show takes control characters out line by line: the document is text whose lines mean something
	// show writes the document for people. c is for what the document alone does not say.
	show func(ctx context.Context, c *client.Client, p *page, doc T) error
}

// reads makes a reading command of cmd.
func reads[T any](t *tool, cmd *cobra.Command, r reading[T]) *cobra.Command {
	t.readingFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context(), t) }
	return cmd
}

// run shows the document now, or from now on.
func (r reading[T]) run(ctx context.Context, t *tool) error {
	c, err := t.client()
	if err != nil {
		return err
	}
	var q url.Values
	if r.query != nil {
		q = r.query()
	}
	once := func(raw json.RawMessage) error { return r.write(ctx, t, c, q, raw) }
	if t.watch {
		return unlessInterrupted(ctx, misused(c.Watch(ctx, r.path, q, once)))
	}
	raw, err := c.Raw(ctx, r.path, q)
	if err != nil {
		return misused(err)
	}
	return once(raw)
}

// readsAbout makes a reading command of cmd whose arguments say what is read.
func readsAbout[T any](t *tool, cmd *cobra.Command, about func(args []string) (reading[T], error)) *cobra.Command {
	t.readingFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := about(args)
		if err != nil {
			return err
		}
		return r.run(cmd.Context(), t)
	}
	return cmd
}

// misused is a refusal of a question as what it is: nothing but the flags can be wrong with it.
func misused(err error) error {
	if r, ok := errors.AsType[*client.Refusal](err); ok && r.Status == http.StatusUnprocessableEntity {
		return usagef("%v", r)
	}
	return err
}

func (t *tool) readingFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.json, "json", false, "write JSON as the API has it; with --watch one document a line")
	cmd.Flags().BoolVar(&t.watch, "watch", false, "go on, and show every change")
}

func (r reading[T]) write(ctx context.Context, t *tool, c *client.Client, q url.Values, raw json.RawMessage) error {
	if t.json {
		return t.writeJSON(raw)
	}
	var doc T
	if err := json.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("answer to %s: %w", r.path, err)
	}
	if !r.lines {
		clean(&doc)
	}
	p := &page{now: t.now(), colour: t.colour, asked: q}
	if err := r.show(ctx, c, p, doc); err != nil {
		return err
	}
	if t.watch && t.terminal {
		fmt.Fprint(t.out, "\x1b[H\x1b[2J") // home, clear
	} else if t.watch {
		fmt.Fprintf(t.out, "-- %s\n", p.now.Format("15:04:05"))
	}
	_, err := t.out.Write(p.Bytes())
	return err
}

// writeJSON writes a document to look at, or one line of a watched one.
func (t *tool) writeJSON(raw json.RawMessage) error {
	var b bytes.Buffer
	var err error
	if t.watch {
		err = json.Compact(&b, raw)
	} else {
		err = json.Indent(&b, bytes.TrimSpace(raw), "", "  ")
	}
	if err != nil {
		return fmt.Errorf("answer of the daemon: %w", err)
	}
	b.WriteByte('\n')
	_, err = t.out.Write(b.Bytes())
	return err
}

// writeValue is writeJSON for what did not come from the API as it is.
func (t *tool) writeValue(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.writeJSON(raw)
}
