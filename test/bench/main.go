// Command bench measures Drawbridge against kernel VXLAN and the layer-2 overlays that Debian packages, all in one
// run: two hosts, two gateways and an underlay in network namespaces, contenders interleaved round by round. What
// counts are the ratios to kernel VXLAN of the same round; absolute figures say as much about the machine.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options is what one run was asked for.
type options struct {
	rounds   int
	seconds  int
	mtu      int
	mode     string
	only     string
	binary   string
	asJSON   bool
	keepLogs bool
}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "__") {
		inner(os.Args[1], os.Args[2:])
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how many interleaved rounds")
	flag.IntVar(&o.seconds, "seconds", 3, "length of each throughput measurement")
	flag.IntVar(&o.mtu, "mtu", 1400, "MTU of the hosts; the underlay has 1500")
	flag.StringVar(&o.mode, "mode", "wire", "wire: the underlay carries MTU-sized packets; whole: super-frames cross it whole")
	flag.StringVar(&o.only, "only", "", "comma-separated contenders, by the start of their names; empty: all that are installed")
	flag.StringVar(&o.binary, "drawbridge", "build/drawbridge", "the binary to measure")
	flag.BoolVar(&o.asJSON, "json", false, "print the result as JSON")
	flag.BoolVar(&o.keepLogs, "keep", false, "keep the working directory with configurations and logs")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal("bench: ", err)
	}
}

// run plays the rounds and prints the report. An interrupt ends it after cleaning up.
func run(o options) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("needs root, for network namespaces: run it with sudo")
	}
	if o.mode != "wire" && o.mode != "whole" {
		return fmt.Errorf("mode %q: want wire or whole", o.mode)
	}
	dir, err := os.MkdirTemp("", "drawbridge-bench-")
	if err != nil {
		return err
	}
	if !o.keepLogs {
		defer os.RemoveAll(dir)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)

	list := contenders(o)
	results := map[string][]figures{}
	var failures []string
	for round := range o.rounds {
		for _, c := range list {
			select {
			case <-interrupted:
				return fmt.Errorf("interrupted in round %d", round+1)
			default:
			}
			start := time.Now()
			f, err := measure(c, o, fmt.Sprintf("%s/%s-%d", dir, c.name, round))
			if err != nil {
				failures = append(failures, fmt.Sprintf("%s, round %d: %v", c.name, round+1, err))
				fmt.Fprintf(os.Stderr, "round %d  %-22s %v\n", round+1, c.name, err)
				continue
			}
			results[c.name] = append(results[c.name], f)
			fmt.Fprintf(os.Stderr, "round %d  %-22s %s  (%.0f s)\n", round+1, c.name, f, time.Since(start).Seconds())
		}
	}
	if o.asJSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"mode": o.mode, "mtu": o.mtu, "results": results, "failures": failures})
	}
	report(os.Stdout, o, list, results, failures)
	return nil
}
