package main

import (
	"fmt"
	"io"
	"slices"
)

// result is all trials of one event, as one who asked saw them.
type result struct {
	Contender string   `json:"contender"`
	Event     string   `json:"event"`
	Way       string   `json:"way"`
	Trials    []trial  `json:"trials"`
	Failed    []string `json:"failed,omitempty"`
}

// quantile reads sorted values; of few, the last is as near to p99 as one gets.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// sorted is one figure of every trial, the smallest first.
func (r result) sorted(of func(trial) float64) (all []float64) {
	for _, t := range r.Trials {
		all = append(all, of(t))
	}
	slices.Sort(all)
	return all
}

// undisturbed are the trials during which this machine ran.
func (r result) undisturbed() result {
	r.Trials = slices.DeleteFunc(slices.Clone(r.Trials), func(t trial) bool { return t.Stall > 0 })
	return r
}

const headings = "%-18s %-24s %-24s %3s %10s %7s %9s %7s %8s %7s %6s %9s %9s %8s %5s   %6s %10s %7s %9s %7s %8s %7s\n"

// row is the line of the table; x is the ratio of the medians.
func (r result) row(x string) string {
	if len(r.Trials) == 0 {
		return fmt.Sprintf("%-18s %-24s %-24s   0", r.Contender, r.Event, r.Way)
	}
	lost := r.sorted(func(t trial) float64 { return float64(t.Lost) })
	doubled, late := 0, 0
	for _, t := range r.Trials {
		doubled += t.Doubled
		late += t.Late
	}
	return fmt.Sprintf("%-18s %-24s %-24s %3d %s %6s %9.0f %9.0f %8d %5d   %s", r.Contender, r.Event, r.Way, len(r.Trials),
		r.times(), x, quantile(lost, 0.5), lost[len(lost)-1], doubled, late, r.undisturbed().brief())
}

// brief is how many trials there are, and their times.
func (r result) brief() string {
	if len(r.Trials) == 0 {
		return fmt.Sprintf("%6d", 0)
	}
	return fmt.Sprintf("%6d %s", len(r.Trials), r.times())
}

// times are the outage, the pause and the wait, as p50 and p99 each.
func (r result) times() string {
	outage, pause := r.sorted(func(t trial) float64 { return t.Outage }), r.sorted(func(t trial) float64 { return t.Pause })
	wait := r.sorted(func(t trial) float64 { return t.Wait })
	return fmt.Sprintf("%10.1f %7.1f %9.1f %7.1f %8.1f %7.1f", quantile(outage, 0.5), quantile(outage, 0.99),
		quantile(pause, 0.5), quantile(pause, 0.99), quantile(wait, 0.5), quantile(wait, 0.99))
}

// report prints a line for each event, with the ratio of its median outage to Drawbridge's for the same event.
func report(w io.Writer, results []result) {
	ours := map[string]float64{}
	fmt.Fprintf(w, "\nOne echo request a millisecond. Outage: between two requests in a row that were answered; pause: between two answers;\n")
	fmt.Fprintf(w, "wait: the longest round trip. Who asks is late himself on a busy machine, which is in outage and pause: see the event \"nothing\".\n")
	fmt.Fprintf(w, "x: median outage to Drawbridge's in the same event. Calm: the trials during which no processor stood still for %v or more,\n", worthTelling)
	fmt.Fprintf(w, "which is this machine's doing, and what happened in those.\n\n")
	fmt.Fprintf(w, headings, "", "", "", "n", "outage p50", "p99 ms", "pause p50", "p99 ms", "wait p50", "p99 ms", "x", "lost p50", "lost max", "doubled", "late", "calm n", "outage p50", "p99 ms", "pause p50", "p99 ms", "wait p50", "p99 ms")
	for _, r := range results {
		x := ""
		if len(r.Trials) > 0 {
			median := quantile(r.sorted(func(t trial) float64 { return t.Outage }), 0.5)
			if _, known := ours[r.Event]; !known {
				ours[r.Event] = median
			}
			x = fmt.Sprintf("%.2f", median/ours[r.Event])
		}
		fmt.Fprintln(w, r.row(x))
	}
	for _, r := range results {
		for _, f := range r.Failed {
			fmt.Fprintf(w, "failed: %s, %s: %s\n", r.Contender, r.Event, f)
		}
	}
}
