// Command takeover measures how long a network is interrupted when its gateway dies, hangs, is cut off or hands over,
// and what was lost, doubled or out of order: Drawbridge in a lab, and keepalived between the same two hosts, in one run.
// A host on the VLAN and a guest of the overlay ask each other a thousand times a second.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
)

// options is what one run was asked for.
type options struct {
	trials int
	only   string
	binary string
	asJSON bool
}

func main() {
	log.SetFlags(0)
	var o options
	flag.IntVar(&o.trials, "trials", 10, "how often each thing happens")
	flag.StringVar(&o.only, "only", "", "comma-separated events, by the start of their names; empty: all")
	flag.StringVar(&o.binary, "drawbridge", "build/drawbridge", "the binary to measure")
	flag.BoolVar(&o.asJSON, "json", false, "print every trial as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		log.Fatal("takeover: ", err)
	}
}

// event is something that happens to the active gateway of a contender, again and again.
type event struct {
	contender, name string
	try             func(ctx context.Context) ([]trial, error) // of each who asks
}

// contender is something that keeps a gateway available.
type contender interface {
	events() []event
	asks() []ask
	close() error
}

func (o options) wants(e event) bool {
	if o.only == "" {
		return true
	}
	for prefix := range strings.SplitSeq(o.only, ",") {
		if strings.HasPrefix(e.contender+" "+e.name, prefix) || strings.HasPrefix(e.name, prefix) {
			return true
		}
	}
	return false
}

// run takes the contenders one after the other, since each wants the machine for itself.
func run(ctx context.Context, o options) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("needs root, for network namespaces: run it with sudo")
	}
	var results []result
	for _, open := range []func(context.Context, options) (contender, error){
		openLab, openKeepalived("keepalived 100 ms", "0.1"), openKeepalived("keepalived 10 ms", "0.01"),
	} {
		c, err := open(ctx, o)
		if err != nil {
			return err
		}
		some, err := trials(ctx, o, c)
		results = append(results, some...)
		if closeErr := c.close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	if o.asJSON {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	report(os.Stdout, results)
	return nil
}

// trials lets every wanted event of a contender happen. A trial that fails is counted and told.
func trials(ctx context.Context, o options, c contender) (results []result, err error) {
	for _, e := range c.events() {
		if !o.wants(e) {
			continue
		}
		some, err := e.trials(ctx, o.trials, c.asks())
		results = append(results, some...)
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

// trials lets one event happen again and again. The results are of each who asks.
func (e event) trials(ctx context.Context, most int, asks []ask) (results []result, err error) {
	for _, a := range asks {
		results = append(results, result{Contender: e.contender, Event: e.name, Way: a.way})
	}
	for range most {
		all, err := e.try(ctx)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		if err != nil {
			results[0].Failed = append(results[0].Failed, err.Error())
			fmt.Fprintf(os.Stderr, "%s, %s: %v\n", e.contender, e.name, err)
			continue
		}
		for i, t := range all {
			results[i].Trials = append(results[i].Trials, t)
		}
	}
	for _, r := range results {
		fmt.Fprintln(os.Stderr, r.row(""))
	}
	return results, nil
}
