package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// growing is a node of which only the lists matter.
type growing struct {
	Node
	peers  []Peer
	ops    []Operation
	events []Event
	alerts []Alert
	tokens []Token
	ports  []Port
	drills []DrillReport
}

func (g *growing) Version() Version         { return Version{Version: "1"} }
func (g *growing) Peers() []Peer            { return g.peers }
func (g *growing) Operations() []Operation  { return g.ops }
func (g *growing) Alerts() []Alert          { return g.alerts }
func (g *growing) Ports() []Port            { return g.ports }
func (g *growing) Drills() []DrillReport    { return g.drills }
func (g *growing) Tokens() ([]Token, error) { return g.tokens, nil }
func (g *growing) Watch() <-chan struct{}   { return nil }
func (g *growing) Events(after uint64) []Event {
	return slices.DeleteFunc(slices.Clone(g.events), func(e Event) bool { return e.ID <= after })
}

// grown has n rows in each list.
func grown(n int) *growing {
	g, start := &growing{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g.peers = []Peer{{Name: "zz", State: PeerSelf}}
	for i := range n {
		id, at := fmt.Sprintf("%016x", i), start.Add(time.Duration(i/3)*time.Second) // some began at once
		g.peers = append(g.peers, Peer{Name: fmt.Sprintf("p%03d", i), State: []string{PeerDirect, PeerRelayed}[i%2], Roles: []string{"voter"}})
		g.ops = append([]Operation{{ID: id, Kind: "drill", Started: at}}, g.ops...)
		g.drills = append([]DrillReport{{ID: id, Segment: "office", Time: at}}, g.drills...)
		g.events = append(g.events, Event{ID: uint64(1000 + i), Kind: []string{"peer_up", "peer_down"}[i%2]})
		g.alerts = append(g.alerts, Alert{ID: "x." + id, Severity: []string{LevelError, LevelWarn, LevelInfo}[i*3/n], Since: at})
		g.tokens = append(g.tokens, Token{ID: id[6:], Created: at, State: "valid"})
		g.ports = append(g.ports, Port{Name: fmt.Sprintf("tap%03d", i), Kind: PortGuest})
	}
	return g
}

type listed struct {
	ID   json.RawMessage
	Name string
}

func (l listed) key() string { return l.Name + string(l.ID) }

// asked is one page and the address of the next one.
func asked(t *testing.T, h http.Handler, target string) (keys []string, next string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
	var rows []listed
	if err := json.Unmarshal(w.Body.Bytes(), &rows); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	for _, r := range rows {
		keys = append(keys, r.key())
	}
	if link := w.Header().Get("Link"); link != "" {
		inside, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if _, err := url.Parse(inside); !ok || err != nil {
			t.Fatalf("%s: Link %s", target, link)
		}
		next = inside
	}
	return keys, next
}

// Pages, put together, are the whole list, however long they are.
func TestPagesAreTheWholeList(t *testing.T) {
	h := New(grown(20), slog.New(slog.DiscardHandler))
	for _, name := range []string{"peers", "ports", "tokens", "alerts", "operations", "drills", "events"} {
		whole, next := asked(t, h, base+"/"+name)
		if next != "" || len(whole) < 20 {
			t.Errorf("%s has %d rows and then %q", name, len(whole), next)
		}
		for _, limit := range []int{1, 3, 7, 19, 20, 21} {
			var together []string
			for next = fmt.Sprintf("%s/%s?limit=%d", base, name, limit); next != ""; {
				var page []string
				if page, next = asked(t, h, next); len(page) > limit || len(page) == 0 {
					t.Fatalf("%s: %d of %d", name, len(page), limit)
				}
				together = append(together, page...)
			}
			if !slices.Equal(together, whole) {
				t.Errorf("%s by %d: %v, want %v", name, limit, together, whole)
			}
		}
	}
}

// Whatever comes and goes between two pages: what was there all the time is told exactly once, in order.
func TestPagesSurviveChanges(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		g := grown(30)
		h := New(g, slog.New(slog.DiscardHandler))
		constant := map[string]bool{}
		for _, o := range g.ops {
			constant[fmt.Sprintf("%q", o.ID)] = true
		}
		var told []string
		for next := base + "/operations?limit=4"; next != ""; {
			var page []string
			page, next = asked(t, h, next)
			told = append(told, page...)
			for range 3 {
				i := random.IntN(len(g.ops) + 1)
				if random.IntN(2) == 0 && i < len(g.ops) {
					delete(constant, fmt.Sprintf("%q", g.ops[i].ID))
					g.ops = slices.Delete(g.ops, i, i+1)
					continue
				}
				began := Operation{ID: fmt.Sprintf("%016x", random.Uint64()), Started: time.Date(2026, 1, 1, 0, 0, random.IntN(12), 0, time.UTC)}
				at, _ := slices.BinarySearchFunc(g.ops, began, func(a, b Operation) int { return byBeginning.compare(byBeginning.place(a), byBeginning.place(b)) })
				g.ops = slices.Insert(g.ops, at, began)
			}
		}
		count := map[string]int{}
		for _, id := range told {
			count[id]++
		}
		for id, n := range count {
			if n > 1 {
				t.Fatalf("seed %d: %s was told %d times", seed, id, n)
			}
		}
		for id := range constant {
			if count[id] != 1 {
				t.Fatalf("seed %d: %s was not told", seed, id)
			}
		}
	}
}

