package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Page chooses a part of a long list. A page is cut behind a place in the list's order, not behind a count of rows: rows
// that come and go between two pages neither hide nor repeat others.
type Page struct {
	Find  string `query:"find" maxLength:"255" doc:"Only those with this text in a name, an address or a sentence of theirs"`
	After string `query:"after" maxLength:"400" doc:"Only those behind this place: the Link header of a page says which is next (rel=\"next\")"`
	Limit int    `query:"limit" minimum:"0" maximum:"100000" doc:"The most that are answered; 0: all"`
	asked url.URL
}

// Resolve implements huma.Resolver: the link to the next page repeats what was asked.
func (p *Page) Resolve(ctx huma.Context) []error {
	p.asked = ctx.URL()
	return nil
}

func (p Page) part() Page { return p }

// link is the Link header (RFC 8288) to the page behind a place; empty: there is none.
func (p *Page) link(place string) string {
	if place == "" {
		return ""
	}
	q := p.asked.Query()
	q.Set("after", place)
	return fmt.Sprintf("<%s?%s>; rel=\"next\"", p.asked.EscapedPath(), q.Encode())
}

// paged is a list, or a part of it.
type paged[T any] struct {
	Link string `header:"Link" doc:"The next page, rel=\"next\"; missing: this is the last one"`
	Body []T
}

// order is how a list runs.
type order[T any] struct {
	place   func(T) string           // where a row stands; rows of one place stay on one page
	check   func(place string) error // what is wrong with a place that a client sends
	compare func(a, b string) int    // of places
	texts   func(T) []string         // what find looks at
}

// cut is the page that p asks for. keep says which rows are meant at all; nil: all.
func (o order[T]) cut(all []T, p Page, keep func(T) bool) (*paged[T], error) {
	if p.After != "" {
		if err := o.check(p.After); err != nil {
			return nil, fmt.Errorf("%w: after %q: %w; take it from the Link header of the page before, or leave it out to begin again", ErrInvalid, p.After, err)
		}
	}
	kept := o.chosen(all, p.Find, keep)
	if p.After == "" && p.Limit == 0 {
		return &paged[T]{Body: kept}, nil
	}
	rows := o.placed(kept)
	if p.After != "" {
		rows = slices.DeleteFunc(rows, func(r row[T]) bool { return o.compare(r.place, p.After) <= 0 })
	}
	end := len(rows)
	if p.Limit > 0 {
		end = min(p.Limit, end)
	}
	for end > 0 && end < len(rows) && rows[end].place == rows[end-1].place {
		end++
	}
	out := &paged[T]{Body: make([]T, 0, end)}
	for _, r := range rows[:end] {
		out.Body = append(out.Body, r.value)
	}
	if end < len(rows) {
		out.Link = p.link(rows[end-1].place)
	}
	return out, nil
}

// row is one of a list, with its place.
type row[T any] struct {
	place string
	value T
}

// placed is a list in order. What a Node gives mostly is already, and then nothing is sorted.
func (o order[T]) placed(all []T) []row[T] {
	rows := make([]row[T], len(all))
	for i, v := range all {
		rows[i] = row[T]{o.place(v), v}
	}
	ahead := func(a, b row[T]) int { return o.compare(a.place, b.place) }
	if !slices.IsSortedFunc(rows, ahead) {
		slices.SortStableFunc(rows, ahead)
	}
	return rows
}

// chosen are the rows that are meant, in a list of their own.
func (o order[T]) chosen(all []T, find string, keep func(T) bool) []T {
	kept := make([]T, 0, len(all))
	for _, v := range all {
		if (keep == nil || keep(v)) && contains(find, o.texts(v)...) {
			kept = append(kept, v)
		}
	}
	return kept
}

// contains reports whether a text stands in one of others, in capital letters or small ones; the empty one does.
func contains(find string, in ...string) bool {
	return find == "" || strings.Contains(strings.ToLower(strings.Join(in, "\n")), strings.ToLower(find))
}

// byText is an order whose places sort as texts do.
func byText[T any](form string, place func(T) string, texts func(T) []string) order[T] {
	like := regexp.MustCompile(`^(?:` + form + `)$`)
	check := func(place string) error {
		if !like.MatchString(place) {
			return errors.New("not a place in this list")
		}
		return nil
	}
	return order[T]{place, check, strings.Compare, texts}
}

// newestFirst is the same order the other way round.
func (o order[T]) newestFirst() order[T] {
	ahead := o.compare
	o.compare = func(a, b string) int { return ahead(b, a) }
	return o
}

// instant is a time as part of a place: nanoseconds since 1970, in 19 digits until the year 2286.
func instant(t time.Time) string { return fmt.Sprintf("%019d", max(t.UnixNano(), 0)) }

const instantForm = `\d{19}`

// chooser is the input of an operation that lists: a Page and a filter.
type chooser[T any, F any] interface {
	*F
	part() Page
	keeps(T) bool
}

// list registers GET name, which answers with a part of what of returns.
func list[T any, F any, C chooser[T, F]](s *server, name, summary string, o order[T], of func() ([]T, error), failures ...int) {
	failures = append(failures, http.StatusUnprocessableEntity)
	huma.Register(s.api, operation("get-"+name, http.MethodGet, "/"+name, summary, failures...),
		func(_ context.Context, in *F) (*paged[T], error) {
			all, err := of()
			if err != nil {
				return nil, s.refusal(err)
			}
			page, err := o.cut(complete(all), C(in).part(), C(in).keeps)
			return page, s.refusal(err)
		})
	s.streamed("/" + name)
}

// certain is a list that cannot fail.
func certain[T any](of func() []T) func() ([]T, error) {
	return func() ([]T, error) { return of(), nil }
}

// is reports whether a value is what a filter wants; an empty filter wants anything.
func is(want, value string) bool { return want == "" || want == value }
