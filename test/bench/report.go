package main

import (
	"fmt"
	"io"
	"slices"
)

// column is one figure of the report; less is better where down is set.
type column struct {
	title string
	value func(figures) float64
	unit  float64 // what the value is divided by for display
	form  string
}

var columns = []column{
	{"TCP 1 Gbit/s", func(f figures) float64 { return f.TCP1 }, 1, "%.2f"},
	{"TCP 4 Gbit/s", func(f figures) float64 { return f.TCP4 }, 1, "%.2f"},
	{"64 B kpps", func(f figures) float64 { return f.Small }, 1000, "%.0f"},
	{"CPU s/GB", func(f figures) float64 { return f.CPU }, 1, "%.2f"},
	{"RTT p50 us", func(f figures) float64 { return f.RTT50 }, 1, "%.0f"},
	{"RTT p99 us", func(f figures) float64 { return f.RTT99 }, 1, "%.0f"},
}

// report prints medians and, beside each, the median of the per-round ratios to the yardstick.
func report(w io.Writer, o options, list []contender, results map[string][]figures, failures []string) {
	fmt.Fprintf(w, "\nUnderlay MTU 1500 (%s), hosts at MTU %d, %d rounds. x: median of the ratios to kernel VXLAN in the same round.\n\n", o.mode, o.mtu, o.rounds)
	fmt.Fprintf(w, "%-20s %2s", "", "n")
	for _, c := range columns {
		fmt.Fprintf(w, " %13s %5s", c.title, "x")
	}
	fmt.Fprintln(w)
	for _, c := range list {
		runs := results[c.name]
		if len(runs) == 0 {
			continue
		}
		name := c.name
		if c.sealed {
			name += " *"
		}
		fmt.Fprintf(w, "%-20s %2d", name, len(runs))
		for _, col := range columns {
			fmt.Fprintf(w, " %13s %5s", fmt.Sprintf(col.form, median(each(runs, col.value))/col.unit), ratio(runs, results[yardstick], col))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "\n* encrypts and authenticates every frame")
	rivals(w, list, results)
	for _, f := range failures {
		fmt.Fprintln(w, "failed:", f)
	}
}

func each(runs []figures, value func(figures) float64) (out []float64) {
	for _, r := range runs {
		out = append(out, value(r))
	}
	return out
}

// ratio divides round by round, as long as both have the round, and takes the median.
func ratio(runs, base []figures, col column) string {
	var rs []float64
	for i := range min(len(runs), len(base)) {
		if d := col.value(base[i]); d > 0 {
			rs = append(rs, col.value(runs[i])/d)
		}
	}
	if len(rs) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", median(rs))
}

// rivals compares Drawbridge with the best of the others that encrypt.
func rivals(w io.Writer, list []contender, results map[string][]figures) {
	ours := results["drawbridge"]
	if len(ours) == 0 {
		return
	}
	for _, col := range columns[:3] {
		var best float64
		var who string
		for _, c := range list {
			if runs := results[c.name]; c.sealed && len(runs) > 0 && c.name != "drawbridge" && c.name != "drawbridge-single" {
				if m := median(each(runs, col.value)); m > best {
					best, who = m, c.name
				}
			}
		}
		if best > 0 {
			fmt.Fprintf(w, "%s: %.1f x the best encrypting rival (%s)\n", col.title, median(each(ours, col.value))/best, who)
		}
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