func TestListsAreFiltered(t *testing.T) {
	h := New(grown(20), slog.New(slog.DiscardHandler))
	for target, want := range map[string]int{
		"/peers?state=relayed": 10, "/peers?find=P00": 10, "/peers?role=gateway": 0, "/alerts?severity=error": 7, "/alerts?acknowledged=true": 0,
		"/tokens?state=used": 0, "/ports?kind=guest&find=tap01": 10, "/operations?kind=drill": 20, "/operations?state=running": 0, "/events?kind=peer_up": 10,
		"/events?find=DOWN&after=1009": 5, "/drills?segment=office": 20,
	} {
		if rows, _ := asked(t, h, base+target); len(rows) != want {
			t.Errorf("%s: %d rows, want %d", target, len(rows), want)
		}
	}
	page, next := asked(t, h, base+"/peers?state=relayed&limit=4")
	rest, _ := asked(t, h, strings.Replace(next, "limit=4", "limit=0", 1))
	if len(page) != 4 || len(rest) != 6 {
		t.Errorf("the next page forgot the filter: %v %v", page, rest)
	}
}

func TestBadPagesAreProblems(t *testing.T) {
	h := New(grown(3), slog.New(slog.DiscardHandler))
	for _, target := range []string{
		"/peers?after=x", "/peers?limit=-1", "/peers?limit=100001", "/peers?limit=x", "/peers?state=asleep", "/tokens?after=1", "/alerts?after=9-x",
		"/operations?after=" + strings.Repeat("1", 500), "/events?limit=-1", "/events?after=x", "/drills?after=zz", "/operations?after=%00",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, base+target, nil))
		if w.Code != http.StatusUnprocessableEntity || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

func TestStationPlaces(t *testing.T) {
	all := []MAC{{MAC: "02:00:00:00:00:01", VNI: 1, Peer: "a"}, {MAC: "02:00:00:00:00:02", VNI: 1, Port: "tap0"}, {MAC: "02:00:00:00:00:01", VNI: 20, Segment: "Office"}}
	var together []MAC
	for p := (Page{Limit: 1}); ; {
		page, err := byStation.cut(all, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		together = append(together, page.Body...)
		if page.Link == "" {
			break
		}
		p.After = byStation.place(page.Body[0])
	}
	if !slices.Equal(together, all) {
		t.Errorf("%v", together)
	}
	for _, bad := range []string{"x", "1", "1-", "-1-2", "99999999999-02:00:00:00:00:01"} {
		if _, err := byStation.cut(all, Page{After: bad}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("after %q: %v", bad, err)
		}
	}
}

// A cursor is the client's: whatever it is, it is taken or refused.
func FuzzPlaces(f *testing.F) {
	for _, seed := range []string{"", "x", "1-a", "0000000000000000001-ab", "1-02:00:00:00:00:01", "10.0.0.1", "fe80::1%eth0", "2-0000000000000000001-x"} {
		f.Add(seed, 1)
	}
	g := grown(5)
	f.Fuzz(func(t *testing.T, after string, limit int) {
		p := Page{After: after, Limit: max(limit, 0)}
		for _, n := range []int{cutSize(byPeer.cut(g.peers, p, nil)), cutSize(byBeginning.cut(g.ops, p, nil)), cutSize(byWorst.cut(g.alerts, p, nil)), cutSize(byCreation.cut(g.tokens, p, nil))} {
			if p.Limit > 0 && n > p.Limit {
				t.Errorf("%d rows of %d", n, p.Limit)
			}
		}
		cutSize(byAddress.cut([]Address{{Address: "10.0.0.1"}}, p, nil))
		cutSize(byStation.cut([]MAC{{MAC: "02:00:00:00:00:01", VNI: 1}}, p, nil))
	})
}

func cutSize[T any](page *paged[T], err error) int {
	if err != nil {
		return 0
	}
	return len(page.Body)
}
