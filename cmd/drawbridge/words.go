package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// span is a length of time in its largest unit, and the next one below ten: 40 s, 2 h 5 min, 75 h is 3 d 3 h.
func span(d time.Duration) string {
	d = max(d, 0)
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		n := d / u.length
		if n == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s", n, u.name)
		if i+1 < len(units) && n < 10 {
			if rest := d % u.length / units[i+1].length; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "<1 s"
}

// since is how long ago t was; empty when it never was.
func (p *page) since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return span(p.now.Sub(t))
}

// left is how long until t.
func (p *page) left(t time.Time) string {
	if !t.After(p.now) {
		return span(p.now.Sub(t)) + " ago"
	}
	return "in " + rest(t.Sub(p.now))
}

// rest is the span of time that is left of a round one: an hour is still one after a second.
func rest(d time.Duration) string {
	if d > 10*time.Minute {
		return span(d.Round(time.Minute))
	}
	return span(d.Round(time.Second))
}

// milliseconds has three digits, however small; empty when unknown.
func milliseconds(m web.Milliseconds) string {
	switch {
	case m <= 0:
		return ""
	case m < 10:
		return fmt.Sprintf("%.2f ms", float64(m))
	case m < 100:
		return fmt.Sprintf("%.1f ms", float64(m))
	default:
		return fmt.Sprintf("%.0f ms", float64(m))
	}
}

func percent(share float64) string {
	switch {
	case share <= 0:
		return "0%"
	case share < 0.01:
		return fmt.Sprintf("%.2f%%", share*100)
	default:
		return fmt.Sprintf("%.0f%%", share*100)
	}
}

// quantity shortens n to three digits and a prefix: 1204, 71.5 k, 5.00 M.
func quantity(n uint64) string {
	if n < 10_000 {
		return strconv.FormatUint(n, 10)
	}
	value, prefixes := float64(n), " kMGTPE"
	i := 0
	for ; value >= 999.5; i++ {
		value /= 1000
	}
	digits := 2
	if value >= 99.95 {
		digits = 0
	} else if value >= 9.995 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %c", digits, value, prefixes[i])
}

// octets is a quantity of bytes.
func octets(n uint64) string {
	q := quantity(n)
	if strings.Contains(q, " ") {
		return q + "B"
	}
	return q + " B"
}

// number is empty for 0, which the API uses for unknown.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func list(words []string) string { return strings.Join(words, ", ") }

// counts lists reasons by how often, most first.
func counts(m map[string]uint64) string {
	reasons := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, r := range reasons {
		if m[r] > 0 {
			parts = append(parts, r+" "+quantity(m[r]))
		}
	}
	return list(parts)
}

// total is the sum of counts.
func total(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}
