package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// page collects what a command shows.
type page struct {
	bytes.Buffer
	now    time.Time
	colour bool
	asked  url.Values // what was chosen of all rows, by the names of flags
}

// style is how much a cell should stand out.
type style int

const (
	plain style = iota
	good
	warn
	bad
	faint
	strong
)

// codes are the SGR parameters (ECMA-48 §8.3.117) of the styles: the eight basic colours, which every
// terminal lets its owner choose.
var codes = map[style]string{good: "32", warn: "33", bad: "31", faint: "2", strong: "1"}

func (p *page) paint(s style, text string) string {
	if !p.colour || codes[s] == "" || text == "" {
		return text
	}
	return "\x1b[" + codes[s] + "m" + text + "\x1b[0m"
}

// cell is one entry of a table.
type cell struct {
	text  string
	style style
}

// as gives text a style.
func as(s style, text string) cell { return cell{text, s} }

// table has a heading per column; one that begins with > is aligned to the right.
type table struct {
	heads []string
	rows  [][]cell
}

func newTable(heads ...string) *table { return &table{heads: heads} }

// row adds a row of strings, numbers and cells. Empty cells show a dash, so that columns stay readable.
func (t *table) row(values ...any) {
	row := make([]cell, len(values))
	for i, v := range values {
		c, ok := v.(cell)
		if !ok {
			c = cell{text: fmt.Sprint(v)}
		}
		if c.text == "" {
			c = cell{"-", faint}
		}
		row[i] = c
	}
	t.rows = append(t.rows, row)
}

// none says that there is nothing, and what to do next: "no tokens: drawbridge token create makes one". Where some were
// chosen, there may be others.
func (p *page) none(empty string) {
	if flags := chosenBy(p.asked); flags != "" {
		empty = "nothing matches " + flags + ": without that all are shown"
	}
	p.WriteString(empty + "\n")
}

// add writes t, or what to say when it has no rows.
func (p *page) add(t *table, empty string) {
	if len(t.rows) == 0 {
		p.none(empty)
		return
	}
	head := make([]cell, len(t.heads))
	for i, h := range t.heads {
		head[i] = as(strong, strings.TrimPrefix(h, ">"))
	}
	widths := t.widths()
	p.line(t, head, widths)
	for _, row := range t.rows {
		p.line(t, row, widths)
	}
}

// chosenBy are the flags that chose among rows, as they are typed.
func chosenBy(q url.Values) string {
	var flags []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch name {
		case "limit", "everywhere": // no choice among rows
		default:
			flags = append(flags, "--"+name+" "+q.Get(name))
		}
	}
	return strings.Join(flags, " ")
}

func (t *table) widths() []int {
	widths := make([]int, len(t.heads))
	for i, h := range t.heads {
		widths[i] = utf8.RuneCountInString(strings.TrimPrefix(h, ">"))
		for _, row := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	return widths
}

func (p *page) line(t *table, row []cell, widths []int) {
	var b strings.Builder
	for i, c := range row {
		gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
		text := p.paint(c.style, c.text)
		switch {
		case strings.HasPrefix(t.heads[i], ">"):
			b.WriteString(gap + text)
		case i < len(row)-1:
			b.WriteString(text + gap)
		default:
			b.WriteString(text)
		}
		if i < len(row)-1 {
			b.WriteString("  ")
		}
	}
	p.WriteString(b.String() + "\n")
}
