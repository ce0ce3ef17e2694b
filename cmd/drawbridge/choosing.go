package main

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// choice is a flag that chooses among the rows of a list; the API calls it the same.
type choice struct{ name, usage string }

// chooses gives a command that lists the flags of a choice, and says what they mean to the API.
func chooses(cmd *cobra.Command, choices ...choice) (query func() url.Values) {
	flags := cmd.Flags()
	find := choice{"find", "only those with this text in a name, an address or a sentence of theirs"}
	for _, c := range append(choices, find) {
		flags.String(c.name, "", c.usage)
	}
	return func() url.Values {
		q := url.Values{}
		for _, c := range append(choices, find) {
			if f := flags.Lookup(c.name); f.Changed {
				q.Set(c.name, f.Value.String())
			}
		}
		return q
	}
}

// completeChoices completes what flags name.
func (t *tool) completeChoices(cmd *cobra.Command) {
	for name, names := range map[string]cobra.CompletionFunc{"peer": t.completePeers, "port": t.completePorts, "segment": t.completeSegments} {
		if cmd.Flags().Lookup(name) != nil {
			t.fail(cmd.RegisterFlagCompletionFunc(name, names))
		}
	}
}

// lists makes a reading command of cmd whose rows can be chosen.
func lists[T any](t *tool, cmd *cobra.Command, r reading[T], choices ...choice) *cobra.Command {
	chosen, limit := chooses(cmd, choices...), cmd.Flags().Int("limit", 0, "the most that are shown; 0: all")
	r.query = func() url.Values {
		q := chosen()
		if *limit != 0 {
			q.Set("limit", strconv.Itoa(*limit))
		}
		return q
	}
	t.completeChoices(cmd)
	return reads(t, cmd, r)
}
