package main

import (
	"fmt"
	"io"
	"slices"
)

// result is all trials of one event.
type result struct {
	Contender string   `json:"contender"`
	Event     string   `json:"event"`
	Trials    []trial  `json:"trials"`
	Failed    []string `json:"failed,omitempty"`
}

// quantile reads sorted values; of few, the last is as near to p99 as one gets.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (r result) outages() (all []float64) {
	for _, t := range r.Trials {
		all = append(all, t.Outage)
	}
	slices.Sort(all)
	return all
}

func (r result) sums() (lost []float64, doubled, late int) {
	for _, t := range r.Trials {
		lost = append(lost, float64(t.Lost))
		doubled += t.Doubled
		late += t.Late
	}
	slices.Sort(lost)
	return lost, doubled, late
}

func (r result) line() string {
	if len(r.Trials) == 0 {
		return fmt.Sprintf("no trial of %d worked", len(r.Failed))
	}
	o := r.outages()
	lost, doubled, late := r.sums()
	return fmt.Sprintf("n %2d  outage p50 %6.1f  p99 %6.1f ms  lost p50 %3.0f max %3.0f  doubled %d  late %d  failed %d",
		len(r.Trials), quantile(o, 0.5), quantile(o, 0.99), quantile(lost, 0.5), lost[len(lost)-1], doubled, late, len(r.Failed))
}

// report prints a line for each event, with the ratio of its median outage to Drawbridge's for the same event.
func report(w io.Writer, results []result) {
	ours := map[string]float64{}
	fmt.Fprintf(w, "\nOne echo request a millisecond, from a guest of the overlay to a host on the VLAN. x: median outage to Drawbridge's.\n\n")
	fmt.Fprintf(w, "%-18s %-24s %3s %10s %8s %8s %10s %9s %8s %6s\n", "", "", "n", "p50 ms", "p99 ms", "x", "lost p50", "lost max", "doubled", "late")
	for _, r := range results {
		if len(r.Trials) == 0 {
			fmt.Fprintf(w, "%-18s %-24s   0\n", r.Contender, r.Event)
			continue
		}
		o := r.outages()
		lost, doubled, late := r.sums()
		median := quantile(o, 0.5)
		if _, known := ours[r.Event]; !known {
			ours[r.Event] = median
		}
		fmt.Fprintf(w, "%-18s %-24s %3d %10.1f %8.1f %8.2f %10.0f %9.0f %8d %6d\n", r.Contender, r.Event, len(r.Trials),
			median, quantile(o, 0.99), median/ours[r.Event], quantile(lost, 0.5), lost[len(lost)-1], doubled, late)
	}
	for _, r := range results {
		for _, f := range r.Failed {
			fmt.Fprintf(w, "failed: %s, %s: %s\n", r.Contender, r.Event, f)
		}
	}
}
